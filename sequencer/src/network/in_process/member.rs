//! A node's end of the links.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use alloy::primitives::{B256, Bytes};
use fermata_execution::Block;
use fermata_primitives::UnixTime;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;

use super::link::Route;
use super::links::Flight;
use super::{Exchange, Parcel};
use crate::network::{
    Attestation, BlockAnswer, BlockQuery, BlockRequests, Dispatch, Dropped, Inbox, Intake, Message, MessageError,
    Network, NetworkError, NodeId, ProposedBlock, ProposedCheckpoint, Recipient, Signed, Traffic, WireForm as _,
};

/// An answer, as far as it can be read.
type Answer = Result<BlockAnswer, MessageError>;

/// What a node hears with.
#[derive(Debug, Default)]
pub(super) struct Member {
    pub(super) intake: Intake,
    /// Requests that wait for their answer, each by the node it was sent to and its number.
    waiting: Mutex<BTreeMap<(NodeId, u64), oneshot::Sender<Answer>>>,
}

impl Member {
    /// Takes what has arrived. Never waits.
    pub(super) fn take(&self, flight: Flight<Parcel>, exchange: &Arc<Exchange>) {
        let Flight { route, deadline, parcel } = flight;
        match parcel {
            Parcel::Message(bytes) => self.intake.accept(route.from, &bytes),
            Parcel::Answer(number, bytes) => self.take_answer(route.from, number, &bytes),
            Parcel::Query(number, bytes) => {
                let (exchange, back) = (Arc::clone(exchange), Route { from: route.to, to: route.from.clone() });
                let reply = move |answer| answer_query(&exchange, back, deadline, (number, answer));
                self.intake.accept_request(route.from, &bytes, deadline, reply);
            }
        }
    }

    fn take_answer(&self, from: NodeId, number: u64, bytes: &[u8]) {
        let answer = self.intake.read_answer(&from, bytes);
        let waiting = self.waiting(|waiting| waiting.remove(&(from, number)));
        if waiting.is_none_or(|waiting| waiting.send(answer).is_err()) {
            self.intake.count_dropped(Dropped::Late);
        }
    }

