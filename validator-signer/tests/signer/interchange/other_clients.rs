//! Our files as other clients read them: strict where they are.

use serde::Deserialize;
use serde_json::Value;

use super::{GENESIS, PUBLIC_KEY, export, well_used};
use crate::homes::{Home, Make};

/// Refuses unknown members inside `metadata` and `data`, and passes over those at the top, as Lighthouse does.
mod lighthouse_shaped {
    use super::Deserialize;

    #[derive(Deserialize)]
    pub(super) struct File {
        pub(super) metadata: Metadata,
        pub(super) data: Vec<Entry>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Metadata {
        pub(super) interchange_format_version: String,
        pub(super) genesis_validators_root: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Entry {
        pub(super) pubkey: String,
        pub(super) signed_blocks: Vec<Block>,
        pub(super) signed_attestations: Vec<Attestation>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Block {
        pub(super) slot: String,
        pub(super) signing_root: Option<String>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Attestation {
        pub(super) source_epoch: String,
        pub(super) target_epoch: String,
        pub(super) signing_root: Option<String>,
    }
}

fn number(text: &str) -> u64 {
    assert!(text == "0" || !text.starts_with('0'));
    text.parse().unwrap()
}

fn assert_hex(text: &str, bytes: usize) {
    let digits = text.strip_prefix("0x").unwrap();
    assert_eq!(digits.len(), 2 * bytes);
    assert!(digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)), "{text}");
}

async fn exported(home: &Home) -> String {
    let store = home.keeper().await;
    let text = export(&*store).await.to_text();
    store.close().await;
    text
}

#[tokio::test]
async fn a_parser_that_denies_unknown_members_inside_reads_our_export() {
    let text = exported(&well_used(Make::OnDisk).await).await;
    let file: lighthouse_shaped::File = serde_json::from_str(&text).unwrap();
    assert_eq!(file.metadata.interchange_format_version, "5");
    assert_eq!(file.metadata.genesis_validators_root, GENESIS.to_string());
    let [entry] = file.data.as_slice() else { panic!("one key signed") };
    assert_eq!(entry.pubkey, PUBLIC_KEY.to_string());
    let slots: Vec<_> = entry.signed_blocks.iter().map(|block| number(&block.slot)).collect();
    assert_eq!(slots, [10, 20]);
    let epochs: Vec<_> =
        entry.signed_attestations.iter().map(|vote| (number(&vote.source_epoch), number(&vote.target_epoch))).collect();
    assert_eq!(epochs, [(2, 3), (5, 6)]);
    let roots = entry.signed_blocks.iter().map(|block| &block.signing_root);
    for root in roots.chain(entry.signed_attestations.iter().map(|vote| &vote.signing_root)) {
        assert_hex(root.as_ref().unwrap(), 32);
    }
}

/// As web3signer does: two members by name, each list there even when it is empty, and every number a string.
#[tokio::test]
async fn a_parser_that_looks_up_two_members_reads_our_export() {
    for (home, keys) in [(well_used(Make::OnDisk).await, 1), (Home::new(Make::OnDisk).await, 0)] {
        let file: Value = serde_json::from_str(&exported(&home).await).unwrap();
        assert_eq!(file["metadata"]["interchange_format_version"], "5");
        assert_hex(file["metadata"]["genesis_validators_root"].as_str().unwrap(), 32);
        let entries = file["data"].as_array().unwrap();
        assert_eq!(entries.len(), keys);
        for entry in entries {
            assert_hex(entry["pubkey"].as_str().unwrap(), 48);
            for (list, members) in
                [("signed_blocks", vec!["slot"]), ("signed_attestations", vec!["source_epoch", "target_epoch"])]
            {
                for record in entry[list].as_array().unwrap() {
                    for member in &members {
                        let _ = number(record[member].as_str().unwrap());
                    }
                }
            }
        }
    }
}

/// The rollup's member has no numbers that are no strings, and all its bytes are lower-case hexadecimal.
#[tokio::test]
async fn the_member_of_the_rollup_keeps_to_strings_too() {
    fn assert_strings(value: &Value) {
        match value {
            Value::Null | Value::Number(_) => panic!("{value} is no string"),
            Value::Bool(_) => {}
            Value::String(text) => assert!(!text.starts_with("0x") || *text == text.to_lowercase()),
            Value::Array(values) => values.iter().for_each(assert_strings),
            Value::Object(members) => members.values().for_each(assert_strings),
        }
    }
    let file: Value = serde_json::from_str(&exported(&well_used(Make::OnDisk).await).await).unwrap();
    let rollup = &file["rollup_interchange"];
    assert_strings(rollup);
    assert_eq!(rollup["scopes"][0]["signers"].as_array().unwrap().len(), 2);
    assert_hex(rollup["sha256"].as_str().unwrap(), 32);
}
