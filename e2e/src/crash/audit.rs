//! What must hold of everything that a node has signed, sent and landed, whenever it died.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use alloy::primitives::{Address, B256};
use anyhow::{Result, bail, ensure};
use fermata_primitives::{Slot, SlotTimes, UnixTime};
use fermata_validator_signer::{Domain, Duty, DutyKind, NotSafe, SignerError, SlashingProtection, StoreOptions};

use super::Wire;
use super::wire::Broadcast;
use crate::Net;

/// What was found.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Audit {
    /// Transactions that were sent, each as often as it was.
    pub broadcasts: usize,
    /// Slots of which a checkpoint was sent.
    pub slots: usize,
    /// Checkpoints on L1.
    pub landed: usize,
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { broadcasts, slots, landed } = self;
        write!(f, "{broadcasts} broadcasts, checkpoints of {slots} slots sent, {landed} landed")
    }
}

impl Audit {
    pub(crate) async fn of(net: &Net, wire: &Wire) -> Result<Self> {
        let sent = wire.broadcasts()?;
        let (signed, twice, stale) = (doubly_signed(&sent), sent_twice(&sent, net.times()), stale(&sent, net.times()));
        ensure!(signed.is_empty(), "two checkpoints of one slot were sent: {signed:?}");
        ensure!(twice.is_empty(), "one effect could come twice: {twice:?}");
        ensure!(stale.is_empty(), "these were sent when their slots had passed: {stale:?}");
        let landed = landed_once(net, &sent).await?;
        Ok(Self { broadcasts: sent.len(), slots: by_slot(&sent).len(), landed })
    }
}

fn by_slot(sent: &[Broadcast]) -> BTreeMap<Slot, Vec<(&Broadcast, B256)>> {
    let mut slots: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for broadcast in sent {
        for propose in &broadcast.proposes {
            slots.entry(propose.header.slot).or_default().push((broadcast, propose.payload_digest()));
        }
    }
    slots
}

/// Slots of which two different checkpoints were sent.
fn doubly_signed(sent: &[Broadcast]) -> Vec<Slot> {
    let is_double =
        |sent: &[(&Broadcast, B256)]| sent.iter().map(|(_, digest)| digest).collect::<BTreeSet<_>>().len() > 1;
    by_slot(sent).into_iter().filter(|(_, sent)| is_double(sent)).map(|(slot, _)| slot).collect()
}

/// What could have its effect twice: a slot's checkpoint with two nonces, or a nonce with two calls, its cancels aside. The same
/// call with the same nonce and a higher bid is no second one; nor is one that came when the slot of the other had passed, and
/// took its nonce over.
fn sent_twice(sent: &[Broadcast], times: &SlotTimes) -> Vec<String> {
    let mut twice = Vec::new();
    for (slot, sent) in by_slot(sent) {
        let nonces: BTreeSet<_> = sent.iter().map(|(broadcast, _)| (broadcast.account, broadcast.nonce)).collect();
        if nonces.len() > 1 {
            twice.push(format!("the checkpoint of slot {slot} with {nonces:?}"));
        }
    }
    let mut last: BTreeMap<(Address, u64), &Broadcast> = BTreeMap::new();
    for broadcast in sent.iter().filter(|broadcast| !broadcast.is_cancel) {
        let before = last.insert((broadcast.account, broadcast.nonce), broadcast);
        if let Some(other) = before.filter(|other| other.call != broadcast.call && broadcast.at < expires(other, times))
        {
            twice.push(format!("nonce {} with {} and {}", broadcast.nonce, other.hash, broadcast.hash));
        }
    }
    twice
}

/// When the slot has passed that it is for: of its checkpoints, or else the one in which it was sent.
fn expires(broadcast: &Broadcast, times: &SlotTimes) -> UnixTime {
    let proposed = broadcast.proposes.iter().map(|propose| propose.header.slot).max();
    let slot = proposed.unwrap_or_else(|| times.slot_at_time(broadcast.at));
    times.end_of(slot).into()
}

/// Checkpoints that were sent when their slot had passed.
fn stale(sent: &[Broadcast], times: &SlotTimes) -> Vec<Slot> {
    let is_stale = |broadcast: &Broadcast, slot: Slot| broadcast.at >= UnixTime::from(times.end_of(slot));
    let slots = sent.iter().flat_map(|broadcast| {
        broadcast.proposes.iter().map(|propose| propose.header.slot).filter(|slot| is_stale(broadcast, *slot))
    });
    slots.collect()
}

