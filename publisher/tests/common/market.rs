//! Courses of L1's fees, drawn by seed.

use alloy::eips::eip4844::DATA_GAS_PER_BLOB;
use alloy::primitives::{U256, keccak256};

pub const GWEI: u128 = 1_000_000_000;
/// Gas of a transaction.
const GAS: u128 = 300_000;
/// Most the base fee rises from a block to the next.
const STEEPEST: f64 = 1.125;
/// Most the blob base fee rises from a block to the next.
const STEEPEST_BLOB: f64 = 1.0817;
/// Of a hundred blocks, as many have no place for us: a slot without a block, or a builder that has not heard of us.
const MISSED_PERCENT: f64 = 3.0;
/// Tips of as many blocks are what a node suggests by.
const TIPS_LOOKED_AT: usize = 10;

/// What a transaction carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Load {
    /// A call.
    Call,
    /// A call and a blob.
    Blobs,
}

impl Load {
    /// How many blobs those are.
    pub const fn blobs(self) -> usize {
        match self {
            Self::Call => 0,
            Self::Blobs => 1,
        }
    }
}

/// What one block asks for, in wei.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prices {
    pub base_fee: u128,
    pub blob_base_fee: u128,
    /// The least tip that gets in; none gets in without one.
    pub least_tip: Option<u128>,
    /// What a node suggests as a tip once it has seen this block.
    pub suggested_tip: u128,
}

impl Prices {
    /// What it costs to be in this block with this tip.
    pub const fn cost(&self, tip: u128, load: Load) -> u128 {
        let blob_gas = load.blobs() as u128 * DATA_GAS_PER_BLOB as u128;
        GAS * (self.base_fee + tip) + blob_gas * self.blob_base_fee
    }

    /// The least that it costs to be in this block.
    pub fn least_cost(&self, load: Load) -> Option<u128> {
        self.least_tip.map(|tip| self.cost(tip, load))
    }

    /// True when this bid, most for gas, tip, and most for blob gas, gets in.
    pub fn admits(&self, [max_fee, tip, blob_fee]: [u128; 3], load: Load) -> bool {
        let pays_blobs = load == Load::Call || blob_fee >= self.blob_base_fee;
        self.least_tip.is_some_and(|least| tip >= least && max_fee >= self.base_fee + least) && pays_blobs
    }
}

/// The head at which a transaction is asked for, and the blocks that it has time for.
#[derive(Clone, Debug)]
pub struct Course {
    pub head: Prices,
    pub blocks: Vec<Prices>,
}

impl Course {
    /// The least that it could have cost to land, by who knows all blocks beforehand.
    pub fn least_cost(&self, load: Load) -> Option<u128> {
        self.blocks.iter().filter_map(|block| block.least_cost(load)).min()
    }
}

/// A kind of course.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Weather {
    pub name: &'static str,
    /// Blocks that a transaction has time for.
    pub blocks: usize,
    /// Of the first as many blocks everyone is left out who does not outbid all.
    pub left_out: usize,
    pub base_fee: Path,
    pub blob_fee: Path,
    pub load: Load,
}

/// How a fee goes from block to block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Path {
    /// As steeply upwards as can be.
    Rises,
    /// Up and down by chance, for some blocks in one direction.
    Wanders,
}

/// As the base fee rises as steeply as it can for eight blocks.
pub const BASE_RAMP: Weather = Weather {
    name: "base fee x1.125 for 8 blocks",
    blocks: 8,
    left_out: 0,
    base_fee: Path::Rises,
    blob_fee: Path::Wanders,
    load: Load::Call,
};

/// As the blob fee rises as steeply as it can for eight blocks.
pub const BLOB_RAMP: Weather = Weather {
    name: "blob fee x1.0817 for 8 blocks",
    blocks: 8,
    left_out: 0,
    base_fee: Path::Wanders,
    blob_fee: Path::Rises,
    load: Load::Blobs,
};

/// As the base fee rises for twelve blocks, and the first six have no place.
pub const CONGESTION: Weather =
    Weather { name: "base fee x1.125 for 12 blocks, left out of 6", blocks: 12, left_out: 6, ..BASE_RAMP };

