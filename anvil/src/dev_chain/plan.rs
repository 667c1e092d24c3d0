//! The arithmetic of a start.

use std::time::Duration;

use fermata_primitives::{L1Timestamp, SharedClock, Slot, UnixTime};

use super::DevChainConfig;
use crate::{AnvilConfig, AnvilMining, Deployment};

/// The arithmetic of a start.
pub(super) struct Plan<'a> {
    pub(super) config: &'a DevChainConfig,
    pub(super) clock: SharedClock,
}

impl Plan<'_> {
    /// Slots between the rollup's genesis and the first frame: the validator set's lag, an epoch to stake in, an epoch to
    /// spare, and so far into the epoch that its committee is asked for from the first moment on.
    pub(super) fn head_start(&self) -> u64 {
        let deploy = &self.config.deploy;
        (deploy.validator_set_lag_epochs + 2) * deploy.epoch_slots + 2
    }

    pub(super) fn anvil(&self) -> AnvilConfig {
        let deploy = &self.config.deploy;
        // Two slots of room for what comes before the rollup's genesis.
        let room = (self.head_start() + 2) * deploy.slot_secs;
        let genesis = Some(self.clock.now().floor_secs().minus_secs(room));
        let mining = AnvilMining::OnDemand;
        AnvilConfig { chain_id: deploy.l1_chain_id, genesis_timestamp: genesis, mining, ..self.config.anvil.clone() }
    }

    /// The genesis time with which a frame opens as soon as everything can be ready. What is still to do takes about as
    /// long as the foundations `took`; on a busy machine a little more may be left to it.
    pub(super) fn rollup_genesis(&self, took: Duration) -> L1Timestamp {
        let deploy = &self.config.deploy;
        let ready = self.clock.now() + took.mul_f64(1.5) + self.config.node_start;
        let opens = (ready + Duration::from_nanos(999_999_999)).floor_secs();
        let starts = opens.plus_secs(deploy.slot_secs + deploy.ethereum_slot_secs);
        starts.minus_secs(self.head_start() * deploy.slot_secs)
    }

    /// The first slot whose frame opens late enough for the caller's node.
    pub(super) fn first_slot(&self, deployment: &Deployment) -> Slot {
        let ready = self.clock.now() + self.config.node_start;
        let mut slot = Slot(self.head_start());
        while UnixTime::from(super::frame_opens(deployment, slot)) < ready {
            slot = slot.next();
        }
        slot
    }
}
