//! How one link behaves, and what becomes of each message on it.
//!
//! Nothing here is drawn from a generator with a state: what happens to the nth message of a link is a hash of the seed, the
//! link and n. So it does not depend on what other links carry meanwhile, nor on how the link was set before.

use std::time::Duration;

use alloy::primitives::keccak256;

use crate::network::NodeId;

/// A share of messages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Share {
    millionths: u32,
}

impl Share {
    /// None of them.
    pub const NONE: Self = Self::millionths(0);
    /// All of them.
    pub const ALL: Self = Self::millionths(1_000_000);

    /// So many of a hundred; more than a hundred are all.
    #[must_use]
    pub const fn percent(percent: u8) -> Self {
        Self::millionths(percent as u32 * 10_000)
    }

    /// So many of a million; more than a million are all.
    #[must_use]
    pub const fn millionths(millionths: u32) -> Self {
        Self { millionths: if millionths > 1_000_000 { 1_000_000 } else { millionths } }
    }

    /// Whether a message with this lot belongs to the share.
    const fn takes(self, lot: u64) -> bool {
        scaled(1_000_000, lot) < self.millionths as u128
    }
}

/// `lot` as a part of `whole`, from 0 to less than it.
const fn scaled(whole: u64, lot: u64) -> u128 {
    (whole as u128 * lot as u128) >> 64
}

/// How a link behaves, in one direction. The default is a perfect one.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LinkSettings {
    /// How long each message takes, at least.
    pub latency: Duration,
    /// How much longer one may take, evenly spread. A message may thereby overtake the one before.
    pub jitter: Duration,
    /// How many are lost.
    pub loss: Share,
    /// How many are held back, so that later ones overtake them.
    pub reorder: Share,
    /// For how long those are held back.
    pub held_back: Duration,
}

impl LinkSettings {
    /// How long a message with these lots takes; `None` where it is lost.
    pub(super) fn delay(&self, lots: Lots) -> Option<Duration> {
        if self.loss.takes(lots.loss) {
            return None;
        }
        let jitter = u64::try_from(self.jitter.as_nanos()).unwrap_or(u64::MAX);
        let jitter = u64::try_from(scaled(jitter, lots.jitter)).map_or(Duration::MAX, Duration::from_nanos);
        let held_back = if self.reorder.takes(lots.reorder) { self.held_back } else { Duration::ZERO };
        Some(self.latency.saturating_add(jitter).saturating_add(held_back))
    }
}

/// One direction between two nodes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Route {
    pub(super) from: NodeId,
    pub(super) to: NodeId,
}

/// What chance has in store for a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lots {
    loss: u64,
    jitter: u64,
    reorder: u64,
}

impl Lots {
    /// The lots of the `nth` message on a route.
    pub(super) fn draw(seed: u64, route: &Route, nth: u64) -> Self {
        let from = route.from.as_str().as_bytes();
        let preimage = [
            &seed.to_be_bytes(),
            &nth.to_be_bytes(),
            &(from.len() as u64).to_be_bytes(),
            from,
            route.to.as_str().as_bytes(),
        ];
        let hash = keccak256(preimage.concat());
        let lot = |at: usize| u64::from_be_bytes(hash[at..at + 8].try_into().expect("eight bytes of thirty-two"));
        Self { loss: lot(0), jitter: lot(8), reorder: lot(16) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lots(loss: u64, jitter: u64, reorder: u64) -> Lots {
        Lots { loss, jitter, reorder }
    }

    #[test]
    fn a_perfect_link_takes_no_time_and_loses_nothing() {
        for lot in [0, 1, u64::MAX] {
            assert_eq!(LinkSettings::default().delay(lots(lot, lot, lot)), Some(Duration::ZERO));
        }
    }

    #[test]
    fn a_share_takes_the_lots_below_it() {
        assert!(Share::ALL.takes(u64::MAX) && !Share::NONE.takes(0));
        assert!(Share::percent(50).takes(u64::MAX / 2) && !Share::percent(50).takes(u64::MAX / 2 + 1));
        assert_eq!(Share::percent(200), Share::ALL);
    }

    #[test]
    fn latency_jitter_and_holding_back_add_up() {
        let link = LinkSettings {
            latency: Duration::from_millis(100),
            jitter: Duration::from_millis(40),
            loss: Share::percent(10),
            reorder: Share::percent(50),
            held_back: Duration::from_secs(1),
        };
        let kept = u64::MAX / 2;
        assert_eq!(link.delay(lots(0, 0, u64::MAX)), None);
        assert_eq!(link.delay(lots(kept, 0, u64::MAX)), Some(Duration::from_millis(100)));
        assert_eq!(link.delay(lots(kept, 1 << 63, u64::MAX)), Some(Duration::from_millis(120)));
        assert_eq!(link.delay(lots(kept, 1 << 63, 0)), Some(Duration::from_millis(1_120)));
        let endless = LinkSettings { latency: Duration::MAX, jitter: Duration::MAX, ..link };
        assert_eq!(endless.delay(lots(kept, kept, 0)), Some(Duration::MAX));
    }
}