/// As the blob fee rises for twenty-four blocks, and the first twelve have no place.
pub const LONG_BLOB_RAMP: Weather =
    Weather { name: "blob fee x1.0817 for 24 blocks, left out of 12", blocks: 24, left_out: 12, ..BLOB_RAMP };

/// Ordinary times, for a slot of six blocks.
pub const ORDINARY: Weather = Weather {
    name: "up and down, a slot of 6 blocks",
    blocks: 6,
    left_out: 0,
    base_fee: Path::Wanders,
    blob_fee: Path::Wanders,
    load: Load::Blobs,
};

impl Weather {
    /// The course of this seed. The base fee begins between these two, in gwei.
    pub fn course(&self, seed: u64, (least_gwei, most_gwei): (f64, f64)) -> Course {
        let mut chance = Chance::new(self.name, seed);
        let mut base = Fee::begin(self.base_fee, chance.log_between(least_gwei, most_gwei) * GWEI as f64, STEEPEST);
        let mut blob = Fee::begin(self.blob_fee, chance.log_between(1.0, 20.0 * GWEI as f64), STEEPEST_BLOB);
        let usual_tip = chance.log_between(0.01, 1.0) * GWEI as f64;
        let mut tips: Vec<u128> = (0..TIPS_LOOKED_AT).map(|_| least_tip(usual_tip, &mut chance)).collect();
        let head = prices((&base, &blob), &tips);
        let mut blocks = Vec::with_capacity(self.blocks);
        for number in 0..self.blocks {
            base.step(&mut chance);
            blob.step(&mut chance);
            tips.push(least_tip(usual_tip, &mut chance));
            let has_place = number >= self.left_out && chance.unit() * 100.0 >= MISSED_PERCENT;
            let block = prices((&base, &blob), &tips);
            blocks.push(Prices { least_tip: block.least_tip.filter(|_| has_place), ..block });
        }
        Course { head, blocks }
    }
}

fn prices((base, blob): (&Fee, &Fee), tips: &[u128]) -> Prices {
    let mut looked_at = tips[tips.len() - TIPS_LOOKED_AT..].to_vec();
    looked_at.sort_unstable();
    Prices {
        base_fee: base.wei as u128,
        blob_base_fee: (blob.wei as u128).max(1),
        least_tip: tips.last().copied(),
        suggested_tip: looked_at[TIPS_LOOKED_AT * 6 / 10],
    }
}

/// A block's least tip lies around the usual one.
fn least_tip(usual: f64, chance: &mut Chance) -> u128 {
    (usual * chance.log_between(0.7, 1.4)) as u128
}

struct Fee {
    path: Path,
    wei: f64,
    steepest: f64,
    /// Where it wanders to: from 0, steeply down, to 1, steeply up.
    direction: f64,
}

impl Fee {
    const fn begin(path: Path, wei: f64, steepest: f64) -> Self {
        Self { path, wei, steepest, direction: 0.5 }
    }

    fn step(&mut self, chance: &mut Chance) {
        match self.path {
            Path::Rises => self.wei *= self.steepest,
            Path::Wanders => {
                self.direction = (self.direction + chance.unit()) / 2.0;
                self.wei *= self.steepest.powf(2.0 * self.direction - 1.0);
            }
        }
        // A header has whole wei, and never more than the steepest rise of the last one's.
        self.wei = self.wei.floor().max(1.0);
    }
}

/// Numbers drawn by seed.
struct Chance {
    state: U256,
}

impl Chance {
    fn new(name: &str, seed: u64) -> Self {
        Self { state: U256::from_be_bytes(keccak256(format!("{name} {seed}")).0) }
    }

    /// From 0 to below 1.
    fn unit(&mut self) -> f64 {
        self.state = U256::from_be_bytes(keccak256(self.state.to_be_bytes::<32>()).0);
        (self.state.as_limbs()[0] >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Each order of magnitude as likely.
    fn log_between(&mut self, least: f64, most: f64) -> f64 {
        least * (most / least).powf(self.unit())
    }
}
