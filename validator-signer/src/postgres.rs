//! Slashing protection that several nodes share: the duties in a PostgreSQL database.
//!
//! ```text
//! absent -> pinned(digest, owner, fence, attempt) -> signed(digest, signature)
//! ```
//! As on disk there is no way back but pruning, under a mark that is durable before. What is new is that others ask for
//! the same duties, that an answer may be lost on its way, and that the server may be replaced by one that knows less:
//!
//! - A duty is recorded by one statement that records it only if it is absent; whoever lost looks at the record with a
//!   second one. So of two nodes one is granted, and the other always learns what is on record.
//! - Each payload asked for has an *attempt*, made once and kept over everything that is tried: after a connection that
//!   broke during a commit, a record with this attempt is the caller's own.
//! - A pin of another node is left to it while it is young and taken over when it is old, for the same digest alone. The
//!   *fence* counts the owners; a signature is kept only under the fence it was made under.
//! - A duty of an Ethereum key conflicts with others than itself, so it is judged and recorded under a lock of its key; the
//!   attempt is the transaction's.
//! - The server's identity, its timeline and how far its log had come are remembered. A server that is another, or behind
//!   that, may have lost pins: the store is [`StaleServer`](SignerError::StaleServer) until an operator says otherwise.

mod anchor;
mod asking;
mod book;
mod errands;
mod eth;
mod eth_ledger;
mod eth_rows;
mod eth_serving;
mod exchange;
mod exporting;
mod importing;
mod insisting;
mod judge;
mod key_marks;
mod layout;
mod ledger;
mod link;
mod options;
mod owner;
mod payloads;
mod pruning;
mod request;
mod serving;
mod session;
mod statements;
mod strict;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use alloy::primitives::Address;
use fermata_primitives::{Clock as _, Slot, SystemClock};
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use crate::{Domain, EthLast, EthOptions, FarFutureGuard, KeyState, Protection as _, SignerError};
use judge::Asker;
use link::{Link, Trouble};
pub use options::{DatabaseUrl, PostgresOptions};
use owner::Owner;
use request::Request;
use session::Session;
use statements::Statements;

/// An open store in a database that other nodes use too.
///
/// It holds one connection, made anew whenever it breaks. A server that is away makes every answer
/// [`SignerError::Unavailable`], and nothing is signed until it is back. Dropping the last handle closes the store too,
/// without waiting for it.
#[derive(Debug)]
pub struct PostgresProtection {
    name: String,
    domain: Domain,
    keep_slots: u64,
    far_future: Option<FarFutureGuard>,
    eth: EthOptions,
    patience: Duration,
    busy_patience: Duration,
    queue: mpsc::Sender<Request>,
    keys: watch::Receiver<BTreeMap<Address, KeyState>>,
    listens_until: watch::Receiver<Option<Slot>>,
    /// Ends when the connection has ended.
    closed: watch::Receiver<()>,
    /// Holds the task that owns the connection.
    _tasks: TaskTracker,
}

impl PostgresProtection {
    /// Makes an empty store in a schema that does not exist yet.
    ///
    /// An explicit act, for keys that never signed on this rollup: an empty store refuses nothing. All or nothing, also
    /// when interrupted.
    ///
    /// # Errors
    /// [`SignerError::AlreadyInitialised`], [`SignerError::BadServer`], [`SignerError::Unavailable`].
    pub async fn init(url: &DatabaseUrl, domain: Domain, options: &PostgresOptions) -> Result<(), SignerError> {
        let mut link = open_link(url, domain, options)?;
        let outcome = async {
            let (mut client, _) = link.connect().await?;
            layout::create_store(&mut client, &options.schema, domain).await.map_err(link::misfit)
        };
        let outcome = outcome.await.map_err(|trouble| given_up(&link.name, trouble));
        link.close().await;
        outcome
    }

