//! Keys that a remote signer holds, and what it may do wrong.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use alloy::dyn_abi::TypedData;
use alloy::primitives::{Address, B256, Signature};
use fermata_validator_signer::{
    Duty, DutyKind, Keystore as _, NextStep, NotSafe, RemoteError, RemoteKeys, RemoteSettings, SignerError,
    ValidatorSigner,
};
use serde_json::{Value, json};

use crate::fake_signer::{FakeSigner, Manner};
use crate::support::{Place, attestation, digest, duty, key};

/// A vote in a slot, as the contract's typed data.
fn vote(slot: u64) -> TypedData {
    let typed = json!({
        "domain": { "name": "Tally", "version": "1", "chainId": 31_337, "verifyingContract": Address::repeat_byte(3) },
        "types": {
            "EIP712Domain": [
                { "name": "name", "type": "string" },
                { "name": "version", "type": "string" },
                { "name": "chainId", "type": "uint256" },
                { "name": "verifyingContract", "type": "address" },
            ],
            "Vote": [{ "name": "votes", "type": "bytes" }, { "name": "slot", "type": "uint256" }],
        },
        "primaryType": "Vote",
        "message": { "votes": "0x1b00", "slot": slot.to_string() },
    });
    serde_json::from_value(typed).unwrap()
}

async fn started(place: &Place, settings: &RemoteSettings) -> ValidatorSigner {
    let keys = RemoteKeys::connect(settings).await.unwrap();
    let signer = ValidatorSigner::owning(Arc::new(place.open()), Arc::new(keys));
    signer.start().unwrap();
    signer
}

fn assert_signed(signed: Signature, by: u8, duty: Duty, digest: B256) {
    let recovered = signed.recover_address_from_prehash(&duty.kind.signed_hash(digest)).unwrap();
    assert_eq!(recovered, key(by).address());
}

fn remote_error(refused: Result<Signature, SignerError>) -> RemoteError {
    let error = refused.unwrap_err();
    assert_eq!(error.next_step(), NextStep::RetrySame, "{error:?}");
    let SignerError::KeyFailed { source, .. } = error else { panic!("{error:?}") };
    *source.downcast::<RemoteError>().unwrap()
}

/// Each fault leaves the duty pinned to its payload, which is signed once the signer is well.
async fn assert_pinned(remote: &FakeSigner, signer: &ValidatorSigner) {
    remote.behave(Manner::Honest);
    let refused = signer.sign(attestation(0, 1), digest(2)).await;
    assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::Conflict { .. }))), "{refused:?}");
    assert_signed(signer.sign(attestation(0, 1), digest(1)).await.unwrap(), 0, attestation(0, 1), digest(1));
    for request in remote.asked() {
        assert_eq!(request["params"][1], json!(digest(1)), "one digest alone is ever asked for");
    }
}

#[tokio::test]
async fn remote_keys_sign_proposals_attestations_and_votes() {
    let (place, remote) = (Place::new(), FakeSigner::plain().await);
    let signer = started(&place, &remote.settings()).await;
    assert_eq!(signer.addresses().len(), 2);
    let messages = [
        DutyKind::BlockProposal { index: 3 },
        DutyKind::CheckpointProposal,
        DutyKind::Attestation,
        DutyKind::AttestationsAndSigners,
    ];
    for (slot, kind) in (1..).zip(messages) {
        let duty = duty(1, slot, kind);
        assert_signed(signer.sign(duty, digest(1)).await.unwrap(), 1, duty, digest(1));
    }
    for (slot, kind) in [(1, DutyKind::SlashingVote), (2, DutyKind::GovernanceVote)] {
        let (duty, typed) = (duty(0, slot, kind), vote(slot));
        let signed = signer.sign_typed(duty, &typed).await.unwrap();
        assert_signed(signed, 0, duty, typed.eip712_signing_hash().unwrap());
        let again = signer.sign_typed(duty, &typed).await.unwrap();
        assert_eq!((again, remote.asked().len()), (signed, 4 + slot as usize), "a repeat asks nobody");
        let refused = signer.sign_typed(duty, &vote(9)).await;
        assert!(matches!(refused, Err(SignerError::NotSafe(NotSafe::Conflict { .. }))));
    }
    signer.close().await;
}

#[tokio::test]
async fn the_digest_of_a_vote_alone_is_not_sent_and_its_typed_data_is_signed_later() {
    let (place, remote) = (Place::new(), FakeSigner::plain().await);
    let signer = started(&place, &remote.settings()).await;
    let (duty, typed) = (duty(0, 1, DutyKind::GovernanceVote), vote(1));
    let refused = remote_error(signer.sign(duty, typed.eip712_signing_hash().unwrap()).await);
    assert!(matches!(refused, RemoteError::TypedDataNeeded { .. }));
    assert!(remote.asked().is_empty());
    signer.sign_typed(duty, &typed).await.unwrap();
    signer.close().await;
}

