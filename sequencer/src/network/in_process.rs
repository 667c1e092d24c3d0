//! A network of nodes in one process, whose links behave as they are told to.

mod link;
mod links;
mod member;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy::primitives::Bytes;
use fermata_primitives::{SharedClock, UnixTime};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::link::Route;
use self::links::{Arrivals, Flight, Links};
use self::member::Member;
use super::{Dropped, NetworkError, NodeId};
use crate::tasks::Tasks;

pub use link::{LinkSettings, Share};
pub use member::InProcessNetwork;

/// What is on the way between two nodes.
#[derive(Clone, Debug)]
enum Parcel {
    /// A message.
    Message(Bytes),
    /// A request, by the number its sender knows it by.
    Query(u64, Bytes),
    /// The answer to the request of that number.
    Answer(u64, Bytes),
}

impl Parcel {
    const fn bytes(&self) -> &Bytes {
        match self {
            Self::Message(bytes) | Self::Query(_, bytes) | Self::Answer(_, bytes) => bytes,
        }
    }
}

/// Connects nodes of one process, and owns the task that carries messages between them. Once it is dropped or closed nothing
/// arrives any more.
///
/// Moments are those of its clock: a jump forwards lets arrive what is due by then, a jump back holds up what is on the way.
#[derive(Debug)]
pub struct Hub {
    exchange: Arc<Exchange>,
    tasks: Tasks,
    ended: DropGuard,
}

impl Hub {
    /// A network without nodes, whose links are perfect. The same seed and the same sends on the links are the same
    /// deliveries.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(seed: u64, clock: SharedClock) -> Self {
        let exchange = Arc::new(Exchange {
            clock,
            links: Mutex::new(Links::new(seed)),
            members: Mutex::default(),
            earlier: Notify::new(),
            requests: AtomicU64::new(0),
        });
        let (tasks, ended) = (Tasks::default(), CancellationToken::new());
        tasks.spawn(carry(Arc::clone(&exchange), ended.clone()));
        Self { exchange, tasks, ended: ended.drop_guard() }
    }

    /// Lets a node take part, until what this gives is dropped.
    ///
    /// # Errors
    /// [`NetworkError::NameTaken`].
    pub fn join(&self, id: NodeId) -> Result<Arc<InProcessNetwork>, NetworkError> {
        let mut members = self.exchange.members();
        if members.contains_key(&id) {
            return Err(NetworkError::NameTaken(id));
        }
        let member = Arc::<Member>::default();
        members.insert(id.clone(), Arc::clone(&member));
        Ok(Arc::new(InProcessNetwork::new(id, member, Arc::clone(&self.exchange))))
    }

    /// Every link behaves like this from now on, also those that were set by themselves. What is on the way arrives as it
    /// would have.
    pub fn set_every_link(&self, settings: LinkSettings) {
        self.exchange.links().set_every(settings);
    }

    /// The link from one node to another behaves like this from now on; the way back is a link of its own.
    pub fn set_link(&self, from: &NodeId, to: &NodeId, settings: LinkSettings) {
        self.exchange.links().set(Route { from: from.clone(), to: to.clone() }, settings);
    }

    /// Nodes reach those of their own side alone; those that stand on none of the sides reach one another. What is on the
    /// way across arrives only if it is due after the partition has healed. Nobody is told: messages vanish.
    pub fn partition(&self, sides: &[&[NodeId]]) {
        let sides = sides.iter().map(|side| side.iter().cloned().collect::<BTreeSet<_>>()).collect();
        self.exchange.links().partition(sides);
    }

    /// All nodes reach all others again.
    pub fn heal(&self) {
        self.exchange.links().partition(Vec::new());
    }

    /// Ends the network; nothing arrives any more once this resolves.
    pub async fn close(self) {
        let Self { exchange: _, tasks, ended } = self;
        drop(ended);
        tasks.settle().await;
    }
}

/// What the nodes and the hub share.
#[derive(Debug)]
struct Exchange {
    clock: SharedClock,
    links: Mutex<Links<Parcel>>,
    members: Mutex<BTreeMap<NodeId, Arc<Member>>>,
    /// Something arrives before all that was on the way.
    earlier: Notify,
    /// Requests made so far.
    requests: AtomicU64,
}

impl Exchange {
    fn links(&self) -> MutexGuard<'_, Links<Parcel>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<NodeId, Arc<Member>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn member(&self, id: &NodeId) -> Option<Arc<Member>> {
        self.members().get(id).cloned()
    }

    /// A number for a request.
    fn number(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    /// Puts a parcel on its way.
    fn send(&self, flight: Flight<Parcel>) -> Result<(), Dropped> {
        let mut links = self.links();
        let next = links.next_due();
        let due = links.send(self.clock.now(), flight)?;
        drop(links);
        if next.is_none_or(|next| due < next) {
            self.earlier.notify_one();
        }
        Ok(())
    }

    /// Hands over all that is due, and gives the moment at which there is more.
    fn deliver(self: &Arc<Self>) -> Option<UnixTime> {
        let Arrivals { arrived, cut_off } = self.links().take_due(self.clock.now());
        for flight in arrived {
            match self.member(&flight.route.to) {
                Some(member) => member.take(flight, self),
                None => self.count_dropped(&flight.route.from, Dropped::Gone),
            }
        }
        for flight in cut_off {
            self.count_dropped(&flight.route.from, Dropped::CutOff);
        }
        self.links().next_due()
    }

    fn count_dropped(&self, sender: &NodeId, reason: Dropped) {
        if let Some(member) = self.member(sender) {
            member.intake.count_dropped(reason);
        }
    }
}

/// Delivers what is due, whenever it is, until `ended`.
async fn carry(exchange: Arc<Exchange>, ended: CancellationToken) {
    while !ended.is_cancelled() {
        let next = exchange.deliver();
        let due = async {
            match next {
                Some(due) => exchange.clock.sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = ended.cancelled() => {}
            () = exchange.earlier.notified() => {}
            () = due => {}
        }
    }
}
