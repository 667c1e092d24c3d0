//! Records in and out of the shared store, whole files at a time.

use std::time::Duration;

use alloy::primitives::B256;
use fermata_primitives::UnixTime;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::PostgresProtection;
use super::exporting::find;
use super::link::trouble;
use super::owner::too_long;
use super::request::{Errand, Request};
use super::session::Session;
use crate::interchange::{Contents, ExportOptions, ImportOptions, ImportReport, Interchange, Origin};
use crate::{SignerError, postgres::given_up};

/// Longest that an import or an export may take.
const PATIENCE: Duration = Duration::from_secs(120);

impl PostgresProtection {
    /// Takes in all of `file`, in one durable transaction: afterwards the store refuses to every node whatever it or the
    /// file refused. Marks only rise; of two payloads for one duty neither can be signed any more. No node signs meanwhile.
    ///
    /// A store that keeps watermarks alone takes them alone from the Ethereum members.
    ///
    /// # Errors
    /// [`SignerError::Interchange`]: nothing has changed. [`SignerError::Unavailable`]: it may be imported, whole; again is
    /// the same as once. [`SignerError::Closed`]; what an operator must see to.
    ///
    /// # Cancel safety
    /// Dropped: the import happens whole or not at all.
    pub async fn import(&self, file: &Interchange, options: ImportOptions) -> Result<ImportReport, SignerError> {
        let contents = Contents::of(file, self.domain, options.extents(self.eth.policy))?;
        self.take_in(contents, options.genesis_validators_root).await
    }

    /// Tells the store, once and for all, which chain its Ethereum keys sign for. The same again is no change.
    ///
    /// # Errors
    /// [`SignerError::Interchange`]: it knows another one. Else as [`import`](Self::import).
    ///
    /// # Cancel safety
    /// Dropped: the chain is told all the same.
    pub async fn bind_chain(&self, genesis_validators_root: B256) -> Result<(), SignerError> {
        self.take_in(Contents::default(), Some(genesis_validators_root)).await.map(drop)
    }

    /// What the store knows, as a file that another store imports: all of one moment. It is read over a connection of its
    /// own, so that nobody waits for it. A close does.
    ///
    /// For a hand-over retire the keys first: what is signed after an export is not in it.
    ///
    /// # Errors
    /// [`SignerError::Interchange`]: there are Ethereum keys, and nobody told for which chain.
    /// [`SignerError::Unavailable`], [`SignerError::Closed`]; what an operator must see to.
    ///
    /// # Cancel safety
    /// Dropped: nothing has happened.
    pub async fn export(&self, options: ExportOptions, exported_at: UnixTime) -> Result<Interchange, SignerError> {
        let session = self.lent().await?;
        let found = timeout(PATIENCE, find(&session, &options.keys)).await;
        let found = found.map_err(|_| too_long()).and_then(|found| found.map_err(trouble));
        let (found, store_id) = found.map_err(|trouble| given_up(&self.name, trouble))?;
        Ok(found.file(&options, Origin { domain: self.domain, store_id }, exported_at)?)
    }

    async fn take_in(&self, contents: Contents, given: Option<B256>) -> Result<ImportReport, SignerError> {
        let done = self.once_within(PATIENCE, move |settling| Box::pin(settling.import(contents, given))).await?;
        Ok(done?)
    }

    /// A session beside the task's, to the store as it was found to be; the signatures that were kept before are written.
    async fn lent(&self) -> Result<Session, SignerError> {
        let (reply, answer) = oneshot::channel();
        let errand: Errand = Box::new(move |owner| {
            Box::pin(async move {
                // Nobody may be waiting any more; then the connection ends.
                let _ = reply.send(owner.lend().await);
            })
        });
        self.queue.send(Request::Errand(errand)).await.map_err(|_| SignerError::Closed)?;
        let lent = answer.await.map_err(|_| SignerError::Closed)?;
        lent.map_err(|trouble| given_up(&self.name, trouble))
    }
}
