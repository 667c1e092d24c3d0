//! A prover service that is there, that is slow, and that answers nonsense.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use alloy::primitives::U256;
use fermata_rollup::contracts::CommitteeAttestations;
use fermata_rollup::{EpochClaim, MAX_CHECKPOINTS_PER_EPOCH};
use jsonrpsee::server::{RpcModule, Server, ServerHandle};
use jsonrpsee::types::ErrorObjectOwned;

use super::super::EpochSpan;
use super::*;

/// What the service says to one call after another; then nothing, ever.
type Script = Vec<Result<Option<ProofAnswer>, ErrorObjectOwned>>;

struct Service {
    client: ProverService,
    asked: Arc<Mutex<Vec<ProofRequest>>>,
    _server: ServerHandle,
}

impl Service {
    async fn that_says(script: Script) -> Self {
        let asked: Arc<Mutex<Vec<ProofRequest>>> = Arc::default();
        let script = Mutex::new(script.into_iter());
        let mut module = RpcModule::new((Arc::clone(&asked), script));
        let method = module.register_async_method("prover_epochProof", |params, context, _| async move {
            let (request,): (ProofRequest,) = params.parse()?;
            context.0.lock().expect("whole").push(request);
            let next = context.1.lock().expect("whole").next();
            match next {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        });
        method.expect("its only method");
        let server = Server::builder().build(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port");
        let url = format!("http://{}/s3cret", server.local_addr().expect("bound")).parse().expect("a URL");
        let client = ProverService::new(url, Duration::from_millis(500));
        Self { client, asked, _server: server.start(module) }
    }
}

fn epoch(checkpoints: usize) -> EpochToProve {
    let claim = EpochClaim {
        start: CheckpointNumber(5),
        previous_archive: B256::repeat_byte(4),
        end_archive: B256::repeat_byte(6),
        out_hash: B256::repeat_byte(7),
        prover_id: Address::repeat_byte(0xee),
        fees: vec![CheckpointFee { recipient: Address::repeat_byte(1), value: U256::from(9) }; checkpoints],
    };
    let span = EpochSpan {
        epoch: Epoch(3),
        from: CheckpointNumber(5),
        to: CheckpointNumber(4 + checkpoints as u64),
        end_archive: claim.end_archive,
        deadline: L1Timestamp(1_000),
    };
    EpochToProve {
        span,
        claim,
        attestations: CommitteeAttestations::default(),
        rollup: Address::repeat_byte(0xaa),
        l1_chain_id: 31_337,
    }
}

fn answer(opening: Bytes) -> Option<ProofAnswer> {
    Some(ProofAnswer { blob_opening: opening, proof: Bytes::from_static(b"proof") })
}

#[tokio::test]
async fn a_service_is_asked_the_same_until_it_has_the_proof() {
    let opening = BlobOpening::of_nothing();
    let service = Service::that_says(vec![Ok(None), Ok(answer(opening.to_input()))]).await;
    assert_eq!(service.client.proof_of(&epoch(2)).await.expect("it is at it"), None);
    let proof = service.client.proof_of(&epoch(2)).await.expect("it is done").expect("a proof");
    assert_eq!(proof, EpochProof { opening, proof: Bytes::from_static(b"proof") });
    let asked = service.asked.lock().expect("whole").clone();
    assert_eq!(asked[0], asked[1]);
    assert_eq!((asked[0].start, asked[0].end), (CheckpointNumber(5), CheckpointNumber(6)));
}

#[tokio::test]
async fn the_question_has_the_names_of_the_docs() {
    let request = ProofRequest::try_from(&epoch(1)).expect("one checkpoint");
    let json = serde_json::to_value(request).expect("plain data");
    for name in ["l1ChainId", "rollup", "epoch", "start", "end", "previousArchive", "endArchive", "outHash", "proverId"]
    {
        assert!(!json[name].is_null(), "{name} in {json}");
    }
    assert_eq!(json["fees"][0]["value"], "0x9");
    assert_eq!(json["deadline"], 1_000);
}

#[tokio::test]
async fn a_service_that_errs_is_silent_or_gone_is_named_without_its_credentials() {
    let refusal = ErrorObjectOwned::owned(-32_000, "no such epoch", None::<()>);
    let service = Service::that_says(vec![Err(refusal)]).await;
    let mut told = Vec::new();
    for _ in ["errs", "is silent"] {
        told.push(service.client.proof_of(&epoch(1)).await.expect_err("no proof"));
    }
    let nobody = ProverService::new("http://127.0.0.1:1/s3cret".parse().expect("a URL"), Duration::from_secs(5));
    told.push(nobody.proof_of(&epoch(1)).await.expect_err("nobody listens"));
    let told: Vec<_> = told.iter().map(|error| crate::poll_loop::chain(error)).collect();
    assert!(told[0].contains("no such epoch"), "{told:?}");
    assert!(told[1].contains("no answer within 500ms"), "{told:?}");
    assert!(told.iter().all(|text| text.contains("check prover.proofs") && !text.contains("s3cret")), "{told:?}");
}

#[tokio::test]
async fn an_opening_that_is_none_and_an_epoch_that_is_too_long_are_refused() {
    let service = Service::that_says(vec![Ok(answer(Bytes::from_static(b"short")))]).await;
    let refused = service.client.proof_of(&epoch(1)).await.expect_err("five bytes are no opening");
    let says = |error: &SequencerError, words: &str| matches!(error, SequencerError::ProofRefused { reason } if reason.contains(words));
    assert!(says(&refused, "has 5 bytes instead of 192"), "{refused:?}");
    let refused = service.client.proof_of(&epoch(MAX_CHECKPOINTS_PER_EPOCH + 1)).await.expect_err("too many");
    assert!(says(&refused, "33 checkpoints cannot be proven at once"), "{refused:?}");
    assert_eq!(service.asked.lock().expect("whole").len(), 1, "it was not asked for what cannot be proven");
}
