//! What a deployment needs that takes computing or reading, made ready while anvil starts.

use tokio::task::JoinHandle;

use super::DevAccounts;
use crate::{Artifacts, Deployer, Result, StakeDeposit, find_artifacts};

/// What a start needs and can be made ready while anvil starts.
pub(crate) struct Prepared {
    pub(crate) artifacts: Artifacts,
    pub(crate) accounts: DevAccounts,
    pub(crate) deposits: Vec<StakeDeposit>,
}

impl Prepared {
    /// Reads artifacts and computes keys, off the runtime's threads.
    pub(crate) fn begin(validators: u32) -> Result<JoinHandle<Result<Self>>> {
        let out = find_artifacts()?;
        Ok(tokio::task::spawn_blocking(move || {
            let accounts = DevAccounts::derive(validators)?;
            let deposits = accounts.registrations()?.iter().map(StakeDeposit::from).collect();
            Ok(Self { artifacts: Deployer::load_artifacts(&out)?, accounts, deposits })
        }))
    }
}