#[tokio::test]
async fn typed_data_for_what_is_signed_as_a_message_is_refused_before_it_is_on_record() {
    let (place, remote) = (Place::new(), FakeSigner::plain().await);
    let signer = started(&place, &remote.settings()).await;
    let mut without_type = vote(1);
    "Other".clone_into(&mut without_type.primary_type);
    for (duty, typed) in [(attestation(0, 1), vote(1)), (duty(0, 1, DutyKind::SlashingVote), without_type)] {
        let refused = signer.sign_typed(duty, &typed).await;
        assert!(matches!(refused, Err(SignerError::BadTypedData { .. })), "{refused:?}");
        signer.sign(duty, digest(5)).await.err();
    }
    assert_signed(signer.sign(attestation(0, 1), digest(5)).await.unwrap(), 0, attestation(0, 1), digest(5));
    signer.close().await;
}

#[tokio::test]
async fn the_keys_are_those_that_are_listed_or_all_that_the_signer_has() {
    let remote = FakeSigner::plain().await;
    let with = |addresses: Vec<Address>| RemoteSettings { addresses, ..remote.settings() };
    let all = RemoteKeys::connect(&with(vec![])).await.unwrap();
    let one = RemoteKeys::connect(&with(vec![key(1).address()])).await.unwrap();
    let mut both = vec![key(0).address(), key(1).address()];
    both.sort();
    assert_eq!((all.addresses(), one.addresses()), (both, vec![key(1).address()]));
    assert!(all.holds(key(0).address()) && !one.holds(key(0).address()));
    let refused = RemoteKeys::connect(&with(vec![key(1).address(), key(2).address()])).await;
    assert!(matches!(refused, Err(RemoteError::NotHeld { validator, .. }) if validator == key(2).address()));
    remote.hold_keys(vec![]);
    let refused = RemoteKeys::connect(&with(vec![])).await;
    assert!(matches!(refused, Err(RemoteError::Malformed { what, .. }) if what.contains("no keys")));
}

#[tokio::test]
async fn one_that_is_away_is_believed_to_hold_what_is_listed_and_one_that_refuses_is_not() {
    let remote = FakeSigner::plain().await;
    let listed = RemoteSettings { addresses: vec![key(0).address()], ..remote.settings() };
    for (status, is_away) in [(502, true), (503, true), (504, true), (401, false), (500, false)] {
        remote.behave(Manner::Says(status, "", "no upstream".into()));
        assert_eq!(RemoteKeys::connect(&listed).await.is_ok(), is_away, "{status}");
        assert!(RemoteKeys::connect(&remote.settings()).await.is_err(), "without a list it must answer");
    }
}

#[tokio::test]
async fn a_node_starts_while_its_signer_is_away_if_the_keys_are_listed() {
    let (place, remote) = (Place::new(), FakeSigner::plain().await);
    remote.behave(Manner::Hang);
    let brief = RemoteSettings { timeout: Duration::from_millis(100), ..remote.settings() };
    let refused = RemoteKeys::connect(&brief).await;
    assert!(matches!(refused, Err(RemoteError::TimedOut { .. })), "{refused:?}");
    let listed = RemoteSettings { addresses: vec![key(0).address()], ..brief };
    let signer = started(&place, &listed).await;
    remote.behave(Manner::Honest);
    // One that answers late is asked again, as any fault is.
    while signer.sign(attestation(0, 1), digest(1)).await.is_err() {}
    signer.close().await;
}

#[tokio::test]
async fn a_signer_that_hangs_is_given_up_and_its_duty_stays_pinned() {
    let (place, remote) = (Place::new(), FakeSigner::plain().await);
    let signer = started(&place, &remote.settings()).await;
    signer.close().await;
    let brief = RemoteSettings { timeout: Duration::from_millis(500), ..remote.settings() };
    let signer = started(&place, &brief).await;
    remote.behave(Manner::Hang);
    let refused = remote_error(signer.sign(attestation(0, 1), digest(1)).await);
    assert!(matches!(refused, RemoteError::TimedOut { after, .. } if after == Duration::from_millis(500)));
    assert_eq!(remote.asked().len(), 1, "silence is not asked again");
    assert_pinned(&remote, &signer).await;
    signer.close().await;
}

