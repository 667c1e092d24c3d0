//! Where a receiver takes messages of one kind from.

use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::NodeId;
use super::traffic::{Dropped, TrafficCounter};

/// A message and where it came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received<T> {
    /// The node that sent it; not necessarily whose signature it bears.
    pub from: NodeId,
    /// What it sent.
    pub message: T,
}

/// What an inbox gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Incoming<T> {
    /// A message, shared with the other inboxes of its kind.
    Message(Arc<Received<T>>),
    /// So many of the oldest were dropped, because this inbox was not read in time.
    Missed(u64),
}

/// Messages of one kind, in the order in which they arrived since the subscription. It belongs to its receiver: dropped, it is
/// never called again.
#[derive(Debug)]
pub struct Inbox<T> {
    messages: broadcast::Receiver<Arc<Received<T>>>,
    traffic: Arc<TrafficCounter>,
}

impl<T> Inbox<T> {
    /// The next message; `None` once the node has left the network and all that had arrived was taken.
    ///
    /// # Cancel safety
    /// May be dropped and called again: nothing is lost.
    pub async fn recv(&mut self) -> Option<Incoming<T>> {
        match self.messages.recv().await {
            Ok(message) => Some(Incoming::Message(message)),
            Err(RecvError::Lagged(missed)) => {
                self.traffic.dropped(Dropped::Overflow, missed);
                Some(Incoming::Missed(missed))
            }
            Err(RecvError::Closed) => None,
        }
    }
}

/// The other end of all inboxes of one kind.
#[derive(Debug)]
pub(super) struct Outlet<T> {
    messages: broadcast::Sender<Arc<Received<T>>>,
    traffic: Arc<TrafficCounter>,
}

impl<T> Outlet<T> {
    /// An outlet whose inboxes keep `room` messages each.
    pub(super) fn new(room: usize, traffic: Arc<TrafficCounter>) -> Self {
        Self { messages: broadcast::Sender::new(room), traffic }
    }

    pub(super) fn subscribe(&self) -> Inbox<T> {
        Inbox { messages: self.messages.subscribe(), traffic: Arc::clone(&self.traffic) }
    }

    /// Puts the message into every inbox; never waits.
    pub(super) fn put(&self, from: NodeId, message: T) {
        if self.messages.send(Arc::new(Received { from, message })).is_err() {
            self.traffic.dropped(Dropped::Unheard, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outlet(room: usize) -> (Outlet<u32>, Arc<TrafficCounter>) {
        let traffic = Arc::<TrafficCounter>::default();
        (Outlet::new(room, Arc::clone(&traffic)), traffic)
    }

    async fn next(inbox: &mut Inbox<u32>) -> Option<Result<u32, u64>> {
        Some(match inbox.recv().await? {
            Incoming::Message(received) => Ok(received.message),
            Incoming::Missed(missed) => Err(missed),
        })
    }

    #[tokio::test]
    async fn a_slow_receiver_loses_the_oldest_and_is_told_how_many() {
        let (outlet, traffic) = outlet(4);
        let mut inbox = outlet.subscribe();
        (0..10).for_each(|message| outlet.put(NodeId::new("a"), message));
        drop(outlet);
        let mut heard = Vec::new();
        while let Some(incoming) = next(&mut inbox).await {
            heard.push(incoming);
        }
        assert_eq!(heard, [Err(6), Ok(6), Ok(7), Ok(8), Ok(9)]);
        assert_eq!(traffic.read().dropped(Dropped::Overflow), 6);
    }

    #[tokio::test]
    async fn a_slow_inbox_takes_nothing_from_another() {
        let (outlet, _) = outlet(4);
        let (mut quick, mut slow) = (outlet.subscribe(), outlet.subscribe());
        for message in 0..10 {
            outlet.put(NodeId::new("a"), message);
            assert_eq!(next(&mut quick).await, Some(Ok(message)));
        }
        assert_eq!(next(&mut slow).await, Some(Err(6)));
    }

    #[tokio::test]
    async fn a_dropped_inbox_holds_nothing_and_what_nobody_hears_is_counted() {
        let (outlet, traffic) = outlet(4);
        let inbox = outlet.subscribe();
        drop(inbox);
        outlet.put(NodeId::new("a"), 1);
        assert_eq!(traffic.read().dropped(Dropped::Unheard), 1);
        let mut later = outlet.subscribe();
        outlet.put(NodeId::new("a"), 2);
        assert_eq!(next(&mut later).await, Some(Ok(2)), "what came before the subscription is not told");
    }
}
