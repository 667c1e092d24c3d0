//! Where the blobs of an L1 transaction can be had.

use alloy::consensus::Transaction;
use alloy::eips::eip4844::Blob;
use alloy::primitives::{B256, Bytes};
use alloy::providers::Provider;
use alloy::rpc::types::Transaction as L1Transaction;
use alloy::transports::http::reqwest;
use fermata_primitives::L1Timestamp;
use fermata_rollup::BlobCommitments;
use serde::Deserialize;

use super::L1Client;
use crate::error::{Result, SequencerError};

/// A source of blobs. Whatever it says is checked against the hashes in the transaction.
#[derive(Clone, Debug)]
pub enum BlobSource {
    /// The L1 endpoint is an anvil, which keeps the blobs of its transactions.
    Anvil,
    /// A beacon node's REST interface.
    Beacon {
        /// Base URL, without a slash at its end.
        url: String,
        /// Seconds of an Ethereum slot.
        slot_secs: u64,
    },
}

#[derive(Deserialize)]
struct BeaconAnswer<T> {
    data: T,
}

#[derive(Deserialize)]
struct BeaconGenesis {
    genesis_time: String,
}

impl BlobSource {
    /// The blobs of `transaction`, in its order. `mined` is the timestamp of its L1 block.
    ///
    /// # Errors
    /// The source did not answer, or what it says is not what the transaction commits to.
    pub async fn blobs_of(
        &self,
        client: &L1Client,
        transaction: &L1Transaction,
        mined: L1Timestamp,
    ) -> Result<Vec<Blob>> {
        let wanted = transaction.blob_versioned_hashes().unwrap_or_default().to_vec();
        let hash = *transaction.inner.tx_hash();
        let blobs = match self {
            Self::Anvil => from_anvil(client, hash).await?,
            Self::Beacon { url, slot_secs } => from_beacon(client, url, mined, *slot_secs, &wanted).await?,
        };
        let (blobs, found) = tokio::task::spawn_blocking(move || {
            let found = BlobCommitments::of_blobs(&blobs).map(|commitments| commitments.versioned_hashes());
            (blobs, found)
        })
        .await
        .map_err(|error| unreachable("blob commitments", error))?;
        if found? == wanted {
            return Ok(blobs);
        }
        let text =
            format!("its blobs for {hash} do not have the hashes the transaction commits to; use another source");
        Err(unreachable("blobs", text))
    }
}

async fn from_anvil(client: &L1Client, hash: B256) -> Result<Vec<Blob>> {
    let call =
        client.provider().raw_request::<_, Option<Vec<Bytes>>>("anvil_getBlobsByTransactionHash".into(), (hash,));
    let blobs = client.within("anvil_getBlobsByTransactionHash", call).await?.unwrap_or_default();
    to_blobs(&blobs)
}

async fn from_beacon(
    client: &L1Client,
    url: &str,
    mined: L1Timestamp,
    slot_secs: u64,
    wanted: &[B256],
) -> Result<Vec<Blob>> {
    let genesis: BeaconAnswer<BeaconGenesis> = get(client, format!("{url}/eth/v1/beacon/genesis")).await?;
    let genesis: u64 = genesis.data.genesis_time.parse().map_err(|error| unreachable("beacon genesis", error))?;
    let slot = mined.0.saturating_sub(genesis) / slot_secs;
    let hashes: Vec<_> = wanted.iter().map(B256::to_string).collect();
    let path = format!("{url}/eth/v1/beacon/blobs/{slot}?versioned_hashes={}", hashes.join(","));
    let blobs: BeaconAnswer<Vec<Bytes>> = get(client, path).await?;
    to_blobs(&blobs.data)
}

async fn get<T: for<'de> Deserialize<'de>>(client: &L1Client, url: String) -> Result<T> {
    let answer = async {
        let response = reqwest::get(&url).await?.error_for_status()?;
        response.bytes().await
    };
    let body = client.within("beacon", async { answer.await.map_err(BeaconError) }).await?;
    serde_json::from_slice(&body).map_err(|error| unreachable("beacon", error))
}

struct BeaconError(reqwest::Error);

impl From<BeaconError> for super::client::CallError {
    fn from(error: BeaconError) -> Self {
        Self::Transport(Box::new(error.0.without_url()))
    }
}

/// Copied in place: a blob by value is 128 KiB of stack, and some callers have little.
fn to_blobs(all: &[Bytes]) -> Result<Vec<Blob>> {
    let mut blobs = vec![Blob::ZERO; all.len()];
    for (blob, bytes) in blobs.iter_mut().zip(all) {
        if bytes.len() != blob.len() {
            return Err(unreachable("blobs", format!("a blob of {} bytes", bytes.len())));
        }
        blob.copy_from_slice(bytes);
    }
    Ok(blobs)
}

fn unreachable(what: &'static str, source: impl Into<crate::error::Source>) -> SequencerError {
    SequencerError::L1Unreachable { what, source: source.into() }
}