/// How many checkpoints L1 has, each once, one a slot, in order.
async fn landed_once(net: &Net, sent: &[Broadcast]) -> Result<usize> {
    let logs = net.rollup().CheckpointProposed_filter().from_block(0).query().await?;
    let slot_of = |archive: B256| {
        let proposes = sent.iter().flat_map(|broadcast| &broadcast.proposes);
        proposes.clone().find(|propose| propose.archive == archive).map(|propose| propose.header.slot)
    };
    let mut last = Slot(0);
    for ((event, _), number) in logs.iter().zip(1_u64..) {
        ensure!(
            event.checkpointNumber.saturating_to::<u64>() == number,
            "checkpoint {number} landed twice, or not at all"
        );
        let Some(slot) = slot_of(event.archive) else { bail!("checkpoint {number} was never sent through the wire") };
        ensure!(slot > last, "slot {slot} landed after slot {last}");
        last = slot;
    }
    Ok(logs.len())
}

/// Looks up, in a signing store that nobody has open, what its validators attested in each checkpoint that was sent from
/// `first` on: another payload must be refused, because of just that one. Says how many duties that were.
pub(crate) async fn duties(net: &Net, wire: &Wire, store: &Path, first: Slot) -> Result<usize> {
    let sent = wire.broadcasts()?;
    let proposes = sent.iter().flat_map(|broadcast| &broadcast.proposes);
    let proposes: Vec<_> = proposes.filter(|propose| propose.header.slot >= first).collect();
    if proposes.is_empty() {
        return Ok(0);
    }
    ensure!(store.exists(), "checkpoints were sent, and there is no signing store at {}", store.display());
    let deployment = &net.chain().deployment;
    let domain = Domain { l1_chain_id: deployment.addresses.l1_chain_id, rollup: deployment.addresses.rollup };
    let store = SlashingProtection::open(store, domain, StoreOptions::default())?;
    let mut found = 0;
    for propose in proposes {
        for validator in &propose.signers {
            let duty = Duty { validator: *validator, slot: propose.header.slot, kind: DutyKind::Attestation };
            let other = B256::repeat_byte(0xee);
            match store.reserve(duty, other).await {
                Err(SignerError::NotSafe(NotSafe::Conflict { on_record, .. }))
                    if on_record == propose.payload_digest() => {}
                answer => bail!("{duty} was sent as {}, and the store says {answer:?}", propose.payload_digest()),
            }
            found += 1;
        }
    }
    store.close().await;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use fermata_primitives::L1Timestamp;

    use super::*;

    fn sent(hash: u8, nonce: u64, call: u8) -> Broadcast {
        Broadcast {
            at: UnixTime::default(),
            hash: B256::repeat_byte(hash),
            account: Address::repeat_byte(7),
            nonce,
            is_cancel: false,
            call: B256::repeat_byte(call),
            proposes: Vec::new(),
        }
    }

    fn twice(broadcasts: &[Broadcast]) -> usize {
        let times = SlotTimes::new(L1Timestamp(0), 8, 4, 4).expect("they are slots");
        sent_twice(broadcasts, &times).len()
    }

    #[test]
    fn a_higher_bid_for_the_same_call_is_no_second_effect() {
        assert_eq!(twice(&[sent(1, 0, 9), sent(1, 0, 9), sent(2, 0, 9), sent(3, 1, 8)]), 0);
    }

    #[test]
    fn another_call_with_the_same_nonce_is_one_unless_it_cancels_or_the_slot_of_the_first_has_passed() {
        assert_eq!(twice(&[sent(1, 0, 9), sent(2, 0, 8)]), 1);
        let cancel = Broadcast { is_cancel: true, ..sent(2, 0, 8) };
        assert_eq!(twice(&[sent(1, 0, 9), cancel]), 0);
        let at = |secs: u64| UnixTime::from_millis(secs * 1_000);
        let later = |secs| Broadcast { at: at(secs), ..sent(2, 0, 8) };
        assert_eq!((twice(&[sent(1, 0, 9), later(7)]), twice(&[sent(1, 0, 9), later(8)])), (1, 0));
        let stale_again = Broadcast { at: at(9), ..sent(1, 0, 9) };
        assert_eq!(twice(&[sent(1, 0, 9), later(8), stale_again]), 1, "the first one went out again");
    }
}
