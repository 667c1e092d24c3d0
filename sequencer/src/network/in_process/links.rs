//! All links of a network and what is on the way on them: a value that knows no clock and no runtime.
//!
//! What a receiver gets depends on the seed, the settings and the sends of each link alone, not on how the sends of several links
//! fell between one another: the same seed and the same sends are the same deliveries.

use std::collections::{BTreeMap, BTreeSet};

use fermata_primitives::UnixTime;

use super::link::{LinkSettings, Lots, Route};
use crate::network::{Dropped, NodeId};

/// Messages that may be on the way on one link.
pub(super) const MAX_ON_THE_WAY: usize = 1_024;

/// A message on the way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Flight<P> {
    pub(super) route: Route,
    /// It does not set out where it could not arrive by then.
    pub(super) deadline: UnixTime,
    pub(super) parcel: P,
}

/// What has arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Arrivals<P> {
    /// In the order of their arrival.
    pub(super) arrived: Vec<Flight<P>>,
    /// On the way when their link was cut off, and cut off still.
    pub(super) cut_off: Vec<Flight<P>>,
}

/// The order of arrival; at the same moment by route, and on one route as they were sent.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Arrival {
    due: UnixTime,
    route: Route,
    nth: u64,
}

#[derive(Clone, Default, Debug)]
struct Link {
    /// Its own; where there are none, those of every link.
    settings: Option<LinkSettings>,
    /// Messages it was given so far, lost ones too.
    sent: u64,
    on_the_way: usize,
}

/// The links.
#[derive(Clone, Debug)]
pub(super) struct Links<P> {
    seed: u64,
    every: LinkSettings,
    links: BTreeMap<Route, Link>,
    sides: Vec<BTreeSet<NodeId>>,
    flights: BTreeMap<Arrival, Flight<P>>,
}

impl<P> Links<P> {
    /// Perfect links.
    pub(super) fn new(seed: u64) -> Self {
        let every = LinkSettings::default();
        Self { seed, every, links: BTreeMap::new(), sides: Vec::new(), flights: BTreeMap::new() }
    }

    /// Every link behaves like this from now on, also those that were set by themselves.
    pub(super) fn set_every(&mut self, settings: LinkSettings) {
        self.every = settings;
        self.links.values_mut().for_each(|link| link.settings = None);
    }

    /// This link behaves like this from now on. What is on the way arrives as it would have.
    pub(super) fn set(&mut self, route: Route, settings: LinkSettings) {
        self.links.entry(route).or_default().settings = Some(settings);
    }

    /// Nodes reach those of their own side alone; those that stand on none of the sides reach one another. No sides: all
    /// reach all.
    pub(super) fn partition(&mut self, sides: Vec<BTreeSet<NodeId>>) {
        self.sides = sides;
    }

    /// Sends a message at `now`, and gives the moment at which it arrives.
    ///
    /// # Errors
    /// Why it never will.
    pub(super) fn send(&mut self, now: UnixTime, flight: Flight<P>) -> Result<UnixTime, Dropped> {
        let is_cut_off = self.is_cut_off(&flight.route);
        let link = self.links.entry(flight.route.clone()).or_default();
        let lots = Lots::draw(self.seed, &flight.route, link.sent);
        link.sent += 1;
        if is_cut_off {
            return Err(Dropped::CutOff);
        }
        if link.on_the_way >= MAX_ON_THE_WAY {
            return Err(Dropped::LinkFull);
        }
        let delay = link.settings.unwrap_or(self.every).delay(lots).ok_or(Dropped::Lost)?;
        let due = now + delay;
        if due > flight.deadline {
            return Err(Dropped::Late);
        }
        link.on_the_way += 1;
        let arrival = Arrival { due, route: flight.route.clone(), nth: link.sent };
        self.flights.insert(arrival, flight);
        Ok(due)
    }

    /// When the next message arrives; `None` where none is on the way.
    pub(super) fn next_due(&self) -> Option<UnixTime> {
        self.flights.first_key_value().map(|(arrival, _)| arrival.due)
    }

    /// Takes what has arrived by `now`.
    pub(super) fn take_due(&mut self, now: UnixTime) -> Arrivals<P> {
        let mut arrivals = Arrivals { arrived: Vec::new(), cut_off: Vec::new() };
        while self.next_due().is_some_and(|due| due <= now) {
            let Some((_, flight)) = self.flights.pop_first() else { break };
            if let Some(link) = self.links.get_mut(&flight.route) {
                link.on_the_way -= 1;
            }
            let is_cut_off = self.is_cut_off(&flight.route);
            if is_cut_off { arrivals.cut_off.push(flight) } else { arrivals.arrived.push(flight) }
        }
        arrivals
    }

    fn is_cut_off(&self, route: &Route) -> bool {
        let side = |node| self.sides.iter().position(|side| side.contains(node));
        side(&route.from) != side(&route.to)
    }
}

#[cfg(test)]
mod tests;