    /// Opens the store. What was remembered of the server, if anything, must fit what is found.
    ///
    /// # Errors
    /// [`SignerError::NotInitialised`] (an empty database is not silently a store), [`SignerError::StaleServer`],
    /// [`SignerError::OlderSchema`], [`SignerError::NewerSchema`], [`SignerError::OtherDomain`],
    /// [`SignerError::Damaged`], [`SignerError::BadServer`], [`SignerError::Unavailable`], [`SignerError::Io`].
    pub async fn open(url: &DatabaseUrl, domain: Domain, options: PostgresOptions) -> Result<Self, SignerError> {
        let mut link = open_link(url, domain, &options)?;
        let opened = link.session().await.map(drop);
        if let Err(trouble) = opened {
            link.close().await;
            return Err(given_up(&link.name, trouble));
        }
        link.memory.save().await?;
        let (queue, requests) = mpsc::channel(options.queue.max(1));
        let (closing, closed) = watch::channel(());
        let (name, keys, listens_until) = (link.name.clone(), link.keys.subscribe(), link.listens_until.subscribe());
        link.tell();
        let owner = Owner {
            link,
            asker: Asker { node: options.node, takeover_after: options.takeover_after },
            queue: requests,
            closed: closing,
            batch_duties: options.batch_duties.max(1),
            patience: options.patience,
            clock: options.clock,
            eth_policy: options.eth.policy,
            eth: Vec::new(),
            unwritten: Vec::new(),
            errands: Vec::new(),
            prunes: VecDeque::new(),
            remembered_at: SystemClock.monotonic(),
        };
        let tasks = TaskTracker::new();
        tasks.spawn(owner.run());
        let PostgresOptions { keep_slots, far_future, eth, patience, busy_patience, .. } = options;
        Ok(Self {
            name,
            domain,
            keep_slots,
            far_future,
            eth,
            patience,
            busy_patience,
            queue,
            keys,
            listens_until,
            closed,
            _tasks: tasks,
        })
    }

    /// Closes the store and drops it with all that it knows. For one that was made to be thrown away: whoever makes another
    /// afterwards signs anything.
    ///
    /// # Errors
    /// [`SignerError::Unavailable`]: the store may be dropped; what an operator must see to. It is closed.
    pub(crate) async fn discard(self, schema: &str) -> Result<(), SignerError> {
        let drop = statements::drop(schema);
        let dropped = self
            .once(move |settling| Box::pin(async move { Ok(settling.session.client.batch_execute(&drop).await?) }))
            .await;
        self.close().await;
        dropped
    }

    /// Accepts the server as it is, after it was restored or replaced: refuses every slot up to `refuse_through` to
    /// everybody from now on, and forgets what was remembered of the server before; the store listens before it signs.
    /// Slots that may have been signed and lost must lie at or below it. Ethereum's keys count slots of another chain: where
    /// any is on record, `ethereum` tells what they may have signed last, and every Ethereum key refuses that from then on,
    /// also one whose first duty was lost with the old server. Gives the number of those on record.
    ///
    /// # Errors
    /// [`SignerError::EthLast`]: Ethereum keys are on record, and nothing or too little was told of them; nothing has
    /// changed. As [`open`](Self::open), but for [`SignerError::StaleServer`].
    pub async fn accept_restored(
        url: &DatabaseUrl,
        domain: Domain,
        options: &PostgresOptions,
        refuse_through: Slot,
        ethereum: Option<EthLast>,
    ) -> Result<usize, SignerError> {
        let mut link = open_link(url, domain, &PostgresOptions { anchor: None, ..options.clone() })?;
        let outcome = async {
            let (client, _) = link.connect().await?;
            link.identify(&client, None).await?;
            let statements = Statements::prepare(&client).await.map_err(|error| link::trouble(error.into()))?;
            let session = Session { client, statements };
            pruning::accept_server(&session, refuse_through, ethereum).await.map_err(link::trouble)
        };
        let outcome = outcome.await.map_err(|trouble| given_up(&link.name, trouble));
        link.close().await;
        let bound = outcome??;
        options.anchor.as_deref().map_or(Ok(()), anchor::forget)?;
        Ok(bound)
    }
}

fn open_link(url: &DatabaseUrl, domain: Domain, options: &PostgresOptions) -> Result<Link, SignerError> {
    options::check_schema_name(&options.schema)
        .map_err(|what| SignerError::BadServer { server: url.to_string(), what })?;
    Link::new(url, domain, options)
}

/// The trouble of somebody who does not try again.
fn given_up(name: &str, trouble: Trouble) -> SignerError {
    match trouble {
        Trouble::Passing(reason) => SignerError::Unavailable { server: name.to_owned(), ambiguous: true, reason },
        Trouble::Lasting(fault) => fault.of_store(name),
    }
}
