//! A start's first work: what became of the transactions of earlier runs.

use std::collections::HashMap;
use std::sync::Arc;

use alloy::primitives::Address;
use alloy::signers::local::PrivateKeySigner;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::accounts::{AccountLease, AccountPool};
use crate::core::Core;
use crate::flight::Flight;
use crate::publisher::{Publisher, at_start};
use crate::records::StoredTx;
use crate::run::Caller;
use crate::status::{InFlightTx, SettledTx};
use crate::{Error, StartReport};

/// The accounts of a new run, and the transactions it has to follow.
pub(crate) struct Reconciled {
    pub(crate) pool: Arc<AccountPool>,
    pub(crate) flights: Vec<Flight>,
    pub(crate) report: StartReport,
}

/// Compares the records with L1. Nothing is broadcast here: the flights do that, once the run stands.
pub(crate) async fn reconcile(core: &Arc<Core>, signers: &[PrivateKeySigner]) -> Result<Reconciled, Error> {
    check_chain(core).await?;
    let unsettled = core.on_store(|store| store.unsettled()).await?;
    let mut publishers = Vec::with_capacity(signers.len());
    for signer in signers {
        publishers.push(Arc::new(load(core, signer.clone(), &unsettled).await?));
    }
    let pool = Arc::new(AccountPool::new(publishers));
    let mut leases: HashMap<Address, Arc<AccountLease>> = HashMap::new();
    let mut reconciled = Reconciled { pool: Arc::clone(&pool), flights: Vec::new(), report: StartReport::default() };
    for tx in unsettled {
        let account = tx.intent.account;
        if let Some(lease) = pool.take(account) {
            leases.insert(account, Arc::new(lease));
        }
        match leases.get(&account) {
            Some(lease) => reconciled.take_up(core, Arc::clone(lease), tx).await?,
            None => {
                warn!(%account, label = tx.intent.label, "no key for the account of a transaction that may be live");
                reconciled.report.left.push(InFlightTx::of(&tx, core.clock.now()));
            }
        }
    }
    Ok(reconciled)
}

impl Reconciled {
    /// Settles a transaction that is in a block; any other will be followed.
    async fn take_up(&mut self, core: &Arc<Core>, lease: Arc<AccountLease>, tx: StoredTx) -> Result<(), Error> {
        let intent = tx.intent.clone();
        let blobs = core.on_store(move |store| store.blobs(&intent)).await?;
        let mut flight = Flight::resume(Arc::clone(core), lease, tx, blobs);
        let mut nobody = Caller::nobody(CancellationToken::new());
        if flight.settle_if_mined(&mut nobody).await? {
            info!(label = flight.tx().intent.label, "landed while nobody looked");
            self.report.settled.push(SettledTx::of(flight.tx()));
        } else {
            flight.doubt().await?;
            self.report.resumed.push(InFlightTx::of(flight.tx(), core.clock.now()));
            self.flights.push(flight);
        }
        Ok(())
    }
}

async fn check_chain(core: &Core) -> Result<(), Error> {
    let expected = core.config.chain_id;
    match core.l1.chain_id().await? {
        actual if actual == expected => Ok(()),
        actual => Err(Error::WrongChain { expected, actual }),
    }
}

/// An account as L1 and the records have it.
async fn load(core: &Core, signer: PrivateKeySigner, unsettled: &[StoredTx]) -> Result<Publisher, Error> {
    let address = signer.address();
    let stored = core.on_store(move |store| store.account(address)).await?;
    let latest = core.l1.latest_nonce(address).await?;
    let pending = core.l1.pending_nonce(address).await?.max(latest);
    let publisher = at_start(signer, pending, stored)?;
    for tx in unsettled.iter().filter(|tx| tx.intent.account == address) {
        publisher.resume_nonce(tx.intent.nonce);
    }
    publisher.note_balance(core.head().number, core.l1.balance(address).await?);
    Ok(publisher)
}
