//! Vectors drawn by a seed, with what the two strategies answer for expectations.

use alloy::hex;
use serde_json::{Value, json};

use super::strategies::{Complete, Minimal};

const GENESIS: u8 = 0x44;

/// Numbers of a seed: xorshift64*, which needs no library and never changes.
struct Numbers(u64);

impl Numbers {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }
}

fn bytes<const N: usize>(byte: u8) -> String {
    hex::encode_prefixed([byte; N])
}

/// Stores of both strategies for one key.
#[derive(Default)]
struct Stores {
    complete: Complete,
    minimal: Minimal,
}

/// What a client that keeps the rules may have signed, as an entry of `data`.
fn entry(key: u8, numbers: &mut Numbers, stores: &mut Stores) -> Value {
    let mut client = Complete::default();
    let (mut blocks, mut attestations) = (Vec::new(), Vec::new());
    for _ in 0..numbers.below(5) {
        let (slot, root) = (numbers.below(20), numbers.below(3) as u8);
        if client.block(slot, root) {
            stores.complete.import_block(slot, root);
            stores.minimal.import_block(slot);
            blocks.push(rooted(json!({ "slot": slot.to_string() }), root));
        }
    }
    for _ in 0..numbers.below(6) {
        let (a, b, root) = (numbers.below(14), numbers.below(14), numbers.below(3) as u8);
        let (source, target) = (a.min(b), a.max(b));
        if client.attestation(source, target, root) {
            stores.complete.import_attestation(source, target, root);
            stores.minimal.import_attestation(source, target);
            let vote = json!({ "source_epoch": source.to_string(), "target_epoch": target.to_string() });
            attestations.push(rooted(vote, root));
        }
    }
    json!({ "pubkey": bytes::<48>(key), "signed_blocks": blocks, "signed_attestations": attestations })
}

fn rooted(mut record: Value, root: u8) -> Value {
    if root != 0 {
        record["signing_root"] = bytes::<32>(root).into();
    }
    record
}

fn block_signing(key: u8, numbers: &mut Numbers, stores: &mut Stores) -> Value {
    let (slot, root) = (numbers.below(26), numbers.below(3) as u8);
    json!({
        "pubkey": bytes::<48>(key),
        "slot": slot.to_string(),
        "signing_root": bytes::<32>(root),
        "should_succeed": stores.minimal.block(slot),
        "should_succeed_complete": stores.complete.block(slot, root),
    })
}

fn attestation_signing(key: u8, numbers: &mut Numbers, stores: &mut Stores) -> Value {
    let (source, target, root) = (numbers.below(18), numbers.below(20), numbers.below(3) as u8);
    json!({
        "pubkey": bytes::<48>(key),
        "source_epoch": source.to_string(),
        "target_epoch": target.to_string(),
        "signing_root": bytes::<32>(root),
        "should_succeed": stores.minimal.attestation(source, target),
        "should_succeed_complete": stores.complete.attestation(source, target, root),
    })
}

/// One import, then steps that import nothing and sign: with three keys, one of which the file does not know.
pub(super) fn vector(seed: u64) -> Value {
    let mut numbers = Numbers::new(seed);
    let mut keys = [1, 2, 3].map(|key| (key, Stores::default()));
    let data: Vec<_> = keys[..2].iter_mut().map(|(key, stores)| entry(*key, &mut numbers, stores)).collect();
    let mut steps = Vec::new();
    for step in 0..2 {
        let data = if step == 0 { json!(data) } else { json!([]) };
        let mut blocks = Vec::new();
        let mut attestations = Vec::new();
        for _ in 0..15 {
            let (key, stores) = &mut keys[numbers.below(3) as usize];
            blocks.push(block_signing(*key, &mut numbers, stores));
        }
        for _ in 0..25 {
            let (key, stores) = &mut keys[numbers.below(3) as usize];
            attestations.push(attestation_signing(*key, &mut numbers, stores));
        }
        let metadata = json!({ "interchange_format_version": "5", "genesis_validators_root": bytes::<32>(GENESIS) });
        steps.push(json!({
            "should_succeed": true,
            "contains_slashable_data": false,
            "interchange": { "metadata": metadata, "data": data },
            "blocks": blocks,
            "attestations": attestations,
        }));
    }
    json!({ "name": format!("drawn-{seed}"), "genesis_validators_root": bytes::<32>(GENESIS), "steps": steps })
}
