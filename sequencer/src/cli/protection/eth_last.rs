//! What Ethereum's keys may have signed last, told for a store that was restored.

use clap::Args;
use fermata_primitives::{Epoch, Slot};
use fermata_validator_signer::EthLast;

/// What is refused to Ethereum keys from then on.
#[derive(Args, Clone, Copy, Default, Debug)]
pub(super) struct EthLastArgs {
    /// The highest slot in which any Ethereum key may have signed a block.
    #[arg(long, value_name = "SLOT", requires = "eth_target")]
    eth_slot: Option<u64>,
    /// The highest target epoch that any of them may have attested to. Sources below it are refused as well.
    #[arg(long, value_name = "EPOCH", requires = "eth_slot")]
    eth_target: Option<u64>,
}

impl EthLastArgs {
    pub(super) fn last(self) -> Option<EthLast> {
        let (slot, target) = self.eth_slot.zip(self.eth_target)?;
        Some(EthLast { slot: Slot(slot), target: Epoch(target) })
    }

    /// What is refused to Ethereum keys, of which this many are on record, as a line of its own; empty where nothing was told.
    pub(super) fn told(self, public_keys: u64) -> String {
        let Some(EthLast { slot, target }) = self.last() else { return String::new() };
        format!(
            "\nto every Ethereum key, {public_keys} on record and any other, blocks through slot {slot}, attestations with \
             targets through epoch {target} and those with sources below it are refused"
        )
    }
}