#[tokio::test]
async fn a_signature_of_another_key_is_discarded() {
    let (place, remote) = (Place::new(), FakeSigner::plain().await);
    let signer = started(&place, &remote.settings()).await;
    remote.behave(Manner::Foreign);
    let refused = signer.sign(attestation(0, 1), digest(1)).await;
    let foreign = Some(key(7).address());
    assert!(matches!(refused, Err(SignerError::WrongSignature { recovered, .. }) if recovered == foreign));
    assert_pinned(&remote, &signer).await;
    signer.close().await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_once_more_with_the_same_question() {
    let (place, remote) = (Place::new(), FakeSigner::plain().await);
    let signer = started(&place, &remote.settings()).await;
    remote.behave(Manner::CutBefore(1));
    signer.sign(attestation(1, 1), digest(1)).await.unwrap();
    let asked = remote.asked();
    assert_eq!((asked.len(), &asked[0]), (2, &asked[1]));
    for manner in [Manner::CutBefore(2), Manner::CutWithin] {
        remote.behave(manner);
        let refused = remote_error(signer.sign(attestation(0, 1), digest(1)).await);
        assert!(matches!(refused, RemoteError::Unreachable { .. }), "{refused:?}");
        assert!(refused.source().is_some());
    }
    assert_eq!(remote.asked().len(), 2 + 4);
    assert_pinned(&remote, &signer).await;
    signer.close().await;
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let (place, remote) = (Place::new(), FakeSigner::plain().await);
    let signer = started(&place, &remote.settings()).await;
    remote.behave(Manner::Endless);
    let refused = remote_error(signer.sign(attestation(0, 1), digest(1)).await);
    assert!(matches!(&refused, RemoteError::Malformed { what, .. } if what.contains("longer than")), "{refused:?}");
    assert_pinned(&remote, &signer).await;
    signer.close().await;
}

#[tokio::test]
async fn a_redirection_is_not_followed() {
    let (place, remote, elsewhere) = (Place::new(), FakeSigner::plain().await, FakeSigner::plain().await);
    let signer = started(&place, &remote.settings()).await;
    let location: &'static str = Box::leak(format!("location: {}\r\n", elsewhere.url).into_boxed_str());
    for status in [301, 307, 308] {
        remote.behave(Manner::Says(status, location, String::new()));
        let refused = remote_error(signer.sign(attestation(0, 1), digest(1)).await);
        assert!(matches!(refused, RemoteError::Refused { code, .. } if code == i64::from(status)), "{refused:?}");
    }
    assert_eq!(elsewhere.requests(), 0);
    assert_pinned(&remote, &signer).await;
    signer.close().await;
}

#[tokio::test]
async fn refusals_and_answers_that_are_none_are_told_apart() {
    let (place, remote) = (Place::new(), FakeSigner::plain().await);
    let signer = started(&place, &remote.settings()).await;
    let says = |body: Value| Manner::Says(200, "", body.to_string());
    let no = json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": -32000, "message": "the vault is locked" } });
    for (manner, word) in
        [(says(no), "-32000: the vault is locked"), (Manner::Says(403, "", "who?".into()), "403: who?")]
    {
        remote.behave(manner);
        let refused = remote_error(signer.sign(attestation(0, 1), digest(1)).await);
        assert!(matches!(refused, RemoteError::Refused { .. }), "{refused:?}");
        assert!(refused.to_string().contains(word), "{refused}");
    }
    let answer = |result: Value| says(json!({ "jsonrpc": "2.0", "id": 1, "result": result }));
    let strange =
        [Manner::Says(200, "", "<html>".into()), answer(json!("0x1234")), answer(Value::Null), says(json!({}))];
    for manner in strange {
        remote.behave(manner);
        let refused = remote_error(signer.sign(attestation(0, 1), digest(1)).await);
        assert!(matches!(refused, RemoteError::Malformed { .. }), "{refused:?}");
    }
    assert_pinned(&remote, &signer).await;
    signer.close().await;
}

#[tokio::test]
async fn a_signer_that_has_lost_a_key_refuses_and_another_key_s_duty_is_signed() {
    let (place, remote) = (Place::new(), FakeSigner::plain().await);
    let signer = started(&place, &remote.settings()).await;
    remote.hold_keys(vec![key(1)]);
    let mut signed = signer.sign_many(&[(attestation(0, 1), digest(1)), (attestation(1, 1), digest(1))]).await;
    assert_signed(signed.pop().unwrap().unwrap(), 1, attestation(1, 1), digest(1));
    assert!(matches!(remote_error(signed.pop().unwrap()), RemoteError::Refused { code: -32000, .. }));
    signer.close().await;
}
