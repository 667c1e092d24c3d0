//! `fermata protection accept-restored`: a signing store that is an older copy of itself.

use clap::Args;
use fermata_primitives::Slot;
use fermata_validator_signer::{Scan, SlashingProtection};

use super::eth_last::EthLastArgs;
use super::failure;
use super::place::StoreArgs;
use crate::cli::verbs::tell;
use crate::cli::{Console, Failure};

/// Which signing store to go on with.
#[derive(Args, Clone, Debug)]
pub struct AcceptRestoredArgs {
    #[command(flatten)]
    pub(super) at: StoreArgs,
    /// The highest slot that is refused from then on, to every key.
    #[arg(long, value_name = "SLOT")]
    raise_low_to: u64,
    #[command(flatten)]
    ethereum: EthLastArgs,
}

impl AcceptRestoredArgs {
    pub(super) fn run(&self, console: &mut Console, scan: &Scan) -> Result<(), Failure> {
        let (place, low) = (self.at.place()?, Slot(self.raise_low_to));
        let last = self.ethereum.last();
        let accepted = SlashingProtection::accept_restored(&place.store, &place.sentinel(scan), low, last);
        let survey = accepted.map_err(failure)?;
        tell(console, self.at.form(), &survey, |survey| {
            let (floor, told) = (survey.floor.unwrap_or(low), self.ethereum.told(survey.ethereum.public_keys));
            format!("store {} is gone on with; slots up to {floor} are refused to every key{told}", survey.store_id)
        })
    }
}
