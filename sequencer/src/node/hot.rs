//! Where hot keys of the configuration take effect.

use std::sync::{Arc, Mutex, PoisonError};

use fermata_publisher::PublisherManager;
use tokio::sync::watch;

use crate::config::{Applier, NodeConfig};
use crate::side_duties::SideSettings;
use crate::workshop::ProposerSettings;

/// The proposer's own choices: the next slot is built with them, and the next checkpoint that is attested published or not.
pub(super) const fn proposer(config: &NodeConfig) -> ProposerSettings {
    ProposerSettings {
        coinbase: config.validator.coinbase,
        block_gas_limit: config.execution.gas_limit,
        min_transactions: config.sequencer.min_transactions,
        publishing: config.sequencer.publishing,
    }
}

/// Everything that a new configuration goes through. Who reads a key from the settings each time needs no entry.
pub(super) fn appliers(
    config: &NodeConfig,
    settings: watch::Sender<ProposerSettings>,
    side: watch::Sender<SideSettings>,
    managers: Vec<Arc<PublisherManager>>,
) -> Vec<Applier> {
    let filter = Mutex::new(config.log.filter.clone());
    vec![
        Box::new(move |config| {
            settings.send_replace(proposer(config));
        }),
        Box::new(move |config| {
            side.send_replace(config.side.clone());
        }),
        // An error means that it is closed: then it bids no more.
        Box::new(move |config| managers.iter().for_each(|of| drop(of.set_fees(config.publisher.fees.clone())))),
        // The filter that is written with may be another than the configured one, until that is set.
        Box::new(move |config| {
            let mut filter = filter.lock().unwrap_or_else(PoisonError::into_inner);
            if *filter != config.log.filter {
                filter.clone_from(&config.log.filter);
                crate::log::filter_anew(&filter);
            }
        }),
    ]
}
