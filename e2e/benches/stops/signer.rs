//! Interrupts while a key that never answers is asked: the real signer on a real store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use alloy::primitives::{Address, B256, Signature};
use anyhow::Result;
use fermata_e2e::Times;
use fermata_primitives::{Slot, SystemClock};
use fermata_sequencer::engine::{Engine, EngineConfig};
use fermata_sequencer::lifecycle::Drain;
use fermata_sequencer::poll_loop::{Tick, TickContext, TickError};
use fermata_sequencer::verbs::{StartRequest, StopRequest};
use fermata_validator_signer::{
    Domain, Duty, DutyKind, Keystore, SignerError, SigningPermit, SlashingProtection, StoreOptions, ValidatorSigner,
};
use futures::FutureExt as _;
use futures::future::{BoxFuture, pending};
use tokio::sync::Notify;

use crate::idle::OnlyTick;

const VALIDATOR: Address = Address::repeat_byte(0x11);

/// A key that is asked and does not answer.
#[derive(Debug)]
struct Silent(Arc<Notify>);

impl Keystore for Silent {
    fn addresses(&self) -> Vec<Address> {
        vec![VALIDATOR]
    }

    fn sign<'a>(&'a self, _: &'a SigningPermit) -> BoxFuture<'a, Result<Signature, SignerError>> {
        self.0.notify_one();
        pending().boxed()
    }
}

/// Signs a duty in each tick.
struct Signing {
    signer: ValidatorSigner,
    slot: AtomicU64,
}

impl Tick for Signing {
    fn tick(&self, context: TickContext) -> BoxFuture<'_, Result<(), TickError>> {
        async move {
            let slot = Slot(self.slot.fetch_add(1, Ordering::SeqCst) + 1);
            let duty = Duty { validator: VALIDATOR, slot, kind: DutyKind::Attestation };
            let signed = context.interrupt.run_until_cancelled(self.signer.sign(duty, B256::repeat_byte(1))).await;
            assert!(signed.is_none(), "the key never answers: {signed:?}");
            Ok(())
        }
        .boxed()
    }
}

pub(crate) async fn interrupt_while_it_hangs(stops: usize) -> Result<Times> {
    let dir = tempfile::tempdir()?;
    let domain = Domain { l1_chain_id: 31_337, rollup: Address::ZERO };
    SlashingProtection::init(dir.path(), domain)?;
    let protection = SlashingProtection::open(dir.path(), domain, StoreOptions::default())?;
    let asked = Arc::new(Notify::new());
    let signer = ValidatorSigner::owning(Arc::new(protection), Arc::new(Silent(Arc::clone(&asked))));
    signer.start()?;
    let signing = Signing { signer, slot: AtomicU64::new(0) };
    let config = EngineConfig { poll_interval: std::time::Duration::from_millis(500) };
    let engine = Engine::new(Arc::new(OnlyTick(Arc::new(signing))), config, Arc::new(SystemClock));
    let mut times = Times::default();
    for _ in 0..stops {
        engine.start(StartRequest::default()).await?;
        asked.notified().await;
        times.measure(engine.stop(StopRequest::of(Drain::Interrupt))).await?;
    }
    Ok(times)
}
