//! A start's first work: what became of the transactions of earlier runs.

use std::sync::Arc;

use alloy::primitives::Address;
use tracing::{info, warn};

use crate::core::Core;
use crate::desk::{Signers, commit, look_at, rules};
use crate::funding::CAP_SPAN;
use crate::machine::Machine;
use crate::machine::account::Role;
use crate::machine::news::News;
use crate::machine::step::Effect;
use crate::records::StoredTx;
use crate::status::{InFlightTx, SettledTx};
use crate::{Error, StartReport};

/// What a new run begins with.
pub(crate) struct Reconciled {
    pub(crate) machine: Machine,
    /// What was made durable, and is done once the run stands.
    pub(crate) effects: Vec<Effect>,
    pub(crate) report: StartReport,
}

/// Compares the records with L1. Nothing is broadcast here: that is done once the run stands.
pub(crate) async fn reconcile(
    core: &Arc<Core>,
    signers: &Signers,
    order: Vec<(Address, Role)>,
) -> Result<Reconciled, Error> {
    check_chain(core).await?;
    core.l1.check_backends().await?;
    let (mut machine, unsettled) = load(core, order).await?;
    let look = look_at(core, &machine.every_question(), &machine.head, &machine.stored_txs()).await?;
    machine.observe(News::Looked(look));
    check_accounts(&machine)?;
    let mut effects = Vec::new();
    while let Some(step) = machine.decide(&rules(core, signers)) {
        effects.extend(commit(core, &mut machine, step).await.map_err(|(_, error)| error)?);
    }
    let report = report(core, signers, &machine, unsettled).await?;
    Ok(Reconciled { machine, effects, report })
}

/// The records as a machine, and the transactions that were in flight.
async fn load(core: &Arc<Core>, order: Vec<(Address, Role)>) -> Result<(Machine, Vec<StoredTx>), Error> {
    let now = core.clock.now();
    let (accounts, stored, next_id, landed) = core
        .on_store(move |store| {
            let accounts: Result<Vec<_>, Error> =
                order.into_iter().map(|(address, role)| Ok((address, role, store.account(address)?))).collect();
            let landed = store.landed_within(CAP_SPAN, now)?;
            Ok((accounts?, store.unsettled()?, store.next_id()?, landed))
        })
        .await?;
    core.spending.load(landed);
    let in_flight = stored.iter().filter(|tx| !tx.intent.state.is_settled()).cloned().collect();
    Ok((Machine::load(core.head(), accounts, stored, next_id), in_flight))
}

async fn check_chain(core: &Core) -> Result<(), Error> {
    let expected = core.config.chain_id;
    match core.l1.chain_id().await? {
        actual if actual == expected => Ok(()),
        actual => Err(Error::WrongChain { expected, actual }),
    }
}

/// The chain's counts and the store's records must fit each other.
fn check_accounts(machine: &Machine) -> Result<(), Error> {
    for (address, account) in &machine.accounts {
        let chain = account.sight.map_or(0, |sight| sight.pending_nonce.unwrap_or_default().max(sight.latest_nonce));
        if chain < account.settled_nonce {
            return Err(Error::ChainRewound { account: *address, chain, recorded: account.settled_nonce });
        }
    }
    Ok(())
}

/// What became of what was in flight.
async fn report(
    core: &Arc<Core>,
    signers: &Signers,
    machine: &Machine,
    unsettled: Vec<StoredTx>,
) -> Result<StartReport, Error> {
    let mut report = StartReport::default();
    for before in unsettled {
        let (account, hash) = (before.intent.account, before.attempts.first().map(|attempt| attempt.hash));
        if !signers.contains_key(&account) {
            warn!(%account, label = before.intent.label, "no key for the account of a transaction that may be live");
            report.left.push(InFlightTx::of(&before, core.clock.now()));
            continue;
        }
        let now = match (machine.txs.get(&before.intent.id), hash) {
            (Some(tx), _) => Some(tx.stored.clone()),
            (None, Some(hash)) => core.on_store(move |store| store.by_hash(hash)).await?,
            (None, None) => None,
        };
        match now {
            Some(tx) if tx.intent.state.is_settled() => {
                info!(label = tx.intent.label, "landed while nobody looked");
                report.settled.push(SettledTx::of(&tx));
            }
            Some(tx) => report.resumed.push(InFlightTx::of(&tx, core.clock.now())),
            None => {}
        }
    }
    Ok(report)
}
