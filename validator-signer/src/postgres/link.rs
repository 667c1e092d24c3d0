//! The way to the store: connected when it is needed, and each time checked to be the same store, no younger than it was.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, FixedBytes};
use fermata_primitives::Slot;
use tokio::sync::watch;
use tokio_postgres::Client;

use super::anchor::{Anchor, Memory, ServerState};
use super::book::load_book;
use super::judge::MarkBook;
use super::layout::{Misfit, check_store};
use super::options::{DatabaseUrl, PostgresOptions};
use super::session::{Connector, ServerError, Session};
use super::statements::{SCHEMA_VERSION, Statements};
use super::strict;
use crate::{Domain, DutyKind, KeyState, SignerError};

/// Why there is no way to the store.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// Ask again: see [`ServerError::Passing`].
    Passing(String),
    /// Ask an operator.
    Lasting(Fault),
}

/// What an operator must see to. Many callers may be told of one.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    Absent,
    Present,
    Version(u32),
    OtherDomain { found: Domain, wanted: Domain },
    Damaged(String),
    Stale(String),
    BadServer(String),
}

impl Fault {
    /// The fault as the caller of the store called `name` sees it.
    pub(super) fn of_store(&self, name: &str) -> SignerError {
        let (path, server, known) = (name.into(), name.to_owned(), SCHEMA_VERSION.unsigned_abs());
        match self {
            Self::Absent => SignerError::NotInitialised { path },
            Self::Present => SignerError::AlreadyInitialised { path },
            Self::Version(found) if *found > known => SignerError::NewerSchema { path, found: *found, known },
            Self::Version(found) => SignerError::OlderSchema { path, found: *found, known },
            Self::OtherDomain { found, wanted } => SignerError::OtherDomain { path, found: *found, wanted: *wanted },
            Self::Damaged(what) => SignerError::Damaged { path, what: what.clone() },
            Self::Stale(what) => SignerError::StaleServer { server, what: what.clone() },
            Self::BadServer(what) => SignerError::BadServer { server, what: what.clone() },
        }
    }
}

/// A connector, the last session, and what is remembered of the store.
pub(super) struct Link {
    /// The server, the database and the schema, for messages.
    pub(super) name: String,
    pub(super) memory: Memory,
    pub(super) book: MarkBook,
    /// What is said of keys, for those who do not wait for the server.
    pub(super) keys: watch::Sender<BTreeMap<Address, KeyState>>,
    /// First slot that is signed, for the same.
    pub(super) listens_until: watch::Sender<Option<Slot>>,
    connector: Connector,
    schema: String,
    domain: Domain,
    /// Kinds that this node wants to go forward alone.
    strict: BTreeSet<DutyKind>,
    session: Option<Session>,
}

impl Link {
    /// # Errors
    /// [`SignerError::BadServer`], [`SignerError::Io`], [`SignerError::Damaged`].
    pub(super) fn new(url: &DatabaseUrl, domain: Domain, options: &PostgresOptions) -> Result<Self, SignerError> {
        let name = store_name(url, options);
        let memory = Memory::load(options.anchor.clone())?;
        let connector =
            Connector::new(url, options).map_err(|what| SignerError::BadServer { server: name.clone(), what })?;
        let (schema, strict) = (options.schema.clone(), options.strict.iter().map(|kind| kind.marked()).collect());
        let (book, keys, listens_until) = (MarkBook::default(), watch::Sender::default(), watch::Sender::default());
        Ok(Self { name, memory, book, keys, listens_until, connector, schema, domain, strict, session: None })
    }

    /// The open session, or a new one.
    ///
    /// # Errors
    /// [`Trouble`]; there is no session then.
    pub(super) async fn session(&mut self) -> Result<(&Session, &mut MarkBook, &mut Memory), Trouble> {
        let usable = self.session.take().filter(|session| !session.client.is_closed());
        let session = match usable {
            Some(session) => session,
            None => self.establish().await?,
        };
        Ok((self.session.insert(session), &mut self.book, &mut self.memory))
    }

    /// A session beside the open one.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(super) async fn another_session(&mut self) -> Result<Session, Trouble> {
        self.establish().await
    }

    /// Connects, and takes the server for granted once it is the one it was.
    async fn establish(&mut self) -> Result<Session, Trouble> {
        let (client, server) = self.connect().await?;
        let store_id = self.identify(&client, Some(&server)).await?;
        self.memory.note(Anchor { store_id, server }).map_err(|what| Trouble::Lasting(Fault::Stale(what)))?;
        let statements = Statements::prepare(&client).await.map_err(|error| trouble(error.into()))?;
        let session = Session { client, statements };
        self.book = load_book(&session).await.map_err(trouble)?;
        if !self.strict.is_subset(&self.book.strict) {
            self.book = strict::declare(&session, &self.strict).await.map_err(trouble)?;
        }
        Ok(session)
    }

    /// # Errors
    /// [`Trouble`].
    pub(super) async fn connect(&self) -> Result<(Client, ServerState), Trouble> {
        self.connector.connect().await.map_err(trouble)
    }

    /// Which store it is.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(super) async fn identify(&self, client: &Client, on: Option<&ServerState>) -> Result<FixedBytes<16>, Trouble> {
        check_store(client, &self.schema, (self.domain, on)).await.map_err(misfit)
    }

    /// Lets what was learnt of keys, and of the first slot that is signed, be known.
    pub(super) fn tell(&self) {
        tell_if_new(&self.keys, &self.book.keys);
        tell_if_new(&self.listens_until, &self.book.listen_only_until);
    }

    /// The next use connects anew. Whatever was under way on the old connection may or may not happen.
    pub(super) fn drop_session(&mut self) {
        self.session = None;
    }

    /// Ends the connection and waits until it has ended.
    pub(super) async fn close(&mut self) {
        self.drop_session();
        self.connector.close().await;
    }
}

fn tell_if_new<T: Clone + PartialEq>(told: &watch::Sender<T>, known: &T) {
    told.send_if_modified(|told| {
        let is_news = told != known;
        if is_news {
            told.clone_from(known);
        }
        is_news
    });
}

pub(super) fn trouble(error: ServerError) -> Trouble {
    match error {
        ServerError::Passing(reason) => Trouble::Passing(reason),
        ServerError::Lasting(what) => Trouble::Lasting(Fault::BadServer(what)),
    }
}

pub(super) fn misfit(misfit: Misfit) -> Trouble {
    match misfit {
        Misfit::Server(error) => trouble(error),
        Misfit::Fault(fault) => Trouble::Lasting(fault),
    }
}

fn store_name(url: &DatabaseUrl, options: &PostgresOptions) -> String {
    format!("{url} (schema {})", options.schema)
}
