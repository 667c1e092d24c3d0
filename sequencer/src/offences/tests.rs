use alloy::primitives::U256;
use fermata_primitives::L1Timestamp;

use super::*;

const EPOCH: Epoch = Epoch(3);
const EPOCH_SLOTS: u64 = 8;
const SEATS: usize = 4;

fn member(seat: usize) -> Address {
    Address::repeat_byte(seat as u8 + 1)
}

fn committee(epoch: Epoch) -> Arc<Committee> {
    Arc::new(Committee { epoch, seed: U256::from(5), members: (0..SEATS).map(member).collect() })
}

fn slots(epoch: Epoch) -> impl Iterator<Item = Slot> {
    (epoch.0 * EPOCH_SLOTS..(epoch.0 + 1) * EPOCH_SLOTS).map(Slot)
}

fn offences() -> Offences {
    Offences::new(SlotTimes::new(L1Timestamp(0), 4, EPOCH_SLOTS, 1).expect("a valid model"))
}

/// An epoch in which `attends` says who attested what landed; its proposer's absence leaves a slot without a checkpoint.
fn lived_through(offences: &Offences, epoch: Epoch, attends: impl Fn(usize, Slot) -> bool) {
    let committee = committee(epoch);
    for slot in slots(epoch) {
        let proposer = committee.proposer_seat(slot).expect("there are members");
        if attends(proposer, slot) {
            offences.landed(slot, &committee, (0..SEATS).filter(|seat| attends(*seat, slot)));
        }
    }
    offences.followed_to(Slot((epoch.0 + 1) * EPOCH_SLOTS));
}

fn inactive(offences: &Offences, percent: u8) -> Vec<Address> {
    let of_epoch = offences.of_epoch(EPOCH, percent);
    of_epoch.into_iter().filter(|(_, of)| of.contains(&Offence::Inactivity)).map(|(member, _)| member).collect()
}

#[test]
fn who_neither_attests_nor_proposes_is_inactive_and_nobody_else() {
    let offences = offences();
    offences.watched_from(Slot(0));
    lived_through(&offences, EPOCH, |seat, _| seat != 2);
    assert_eq!(inactive(&offences, 90), [member(2)]);
    assert_eq!(inactive(&offences, 100), [member(2)]);
}

#[test]
fn who_was_there_for_a_part_is_judged_by_the_share_that_was_missed() {
    let offences = offences();
    offences.watched_from(Slot(0));
    let committee = committee(EPOCH);
    // Seat 1 misses every second slot, unless it is its own.
    let attends =
        |seat: usize, slot: Slot| seat != 1 || slot.0.is_multiple_of(2) || committee.proposer_seat(slot) == Some(1);
    lived_through(&offences, EPOCH, attends);
    let missed = slots(EPOCH).filter(|slot| !attends(1, *slot)).count();
    assert!(missed > 0, "the case is one");
    let share = u8::try_from(missed * 100 / EPOCH_SLOTS as usize).expect("a percentage");
    assert_eq!(inactive(&offences, share), [member(1)]);
    assert_eq!(inactive(&offences, share + 1), [] as [Address; 0]);
}

#[test]
fn an_attestation_that_was_seen_counts_though_the_proposer_did_not_land_it() {
    let offences = offences();
    offences.watched_from(Slot(0));
    lived_through(&offences, EPOCH, |seat, _| seat != 2);
    for slot in slots(EPOCH) {
        offences.attested(slot, &committee(EPOCH), 2);
    }
    assert_eq!(inactive(&offences, 100), [] as [Address; 0]);
}

#[test]
fn an_epoch_is_judged_only_where_all_of_it_was_watched_and_is_over() {
    let first = Slot(EPOCH.0 * EPOCH_SLOTS);
    let last = Slot(first.0 + EPOCH_SLOTS - 1);
    let cases = [
        (Some(first), Slot(last.0 + 1), true),
        (Some(first.next()), Slot(last.0 + 1), false),
        (Some(first), last, false),
        (None, Slot(last.0 + 1), false),
    ];
    for (since, followed_to, is_judged) in cases {
        let offences = offences();
        since.into_iter().for_each(|since| offences.watched_from(since));
        for slot in slots(EPOCH) {
            offences.landed(slot, &committee(EPOCH), [0, 1, 3]);
        }
        offences.followed_to(followed_to);
        assert_eq!(!inactive(&offences, 90).is_empty(), is_judged, "since {since:?}, to {followed_to}");
    }
}

#[test]
fn nobody_is_accused_where_the_network_failed() {
    let offences = offences();
    offences.watched_from(Slot(0));
    for slot in slots(EPOCH).take(EPOCH_SLOTS as usize / 2 - 1) {
        offences.landed(slot, &committee(EPOCH), [0, 1, 3]);
    }
    offences.followed_to(Slot((EPOCH.0 + 1) * EPOCH_SLOTS));
    assert_eq!(inactive(&offences, 50), [] as [Address; 0]);
}

#[test]
fn two_proposals_for_one_slot_count_at_once_and_in_their_epoch_alone() {
    let offences = offences();
    offences.equivocated(Slot(EPOCH.0 * EPOCH_SLOTS + 5), member(1));
    let equivocation = BTreeMap::from([(member(1), BTreeSet::from([Offence::Equivocation]))]);
    assert_eq!(offences.of_epoch(EPOCH, 90), equivocation);
    assert!(offences.of_epoch(EPOCH.next(), 90).is_empty());
}

#[test]
fn only_the_newest_epochs_are_kept() {
    let offences = offences();
    for epoch in 0..KEPT_EPOCHS as u64 + 10 {
        offences.equivocated(Slot(epoch * EPOCH_SLOTS), member(0));
    }
    assert!(offences.of_epoch(Epoch(9), 90).is_empty());
    assert!(!offences.of_epoch(Epoch(10), 90).is_empty());
    assert_eq!(offences.lock().epochs.len(), KEPT_EPOCHS);
}
