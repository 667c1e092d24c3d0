//! How others bid: their first bid, and when and by how much they raise it, as arithmetic.

use crate::common::bidding::Fared;
use crate::common::market::{Course, GWEI, Load, Prices};

/// Most for gas, tip, most for blob gas, in wei.
type Bid = [u128; 3];

/// How somebody bids.
pub(crate) struct Model {
    pub(crate) name: &'static str,
    /// At this head, so many blocks after the first bid.
    fresh: fn(&Prices, usize) -> Bid,
    /// Blocks between two bids.
    patience: usize,
    /// Most raises.
    most_raises: usize,
    /// The percent that a raise adds at least, without blobs and with.
    raise: [u128; 2],
    raise_is: Raise,
}

/// How a raise comes about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Raise {
    /// Whatever the fees are.
    Always,
    /// Where it would pay for the next block.
    WhereItHelps,
}

/// The models, as their constants were when this was written.
pub(crate) const MODELS: [Model; 3] = [
    Model {
        name: "op txmgr (model)",
        fresh: op,
        patience: 4,
        most_raises: usize::MAX,
        raise: [10, 100],
        raise_is: Raise::Always,
    },
    Model {
        name: "aztec 4.1.2 (model)",
        fresh: aztec,
        patience: 1,
        most_raises: 3,
        raise: [50, 100],
        raise_is: Raise::Always,
    },
    Model {
        name: "zksync-era (model)",
        fresh: zksync,
        patience: 1,
        most_raises: usize::MAX,
        raise: [10, 100],
        raise_is: Raise::WhereItHelps,
    },
];

/// Twice the base fee, a tip and a blob fee of at least one gwei.
fn op(head: &Prices, _waited: usize) -> Bid {
    let tip = head.suggested_tip.max(GWEI);
    [2 * head.base_fee.max(GWEI) + tip, tip, (2 * head.blob_base_fee).max(GWEI)]
}

/// A fifth on the tip, and fees that survive one more block than the next: its stall time.
fn aztec(head: &Prices, _waited: usize) -> Bid {
    let tip = head.suggested_tip * 120 / 100;
    let grown = |fee: u128| (fee * 9 / 8) * 9 / 8 + 1;
    [grown(head.base_fee) + tip, tip, grown(head.blob_base_fee)]
}

/// A tenth on the usual base fee, a thousandth more for each block waited, a tip of one gwei. In a course that begins now the
/// usual fee is the head's at its beginning.
fn zksync(head: &Prices, waited: usize) -> Bid {
    let factor = 1.1 * 1.001_f64.powi(i32::try_from(waited).unwrap_or(i32::MAX));
    let grown = |fee: u128| (fee as f64 * factor) as u128 + 1;
    [grown(head.base_fee) + GWEI, GWEI, grown(head.blob_base_fee)]
}

/// How a transaction of `model` fares on `course`.
pub(crate) fn fare(model: &Model, course: &Course, load: Load) -> Fared {
    let (mut bid, mut bids, mut last) = ((model.fresh)(&course.head, 0), 1, 0);
    for (number, block) in course.blocks.iter().enumerate() {
        if block.admits(bid, load) {
            let tip = bid[1].min(bid[0] - block.base_fee);
            return Fared { block: Some(number), paid: block.cost(tip, load), bids };
        }
        let waited = number + 1;
        if waited - last >= model.patience && bids <= model.most_raises {
            let raised = model.raised(bid, &(model.fresh)(block, waited), load);
            if model.raise_is == Raise::Always || raised[0] > block.base_fee {
                (bid, bids, last) = (raised, bids + 1, waited);
            }
        }
    }
    Fared { block: None, paid: 0, bids }
}

impl Model {
    fn raised(&self, old: Bid, fresh: &Bid, load: Load) -> Bid {
        let percent = self.raise[usize::from(load == Load::Blobs)];
        std::array::from_fn(|field| fresh[field].max((old[field] * (100 + percent)).div_ceil(100) + 1))
    }
}
