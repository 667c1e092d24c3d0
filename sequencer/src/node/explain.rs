//! Gathers what the checks of an explanation look at.

use fermata_primitives::{Slot, UnixTime};

use super::status::L1_HEADS_MISSED;
use super::{Node, funds};
use crate::explain::{Explanation, Facts, FromNow, L1Fact, Moments, Progress, Turn, explain as judge};
use crate::phases::Phase;
use crate::poll_loop::chain as error_chain;
use crate::status::ActualState;

/// Why the node does or does not propose in `slot`, or in the slot whose build frame is open.
pub(super) async fn explain(node: &Node, slot: Option<Slot>) -> Explanation {
    let workshop = &node.inner.workshop;
    let slot = slot.unwrap_or_else(|| workshop.timetable.target_slot(workshop.clock.now()));
    let (l1, turn, funds) = futures::join!(l1(node), turn(node, slot), funds::balances(&node.inner));
    let engine = node.engine.status().borrow().clone();
    let signer_refusal = match &turn {
        Turn::Ours { key } => super::status::signer(node).refusal(*key, slot),
        Turn::Theirs { .. } | Turn::Unknown(_) => None,
    };
    let facts = Facts {
        slot,
        roles: node.inner.config.roles,
        wish: node.inner.store.wish().await.ok().flatten().map(Into::into),
        actual: ActualState::from(&engine),
        failure: engine.failure,
        l1,
        followed: workshop.chain.tip().borrow().map(|tip| tip.number),
        turn,
        keys: workshop.signer.addresses().len(),
        signer_open: workshop.signer.is_started(),
        signer_refusal,
        funds: funds.map_err(|error| error_chain(&error)),
        moments: moments(node, slot),
        ahead: ahead(node, slot),
        publishing: workshop.publishing(),
        progress: progress(node, slot),
    };
    judge(&facts)
}

async fn l1(node: &Node) -> L1Fact {
    let answer = node.inner.workshop.view.client().chain_id().await;
    let head = *node.inner.head.borrow();
    L1Fact {
        head: head.number,
        age: node.inner.clock.now().since(head.timestamp.into()),
        allowed: L1_HEADS_MISSED * node.timetable().times().ethereum_slot(),
        error: answer.err().map(|error| error_chain(&error)),
    }
}

async fn turn(node: &Node, slot: Slot) -> Turn {
    let workshop = &node.inner.workshop;
    let committee = match workshop.committees.of_slot(slot).await {
        Ok(committee) => committee,
        Err(error) => return Turn::Unknown(error_chain(&error)),
    };
    let ours = workshop.signer.addresses();
    match (committee.proposer(slot), ours.first()) {
        (Some(key), _) if ours.contains(&key) => Turn::Ours { key },
        (None, Some(key)) => Turn::Ours { key: *key },
        (proposer, _) => Turn::Theirs { proposer, next_ours: next_ours(node, slot) },
    }
}

/// The next slot that is ours, in the epochs whose committee has been read.
fn next_ours(node: &Node, slot: Slot) -> Option<Slot> {
    let workshop = &node.inner.workshop;
    let ours = workshop.signer.addresses();
    let mut next = slot.next();
    while let Some(committee) = workshop.committees.known(next) {
        if committee.proposer(next).is_some_and(|proposer| ours.contains(&proposer)) {
            return Some(next);
        }
        next = next.next();
    }
    None
}

fn moments(node: &Node, slot: Slot) -> Moments {
    let (now, table) = (node.inner.clock.now(), node.timetable());
    let from_now = |at: UnixTime| if at > now { FromNow::In(at.since(now)) } else { FromNow::Ago(now.since(at)) };
    Moments {
        frame: from_now(table.build_frame_start(slot)),
        start_deadline: from_now(table.start_deadline(slot)),
        end: from_now(table.start(slot.next())),
    }
}

/// Earlier slots whose checkpoint is not on L1 yet.
fn ahead(node: &Node, slot: Slot) -> Vec<Slot> {
    node.inner.workshop.phases.now().into_iter().map(|(busy, _)| busy).filter(|busy| *busy < slot).collect()
}

fn progress(node: &Node, slot: Slot) -> Progress {
    let workshop = &node.inner.workshop;
    if let Some(landed) = workshop.last_landed.borrow().as_ref().filter(|landed| landed.slot == slot) {
        return Progress::Landed { checkpoint: landed.number, l1_block: landed.l1_block };
    }
    if *workshop.last_withheld.borrow() == Some(slot) {
        return Progress::Withheld;
    }
    let busy = workshop.phases.now().into_iter().find(|(busy, _)| *busy == slot);
    busy.map_or(Progress::None, |(_, phase)| Progress::UnderWay(doing(phase).to_owned()))
}

const fn doing(phase: Phase) -> &'static str {
    match phase {
        Phase::Building => "its blocks are being built",
        Phase::Proposing => "its checkpoint is being assembled and signed",
        Phase::Collecting => "its committee attests",
        Phase::Publishing => "its L1 transaction is on the way",
    }
}
