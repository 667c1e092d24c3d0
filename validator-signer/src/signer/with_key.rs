//! From a permit to a signature that is the key's own.

use std::sync::Arc;

use alloy::dyn_abi::TypedData;
use alloy::primitives::{Address, B256, Signature};
use fermata_primitives::crash_point;
use tracing::debug;

use crate::{DigestForm, Duty, Keystore, Protection, SignerError, SigningPermit};

/// The digest that typed data is recorded by.
pub(super) fn typed_digest(duty: Duty, typed: &TypedData) -> Result<B256, SignerError> {
    let digest = match duty.kind.digest_form() {
        DigestForm::TypedData => typed.eip712_signing_hash().map_err(|error| error.to_string()),
        DigestForm::Message => Err("the duty is signed as a message".to_owned()),
    };
    digest.map_err(|what| SignerError::BadTypedData { duty, what })
}

/// The permit goes in, and a signature that is the key's own comes out, once it is with the store.
pub(super) async fn sign_and_keep(
    permit: SigningPermit,
    typed: Option<TypedData>,
    keys: Arc<dyn Keystore>,
    protection: Arc<dyn Protection>,
) -> Result<Signature, SignerError> {
    crash_point!("signer.after_pin");
    let (duty, digest) = (permit.duty(), permit.digest());
    let signature = match &typed {
        Some(typed) => keys.sign_typed(&permit, typed).await?,
        None => keys.sign(&permit).await?,
    };
    let recovered = recovered(duty, digest, &signature);
    if recovered != Some(duty.validator) {
        return Err(SignerError::WrongSignature { validator: duty.validator, recovered });
    }
    crash_point!("signer.after_sign");
    protection.record_signature(permit, signature).await?;
    debug!(%duty, "signed");
    Ok(signature)
}

/// Whose signature it is, if anybody's.
pub(super) fn recovered(duty: Duty, digest: B256, signature: &Signature) -> Option<Address> {
    signature.recover_address_from_prehash(&duty.kind.signed_hash(digest)).ok()
}
