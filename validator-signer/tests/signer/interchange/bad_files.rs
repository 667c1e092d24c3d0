//! Files that are refused, whole, and change nothing.

use std::sync::Arc;

use fermata_validator_signer::{EthProtection, ImportReport, Interchange, InterchangeError, SignerError};
use serde_json::{Value, json};

use super::{IMPORT, export, well_used};
use crate::homes::{Home, Make};

async fn import(store: &dyn EthProtection, text: &[u8]) -> Result<ImportReport, SignerError> {
    let file = Interchange::parse(text)?;
    store.import(&file, IMPORT).await
}

/// What is done to a sound file, and a word of the refusal.
type Spoiling = (&'static str, fn(&mut Value), &'static str);

const SPOILINGS: [Spoiling; 30] = [
    ("another version", |file| file["metadata"]["interchange_format_version"] = json!("4"), "metadata has version 4"),
    ("a version that is a number", |file| file["metadata"]["interchange_format_version"] = json!(5), "invalid type"),
    ("no version", |file| remove(&mut file["metadata"], "interchange_format_version"), "missing field"),
    ("no metadata", |file| remove(file, "metadata"), "missing field `metadata`"),
    ("no data", |file| remove(file, "data"), "missing field `data`"),
    ("data that is null", |file| file["data"] = Value::Null, "invalid type: null"),
    ("data that is no list", |file| file["data"] = json!({}), "invalid type: map"),
    ("another chain", |file| file["metadata"]["genesis_validators_root"] = json!(hex(0x77, 32)), "0x7777"),
    ("a root that is too short", |file| file["metadata"]["genesis_validators_root"] = json!("0x77"), "64 hexadecimal"),
    ("an unknown member of metadata", |file| file["metadata"]["note"] = json!(""), "unknown field `note`"),
    ("an unknown member of a key", |file| file["data"][0]["note"] = json!(""), "unknown field `note`"),
    ("an unknown member of a block", |file| first_block(file)["note"] = json!(""), "unknown field `note`"),
    ("no blocks", |file| remove(&mut file["data"][0], "signed_blocks"), "missing field `signed_blocks`"),
    ("no public key", |file| remove(&mut file["data"][0], "pubkey"), "missing field `pubkey`"),
    ("a public key of an address's length", |file| file["data"][0]["pubkey"] = json!(hex(1, 20)), "96 hexadecimal"),
    ("a slot that is a number", |file| first_block(file)["slot"] = json!(7), "invalid type: integer"),
    ("a slot that is negative", |file| first_block(file)["slot"] = json!("-7"), "decimal digits"),
    ("a slot beyond 64 bits", |file| first_block(file)["slot"] = json!("18446744073709551616"), "decimal digits"),
    ("a slot in hexadecimal", |file| first_block(file)["slot"] = json!("0x7"), "decimal digits"),
    ("a signing root that is null", |file| first_block(file)["signing_root"] = Value::Null, "invalid type: null"),
    ("an attestation without target", |file| remove(first_vote(file), "target_epoch"), "missing field `target_epoch`"),
    ("a source after its target", |file| first_vote(file)["source_epoch"] = json!("99"), "import the file minified"),
    ("a rollup member that is null", |file| file["rollup_interchange"] = Value::Null, "invalid type: null"),
    ("another version of the rollup member", |file| rollup(file)["version"] = json!("2"), "has version 2"),
    ("a changed digest", |file| first_duty(file)["digest"] = json!(hex(9, 32)), "sha256"),
    ("a duty that was left out", |file| drop(first_duties(file).pop()), "sha256"),
    ("another scope", |file| rollup(file)["scopes"][0]["l1_chain_id"] = json!("1"), "sha256"),
    ("an unknown member of a duty", |file| first_duty(file)["note"] = json!(""), "unknown field `note`"),
    ("an unknown kind", |file| first_duty(file)["kind"] = json!("exit"), "unknown variant `exit`"),
    ("an unknown state", |file| first_duty(file)["state"] = json!("lost"), "unknown variant `lost`"),
];

fn hex(byte: u8, length: usize) -> String {
    alloy::hex::encode_prefixed(vec![byte; length])
}

fn remove(value: &mut Value, member: &str) {
    value.as_object_mut().unwrap().remove(member).unwrap();
}

fn first_block(file: &mut Value) -> &mut Value {
    &mut file["data"][0]["signed_blocks"][0]
}

fn first_vote(file: &mut Value) -> &mut Value {
    &mut file["data"][0]["signed_attestations"][0]
}

fn rollup(file: &mut Value) -> &mut Value {
    &mut file["rollup_interchange"]
}

fn first_duties(file: &mut Value) -> &mut Vec<Value> {
    rollup(file)["scopes"][0]["signers"][0]["duties"].as_array_mut().unwrap()
}

fn first_duty(file: &mut Value) -> &mut Value {
    &mut first_duties(file)[0]
}

