//! Keys and genesis, as the configuration names them.

use std::path::Path;

use alloy::signers::local::PrivateKeySigner;
use fermata_execution::{Genesis, GenesisAccount};
use fermata_validator_signer::{DevMnemonic, KeyOrigin, KeyRing, LocalKeys, Password, SignerError};

use crate::config::{ExecutionConfig, GenesisSource, KeySource, Prefunded, Secret, ValidatorConfig};
use crate::error::SequencerError;

/// The validators' keys, which can be read anew.
pub(crate) async fn validators(config: &ValidatorConfig) -> Result<KeyRing, SignerError> {
    let ValidatorConfig { keys, remote, .. } = config;
    let here = match keys {
        KeySource::NoKeys => None,
        KeySource::Keystores { dir, password_file } => {
            Some(KeyOrigin::Directory { dir: dir.clone(), password_file: password_file.clone() })
        }
        KeySource::Mnemonic { phrase, path, first, count } => {
            Some(KeyOrigin::Mnemonic(mnemonic(phrase, path, (*first, *count))))
        }
    };
    KeyRing::load(here.into_iter().chain(remote.clone().map(KeyOrigin::Remote)).collect()).await
}

fn mnemonic(phrase: &Secret, path: &str, (first, count): (u32, u32)) -> DevMnemonic {
    DevMnemonic { phrase: phrase.expose().to_owned().into(), path_prefix: path.to_owned(), first, count }
}

/// The keys of accounts that send: the publishers', the prover's.
pub(crate) fn publishers(source: &KeySource) -> Result<Vec<PrivateKeySigner>, SignerError> {
    signers(source)
}

/// The one key that tops up the publishers.
pub(crate) fn funder(source: &KeySource) -> Result<PrivateKeySigner, SequencerError> {
    let mut keys = signers(source)?;
    match (keys.pop(), keys.len()) {
        (Some(key), 0) => Ok(key),
        (None, _) => Err(SequencerError::FunderKeys { found: 0 }),
        (Some(_), more) => Err(SequencerError::FunderKeys { found: more + 1 }),
    }
}

fn signers(source: &KeySource) -> Result<Vec<PrivateKeySigner>, SignerError> {
    match source {
        KeySource::NoKeys => Ok(Vec::new()),
        KeySource::Keystores { dir, password_file } => {
            Ok(LocalKeys::from_directory(dir, &Password::from_file(password_file)?)?.into_signers())
        }
        KeySource::Mnemonic { phrase, path, first, count } => mnemonic(phrase, path, (*first, *count)).signers(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_funder_is_one_key_and_neither_none_nor_several() {
        let phrase = "test test test test test test test test test test test junk";
        let derived = |count| KeySource::Mnemonic {
            phrase: Secret::new(phrase),
            path: "m/44'/60'/0'/0".to_owned(),
            first: 0,
            count,
        };
        assert!(funder(&derived(1)).is_ok());
        for (source, expected) in [(KeySource::NoKeys, 0), (derived(3), 3)] {
            let refused = funder(&source).expect_err("it is not one");
            assert!(matches!(refused, SequencerError::FunderKeys { found } if found == expected), "{refused}");
        }
    }
}
