//! The keys of a dev chain: from the mnemonic that everybody knows, so worth nothing anywhere else.

use alloy::primitives::{B256, keccak256};
use alloy::signers::local::{MnemonicBuilder, PrivateKeySigner};

use crate::{AnvilError, BlsSecret, Result, ValidatorRegistration};

/// The mnemonic of anvil's prefunded accounts.
const MNEMONIC: &str = "test test test test test test test test test test test junk";

/// Who can pay and sign on a dev chain.
#[derive(Clone, Debug)]
pub struct DevAccounts {
    /// Deploys, and owns the tokens. Prefunded: `m/44'/60'/0'/0/0`.
    pub deployer: PrivateKeySigner,
    /// Send the node's L1 transactions. Prefunded: `m/44'/60'/0'/0/1` and up.
    pub publishers: Vec<PrivateKeySigner>,
    /// Attest and propose. Without ether: `m/44'/60'/1'/0/0` and up.
    pub validators: Vec<PrivateKeySigner>,
}

impl DevAccounts {
    /// Derives the deployer, the publishers and `validators` validators.
    ///
    /// # Errors
    /// [`AnvilError::Mnemonic`] for an index that is out of range.
    pub(crate) fn derive(validators: u32) -> Result<Self> {
        let prefunded = |index| derive(&format!("m/44'/60'/0'/0/{index}"));
        Ok(Self {
            deployer: prefunded(0)?,
            publishers: (1..=2).map(prefunded).collect::<Result<_>>()?,
            validators: (0..validators)
                .map(|index| derive(&format!("m/44'/60'/1'/0/{index}")))
                .collect::<Result<_>>()?,
        })
    }

    /// What the validators stake with: the deployer may withdraw, and the BLS secret follows from the key.
    pub(crate) fn registrations(&self) -> Result<Vec<ValidatorRegistration>> {
        let withdrawer = self.deployer.address();
        let registration = |validator: &PrivateKeySigner| {
            let bls_secret = BlsSecret::from_bytes(&bls_seed(&validator.to_bytes()))?;
            Ok(ValidatorRegistration { attester: validator.address(), withdrawer, bls_secret })
        };
        self.validators.iter().map(registration).collect()
    }
}

/// A prefunded account that nobody else uses: `m/44'/60'/0'/0/9`.
pub(crate) fn idle_account() -> Result<PrivateKeySigner> {
    derive("m/44'/60'/0'/0/9")
}

fn bls_seed(key: &B256) -> B256 {
    keccak256([b"bls".as_slice(), key.as_slice()].concat())
}

fn derive(path: &str) -> Result<PrivateKeySigner> {
    let builder = MnemonicBuilder::english().phrase(MNEMONIC);
    builder.derivation_path(path).and_then(|builder| builder.build()).map_err(AnvilError::Mnemonic)
}