/// Fills in the checksum of a file that was changed: then it is refused for the change itself.
fn summed(mut file: Value) -> Value {
    use sha2::Digest as _;
    let parsed: fermata_validator_signer::RollupInterchange =
        serde_json::from_value(rollup(&mut file).clone()).unwrap();
    let text = serde_json::to_string(&parsed).unwrap();
    let (body, _) = text.rsplit_once(",\"sha256\"").unwrap();
    let sum = sha2::Sha256::digest(format!("{body}}}"));
    rollup(&mut file)["sha256"] = json!(alloy::hex::encode_prefixed(sum));
    file
}

async fn sound(make: Make) -> (Home, Arc<dyn EthProtection>, Value) {
    let home = well_used(make).await;
    let store = home.keeper().await;
    let file = serde_json::from_str(&export(&*store).await.to_text()).unwrap();
    (home, store, file)
}

#[tokio::test]
async fn a_spoilt_file_is_refused_and_changes_nothing() {
    for make in Make::KEEPERS {
        let (_home, store, sound) = sound(make).await;
        let before = export(&*store).await;
        for (what, spoil, word) in SPOILINGS {
            let mut file = sound.clone();
            // Something new, so that an import of the rest would show.
            file["data"]
                .as_array_mut()
                .unwrap()
                .push(json!({ "pubkey": hex(9, 48), "signed_blocks": [{ "slot": "5" }], "signed_attestations": [] }));
            spoil(&mut file);
            match import(&*store, file.to_string().as_bytes()).await {
                Err(SignerError::Interchange(refusal)) => {
                    assert!(refusal.to_string().contains(word), "{what}: {refusal}");
                }
                other => panic!("{what}: {other:?}"),
            }
            assert_eq!(export(&*store).await, before, "{what}");
        }
        store.close().await;
    }
}

#[tokio::test]
async fn a_text_that_is_cut_or_doubled_is_refused() {
    for make in Make::KEEPERS {
        let (_home, store, sound) = sound(make).await;
        let text = sound.to_string();
        let before = export(&*store).await;
        let doubled = text.replacen("\"data\"", "\"data\":[],\"data\"", 1);
        let texts = ["", "null", "[]", &text[..text.len() - 1], &text[..text.len() / 2], &format!("{text}x"), &doubled];
        for text in texts {
            let refused = import(&*store, text.as_bytes()).await;
            let Err(SignerError::Interchange(InterchangeError::Malformed { .. })) = refused else {
                panic!("{text}: {refused:?}")
            };
        }
        assert!(matches!(import(&*store, b"{\"metadata\": \"\xff\"}").await, Err(SignerError::Interchange(_))));
        assert_eq!(export(&*store).await, before);
        store.close().await;
    }
}

#[tokio::test]
async fn a_well_summed_file_is_refused_for_what_it_says() {
    for make in Make::KEEPERS {
        let (_home, store, sound) = sound(make).await;
        let before = export(&*store).await;
        let table: [Spoiling; 8] = [
            (
                "another rollup",
                |file| rollup(file)["scopes"][0]["rollup_address"] = json!(hex(5, 20)),
                "the store is for",
            ),
            ("another L1", |file| rollup(file)["scopes"][0]["l1_chain_id"] = json!("1"), "the store is for"),
            (
                "another digest under a signature",
                |file| first_duty(file)["digest"] = json!(hex(9, 32)),
                "not its key's",
            ),
            ("a signature of rubbish", |file| first_duty(file)["signature"] = json!(hex(0, 65)), "not its key's"),
            ("signed without signature", |file| remove(first_duty(file), "signature"), "do not go together"),
            ("pinned with a signature", |file| first_duty(file)["state"] = json!("pinned"), "do not go together"),
            ("a digest of zeros", |file| first_duty(file)["digest"] = json!(hex(0, 32)), "is zero"),
            ("a place that the kind has not", |file| first_duty(file)["kind"] = json!("slashing-vote"), "has an index"),
        ];
        for (what, spoil, word) in table {
            let mut file = sound.clone();
            let signers = rollup(&mut file)["scopes"][0]["signers"].as_array_mut().unwrap();
            signers.sort_by_key(|entry| entry["duties"][0]["index"] == json!("0"));
            spoil(&mut file);
            match import(&*store, summed(file).to_string().as_bytes()).await {
                Err(SignerError::Interchange(refusal)) => {
                    assert!(refusal.to_string().contains(word), "{what}: {refusal}");
                }
                other => panic!("{what}: {other:?}"),
            }
            assert_eq!(export(&*store).await, before, "{what}");
        }
        store.close().await;
    }
}

#[tokio::test]
async fn members_of_others_at_the_top_are_passed_over() {
    for make in Make::KEEPERS {
        let (_home, store, mut sound) = sound(make).await;
        sound["another_client"] = json!({ "anything": [1, null] });
        import(&*store, sound.to_string().as_bytes()).await.unwrap();
        remove(&mut sound, "rollup_interchange");
        import(&*store, sound.to_string().as_bytes()).await.unwrap();
        store.close().await;
    }
}
