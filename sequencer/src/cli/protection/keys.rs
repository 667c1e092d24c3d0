//! `fermata protection retire|prune`: what a store refuses from now on.

use std::str::FromStr;

use alloy::primitives::Address;
use clap::Args;
use fermata_primitives::{Epoch, Slot};
use fermata_validator_signer::{EthPublicKey, KeyChange, Scan};
use serde_json::json;

use super::working::EitherArgs;
use crate::cli::verbs::tell;
use crate::cli::{Console, Failure};

/// A key of a signing store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    /// A rollup's.
    Signer(Address),
    /// An Ethereum validator's.
    PublicKey(EthPublicKey),
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let unreadable = |_| format!("{text} has characters that are no hexadecimal digits");
        match digits.len() {
            40 => text.parse().map(Self::Signer).map_err(unreadable),
            96 => text.parse().map(Self::PublicKey).map_err(unreadable),
            _ => Err("give an address (40 hexadecimal digits) or a BLS public key (96)".to_owned()),
        }
    }
}

/// Rollup keys, and Ethereum's.
pub(super) fn split(keys: &[Key]) -> (Vec<Address>, Vec<EthPublicKey>) {
    let (mut signers, mut public_keys) = (Vec::new(), Vec::new());
    for key in keys {
        match key {
            Key::Signer(signer) => signers.push(*signer),
            Key::PublicKey(public_key) => public_keys.push(*public_key),
        }
    }
    (signers, public_keys)
}

/// Which keys to sign with no more.
#[derive(Args, Clone, Debug)]
pub struct RetireArgs {
    /// The keys, by address or by BLS public key.
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<Key>,
    #[command(flatten)]
    pub(super) at: EitherArgs,
}

/// How much to forget.
#[derive(Args, Clone, Debug)]
pub struct PruneArgs {
    /// The newest finalised slot of the rollup.
    #[arg(long, value_name = "SLOT", required_unless_present = "eth_slot")]
    finalized_slot: Option<u64>,
    /// Slots that are kept behind it.
    #[arg(long, value_name = "SLOTS", default_value_t = 16_384)]
    keep_slots: u64,
    /// Forget blocks of Ethereum keys through this slot.
    #[arg(long, value_name = "SLOT", requires = "eth_target")]
    eth_slot: Option<u64>,
    /// Forget attestations of Ethereum keys through this target epoch.
    #[arg(long, value_name = "EPOCH", requires = "eth_slot")]
    eth_target: Option<u64>,
    #[command(flatten)]
    pub(super) at: EitherArgs,
}

impl RetireArgs {
    pub(super) async fn run(&self, console: &mut Console, scan: &Scan) -> Result<(), Failure> {
        let (signers, public_keys) = split(&self.keys);
        let retiring = self.at.with_each_store(scan, async |store| {
            for signer in &signers {
                store.change_key(*signer, KeyChange::Retire).await?;
            }
            store.retire_eth(&public_keys).await
        });
        let stores: Vec<_> = retiring.await?.into_iter().map(|(store, ())| store).collect();
        let done = json!({ "signers": signers, "public_keys": public_keys, "stores": stores });
        tell(console, self.at.form(), &done, |_| {
            let stores: Vec<_> = stores.iter().map(ToString::to_string).collect();
            format!("{} keys are refused everything from now on, by {}", self.keys.len(), stores.join(" and by "))
        })
    }
}

impl PruneArgs {
    pub(super) async fn run(&self, console: &mut Console, scan: &Scan) -> Result<(), Failure> {
        console.progress("reading the store, then pruning …");
        let pruning = self.at.with_store_keeping(self.keep_slots, scan, async |store| {
            let mut removed = 0;
            if let Some(finalized) = self.finalized_slot {
                removed += store.prune(Slot(finalized)).await?;
            }
            if let (Some(slot), Some(target)) = (self.eth_slot, self.eth_target) {
                removed += store.prune_eth(Slot(slot), Epoch(target)).await?;
            }
            Ok(removed)
        });
        let done = pruning.await;
        console.end_progress();
        tell(console, self.at.form(), &json!({ "removed": done? }), |told| {
            format!("forgot {} records; their slots are refused from now on", told["removed"])
        })
    }
}
