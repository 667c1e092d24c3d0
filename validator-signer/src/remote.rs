//! Keys that a remote signer holds: web3signer, or whatever speaks its JSON-RPC for secp256k1 keys.
//!
//! Proposals and attestations are messages, which `eth_sign` signs. A vote's digest is that of typed data, which no method
//! signs as it stands: `eth_signTypedData` takes all of the typed data, so that the signer sees what it signs.

mod connection;
mod error;
mod settings;
mod wire;

use std::collections::BTreeSet;

use alloy::dyn_abi::TypedData;
use alloy::primitives::{Address, B256, Signature};
use futures::future::BoxFuture;
use tracing::warn;

use connection::{Connection, is_away};
pub use error::RemoteError;
pub use settings::{ClientCertificate, RemoteSettings, RemoteUrl};
use wire::Question;

use crate::{DigestForm, Keystore, SignerError, SigningPermit};

/// Keys of a remote signer. It is asked over one pool of connections; nothing of a key is here.
#[derive(Clone, Debug)]
pub struct RemoteKeys {
    connection: Connection,
    addresses: BTreeSet<Address>,
}

impl RemoteKeys {
    /// Asks the signer for its keys. One whose keys are listed in the settings need not answer now: those are taken on
    /// trust, and each signature is looked at anyway.
    ///
    /// # Errors
    /// [`RemoteError`]: what is set cannot be used; the signer does not answer, and no keys are listed; it does not hold
    /// one that is listed, or holds none at all.
    ///
    /// # Cancel safety
    /// Dropped: nothing has happened.
    pub async fn connect(settings: &RemoteSettings) -> Result<Self, RemoteError> {
        let connection = Connection::new(settings)?;
        let listed: BTreeSet<_> = settings.addresses.iter().copied().collect();
        let held = match accounts(&connection).await {
            Ok(held) => held,
            Err(error) if is_away(&error) && !listed.is_empty() => {
                warn!(%error, "the remote signer is away; its keys are those that are listed");
                return Ok(Self { connection, addresses: listed });
            }
            Err(error) => return Err(error),
        };
        if let Some(missing) = listed.difference(&held).next() {
            return Err(RemoteError::NotHeld { url: settings.url.clone(), validator: *missing });
        }
        let addresses = if listed.is_empty() { held } else { listed };
        if addresses.is_empty() {
            let what = "it holds no keys".to_owned();
            return Err(RemoteError::Malformed { url: settings.url.clone(), what });
        }
        Ok(Self { connection, addresses })
    }

    async fn signature(&self, question: Question<'_>) -> Result<Signature, RemoteError> {
        let result = self.connection.ask(&question).await?;
        wire::signature(&result).map_err(|no| self.connection.no_result(no))
    }

    async fn sign_message(&self, permit: &SigningPermit) -> Result<Signature, RemoteError> {
        match permit.duty().kind.digest_form() {
            DigestForm::Message => {
                let signer = permit.duty().validator;
                self.signature(Question::Message { signer, message: permit.digest() }).await
            }
            DigestForm::TypedData => Err(RemoteError::TypedDataNeeded { url: self.connection.url().clone() }),
        }
    }

    async fn sign_typed_data(&self, permit: &SigningPermit, typed: &TypedData) -> Result<Signature, RemoteError> {
        let (permitted, found) = (permit.signed_hash(), typed.eip712_signing_hash().unwrap_or(B256::ZERO));
        if found != permitted {
            return Err(RemoteError::OtherTypedData { permitted, found });
        }
        self.signature(Question::Typed { signer: permit.duty().validator, typed }).await
    }

    fn held(&self, validator: Address) -> Result<(), SignerError> {
        if self.addresses.contains(&validator) { Ok(()) } else { Err(SignerError::UnknownKey { validator }) }
    }
}

async fn accounts(connection: &Connection) -> Result<BTreeSet<Address>, RemoteError> {
    let result = connection.ask(&Question::Accounts).await?;
    let addresses = wire::addresses(result).map_err(|no| connection.no_result(no))?;
    Ok(addresses.into_iter().collect())
}

fn failed(validator: Address, error: RemoteError) -> SignerError {
    SignerError::KeyFailed { validator, source: Box::new(error) }
}

impl Keystore for RemoteKeys {
    fn addresses(&self) -> Vec<Address> {
        self.addresses.iter().copied().collect()
    }

    fn holds(&self, validator: Address) -> bool {
        self.addresses.contains(&validator)
    }

    fn sign<'a>(&'a self, permit: &'a SigningPermit) -> BoxFuture<'a, Result<Signature, SignerError>> {
        Box::pin(async move {
            let validator = permit.duty().validator;
            self.held(validator)?;
            self.sign_message(permit).await.map_err(|error| failed(validator, error))
        })
    }

    fn sign_typed<'a>(
        &'a self,
        permit: &'a SigningPermit,
        typed: &'a TypedData,
    ) -> BoxFuture<'a, Result<Signature, SignerError>> {
        Box::pin(async move {
            let validator = permit.duty().validator;
            self.held(validator)?;
            self.sign_typed_data(permit, typed).await.map_err(|error| failed(validator, error))
        })
    }
}