    fn waiting<T>(&self, act: impl FnOnce(&mut BTreeMap<(NodeId, u64), oneshot::Sender<Answer>>) -> T) -> T {
        act(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Sends an answer back, where there still is somebody to send it.
fn answer_query(exchange: &Exchange, route: Route, deadline: UnixTime, (number, answer): (u64, BlockAnswer)) {
    let Some(member) = exchange.member(&route.from) else { return };
    let sent = answer.to_frame().map_err(|error| Dropped::from(&error)).and_then(|bytes| {
        member.intake.count_sent(bytes.len());
        exchange.send(Flight { route, deadline, parcel: Parcel::Answer(number, bytes) })
    });
    if let Err(reason) = sent {
        member.intake.count_dropped(reason);
    }
}

/// A node's place in a [`super::Hub`]. Dropped, the node has left: its inboxes end, and its name may be taken again.
#[derive(Debug)]
pub struct InProcessNetwork {
    id: NodeId,
    member: Arc<Member>,
    exchange: Arc<Exchange>,
}

impl InProcessNetwork {
    pub(super) const fn new(id: NodeId, member: Arc<Member>, exchange: Arc<Exchange>) -> Self {
        Self { id, member, exchange }
    }

    /// Sends bytes as they are to every other node, as one that means harm might.
    ///
    /// # Errors
    /// [`NetworkError::Late`].
    pub fn send_bytes(&self, bytes: Bytes, deadline: UnixTime) -> Result<Dispatch, NetworkError> {
        self.dispatch(self.peers(), &Parcel::Message(bytes), deadline)
    }

    fn dispatch(&self, to: Vec<NodeId>, parcel: &Parcel, deadline: UnixTime) -> Result<Dispatch, NetworkError> {
        let now = self.exchange.clock.now();
        if now > deadline {
            return Err(NetworkError::Late { by: now.since(deadline) });
        }
        let mut dispatch = Dispatch::default();
        for to in to {
            let route = Route { from: self.id.clone(), to: to.clone() };
            let sent = self.exchange.send(Flight { route, deadline, parcel: parcel.clone() });
            if let Err(reason) = sent {
                self.member.intake.count_dropped(reason);
            }
            if sent == Err(Dropped::LinkFull) {
                dispatch.full.push(to);
            } else {
                self.member.intake.count_sent(parcel.bytes().len());
                dispatch.on_the_way += 1;
            }
        }
        Ok(dispatch)
    }

    fn recipients(&self, to: Recipient) -> Result<Vec<NodeId>, NetworkError> {
        match to {
            Recipient::Everyone => Ok(self.peers()),
            Recipient::Node(id) => self.connected(id).map(|id| vec![id]),
        }
    }

    fn connected(&self, id: NodeId) -> Result<NodeId, NetworkError> {
        let is_peer = id != self.id && self.exchange.members().contains_key(&id);
        if is_peer { Ok(id) } else { Err(NetworkError::NotConnected(id)) }
    }

    fn send_message(&self, to: Recipient, message: &Message, deadline: UnixTime) -> Result<Dispatch, NetworkError> {
        let to = self.recipients(to)?;
        let bytes = message.encode().map_err(NetworkError::Unsendable)?;
        self.dispatch(to, &Parcel::Message(bytes), deadline)
    }

    async fn ask(&self, from: NodeId, hashes: Vec<B256>, deadline: UnixTime) -> Result<Vec<Block>, NetworkError> {
        let from = self.connected(from)?;
        let query = BlockQuery::new(hashes.clone()).to_frame().map_err(NetworkError::Unsendable)?;
        let mut waiting = Waiting::begin(&self.member, from.clone(), self.exchange.number());
        let sent = self.dispatch(vec![from.clone()], &Parcel::Query(waiting.key.1, query), deadline)?;
        if !sent.full.is_empty() {
            return Err(NetworkError::Full(from));
        }
        let answer = tokio::select! {
            biased;
            Ok(answer) = &mut waiting.answer => answer,
            () = self.exchange.clock.sleep_until(deadline) => return Err(NetworkError::NoAnswer(from)),
        };
        let asked = answer.and_then(|answer| answer.into_asked(&hashes));
        asked.map_err(|source| {
            if let MessageError::NotAskedFor(_) = source {
                self.member.intake.count_dropped(Dropped::NotAskedFor);
            }
            NetworkError::BadAnswer { from, source }
        })
    }
}

/// A request that waits for its answer. Dropped, nobody waits for it any more.
struct Waiting<'a> {
    member: &'a Member,
    key: (NodeId, u64),
    answer: oneshot::Receiver<Answer>,
}

impl<'a> Waiting<'a> {
    fn begin(member: &'a Member, from: NodeId, number: u64) -> Self {
        let (sender, answer) = oneshot::channel();
        let key = (from, number);
        member.waiting(|waiting| waiting.insert(key.clone(), sender));
        Self { member, key, answer }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.member.waiting(|waiting| waiting.remove(&self.key));
    }
}

impl Drop for InProcessNetwork {
    fn drop(&mut self) {
        self.exchange.members().remove(&self.id);
    }
}

impl Network for InProcessNetwork {
    fn id(&self) -> &NodeId {
        &self.id
    }

    fn peers(&self) -> Vec<NodeId> {
        self.exchange.members().keys().filter(|peer| **peer != self.id).cloned().collect()
    }

    fn send(
        &self,
        to: Recipient,
        message: Message,
        deadline: UnixTime,
    ) -> BoxFuture<'_, Result<Dispatch, NetworkError>> {
        async move { self.send_message(to, &message, deadline) }.boxed()
    }

    fn block_proposals(&self) -> Inbox<Signed<ProposedBlock>> {
        self.member.intake.block_proposals()
    }

    fn checkpoint_proposals(&self) -> Inbox<Signed<ProposedCheckpoint>> {
        self.member.intake.checkpoint_proposals()
    }

    fn attestations(&self) -> Inbox<Signed<Attestation>> {
        self.member.intake.attestations()
    }

    fn request_blocks(
        &self,
        from: NodeId,
        hashes: Vec<B256>,
        deadline: UnixTime,
    ) -> BoxFuture<'_, Result<Vec<Block>, NetworkError>> {
        self.ask(from, hashes, deadline).boxed()
    }

    fn block_requests(&self) -> BlockRequests {
        self.member.intake.block_requests()
    }

    fn traffic(&self) -> Traffic {
        self.member.intake.traffic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_nobody_waits_for_any_more_leaves_nothing_behind() {
        let member = Member::default();
        let waiting = Waiting::begin(&member, NodeId::new("b"), 1);
        assert_eq!(member.waiting(|waiting| waiting.len()), 1);
        drop(waiting);
        assert_eq!(member.waiting(|waiting| waiting.len()), 0);
    }
}
