//! Keys and genesis, as the configuration names them.

use std::path::Path;

use alloy::signers::local::PrivateKeySigner;
use fermata_execution::{Genesis, GenesisAccount};
use fermata_validator_signer::{DevMnemonic, LocalKeys, Password, SignerError};

use crate::config::{ExecutionConfig, GenesisSource, KeySource, Prefunded};

/// The validators' keys.
pub(crate) fn validators(source: &KeySource) -> Result<LocalKeys, SignerError> {
    LocalKeys::from_signers(signers(source)?)
}

/// The keys of accounts that send: the publishers', the prover's.
pub(crate) fn publishers(source: &KeySource) -> Result<Vec<PrivateKeySigner>, SignerError> {
    signers(source)
}

fn signers(source: &KeySource) -> Result<Vec<PrivateKeySigner>, SignerError> {
    match source {
        KeySource::NoKeys => Ok(Vec::new()),
        KeySource::Keystores { dir, password_file } => {
            Ok(LocalKeys::from_directory(dir, &Password::from_file(password_file)?)?.into_signers())
        }
        KeySource::Mnemonic { phrase, path, first, count } => {
            let phrase = phrase.expose().to_owned();
            DevMnemonic { phrase, path_prefix: path.clone(), first: *first, count: *count }.signers()
        }
    }
}

/// The L2 chain's genesis; the error is a sentence without an end.
pub(super) fn genesis(config: &ExecutionConfig) -> Result<Genesis, String> {
    match &config.genesis {
        GenesisSource::File(path) => read_genesis(path),
        GenesisSource::Accounts { chain_id, timestamp, base_fee, prefunded } => {
            let account = |of: &Prefunded| GenesisAccount {
                address: of.address,
                balance: of.balance,
                ..GenesisAccount::default()
            };
            Ok(Genesis {
                chain_id: *chain_id,
                gas_limit: config.gas_limit,
                timestamp: *timestamp,
                base_fee: *base_fee,
                alloc: prefunded.iter().map(account).collect(),
            })
        }
    }
}

/// Hash of the L2 genesis block: what the rollup is deployed with.
///
/// # Errors
/// A sentence about the genesis that cannot be used.
pub fn genesis_hash(config: &ExecutionConfig) -> Result<alloy::primitives::B256, String> {
    let block = genesis(config)?.genesis_block().map_err(|error| error.to_string())?;
    Ok(block.hash())
}

fn read_genesis(path: &Path) -> Result<Genesis, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = std::fs::read(path).map_err(|error| named(&error))?;
    serde_json::from_slice(&text).map_err(|error| named(&error))
}
