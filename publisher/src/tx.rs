//! Signed transactions and their two encodings.

use alloy::consensus::{
    EthereumTxEnvelope, SignableTransaction, Signed, Transaction, TxEip1559, TxEip4844,
    transaction::RlpEcdsaEncodableTx, transaction::SignerRecoverable,
};
use alloy::eips::eip2718::{Decodable2718, Encodable2718};
use alloy::eips::eip7594::BlobTransactionSidecarVariant;
use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256};
use alloy::rpc::types::TransactionRequest;
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;

use crate::{Error, Fees};

/// Gas of a transfer that does nothing.
pub(crate) const TRANSFER_GAS: u64 = 21_000;

/// What is to be signed.
#[derive(Clone, Debug)]
pub(crate) struct TxBody {
    pub(crate) chain_id: u64,
    pub(crate) nonce: u64,
    pub(crate) to: Address,
    pub(crate) value: U256,
    pub(crate) calldata: Bytes,
    pub(crate) gas_limit: u64,
    pub(crate) fees: Fees,
    pub(crate) versioned_hashes: Vec<B256>,
}

/// A signed transaction, its sidecar apart.
#[derive(Clone, Debug)]
pub(crate) struct SignedTx(EthereumTxEnvelope<TxEip4844>);

impl SignedTx {
    /// Signs `body`: a type-3 transaction when it names blobs, else an EIP-1559 transaction.
    pub(crate) fn sign(body: TxBody, signer: &PrivateKeySigner) -> Result<Self, Error> {
        if body.versioned_hashes.is_empty() {
            return sign_with(plain(body), signer).map(|signed| Self(signed.into()));
        }
        sign_with(with_blobs(body), signer).map(|signed| Self(EthereumTxEnvelope::Eip4844(signed)))
    }

    /// Reads what [`SignedTx::canonical`] wrote; `None` when it is not that.
    pub(crate) fn from_canonical(bytes: &[u8]) -> Option<Self> {
        EthereumTxEnvelope::<TxEip4844>::decode_2718_exact(bytes).ok().map(Self)
    }

    /// Its hash.
    pub(crate) fn hash(&self) -> B256 {
        *self.0.tx_hash()
    }

    /// The account that signed it; `None` when the signature is none.
    pub(crate) fn account(&self) -> Option<Address> {
        self.0.recover_signer().ok()
    }

    /// The same with other fees, to be signed anew.
    pub(crate) fn body_with(&self, chain_id: u64, fees: Fees) -> TxBody {
        TxBody {
            chain_id,
            nonce: self.0.nonce(),
            to: self.0.to().unwrap_or_default(),
            value: self.0.value(),
            calldata: self.0.input().clone(),
            gas_limit: self.0.gas_limit(),
            fees,
            versioned_hashes: self.0.blob_versioned_hashes().map(<[B256]>::to_vec).unwrap_or_default(),
        }
    }

    /// The call it makes, to be replayed.
    pub(crate) fn as_call(&self) -> TransactionRequest {
        let mut call = TransactionRequest {
            from: self.account(),
            to: self.0.to().map(TxKind::Call),
            value: Some(self.0.value()),
            gas: Some(self.0.gas_limit()),
            max_fee_per_blob_gas: self.0.max_fee_per_blob_gas(),
            blob_versioned_hashes: self.0.blob_versioned_hashes().map(<[B256]>::to_vec),
            ..TransactionRequest::default()
        };
        call.set_input(self.0.input().clone());
        call
    }

    /// The encoding that is hashed and kept: without the sidecar.
    pub(crate) fn canonical(&self) -> Bytes {
        self.0.encoded_2718().into()
    }

    /// The encoding that is broadcast: with the sidecar, where it names blobs.
    pub(crate) fn pooled(&self, sidecar: Option<BlobTransactionSidecarVariant>) -> Bytes {
        match (&self.0, sidecar) {
            (EthereumTxEnvelope::Eip4844(signed), Some(sidecar)) => {
                let mut out = Vec::new();
                signed.tx().clone().with_sidecar(sidecar).eip2718_encode(signed.signature(), &mut out);
                out.into()
            }
            (plain, _) => plain.encoded_2718().into(),
        }
    }
}

fn plain(body: TxBody) -> TxEip1559 {
    TxEip1559 {
        chain_id: body.chain_id,
        nonce: body.nonce,
        gas_limit: body.gas_limit,
        max_fee_per_gas: body.fees.max_fee_per_gas,
        max_priority_fee_per_gas: body.fees.tip,
        to: TxKind::Call(body.to),
        value: body.value,
        access_list: Default::default(),
        input: body.calldata,
    }
}

fn with_blobs(body: TxBody) -> TxEip4844 {
    TxEip4844 {
        chain_id: body.chain_id,
        nonce: body.nonce,
        gas_limit: body.gas_limit,
        max_fee_per_gas: body.fees.max_fee_per_gas,
        max_priority_fee_per_gas: body.fees.tip,
        to: body.to,
        value: body.value,
        access_list: Default::default(),
        blob_versioned_hashes: body.versioned_hashes,
        max_fee_per_blob_gas: body.fees.max_fee_per_blob_gas.unwrap_or(0),
        input: body.calldata,
    }
}

fn sign_with<T>(tx: T, signer: &PrivateKeySigner) -> Result<Signed<T>, Error>
where
    T: SignableTransaction<alloy::primitives::Signature> + RlpEcdsaEncodableTx,
{
    let signature = signer
        .sign_hash_sync(&tx.signature_hash())
        .map_err(|source| Error::Signing { account: signer.address(), source })?;
    Ok(tx.into_signed(signature))
}

#[cfg(test)]
mod tests {
    use alloy::rlp::Header;

    use super::*;
    use crate::{PreparedBlobs, SidecarVersion};

    fn body(versioned_hashes: Vec<B256>) -> TxBody {
        let blob_fee = (!versioned_hashes.is_empty()).then_some(9);
        TxBody {
            chain_id: 31_337,
            nonce: 4,
            to: Address::repeat_byte(3),
            value: U256::from(2),
            calldata: Bytes::from_static(b"call"),
            gas_limit: 50_000,
            fees: Fees { max_fee_per_gas: 20, tip: 1, max_fee_per_blob_gas: blob_fee },
            versioned_hashes,
        }
    }

    #[test]
    fn a_signed_transaction_comes_back_with_hash_and_account() {
        let signer = PrivateKeySigner::random();
        for hashes in [vec![], PreparedBlobs::one_empty().versioned_hashes()] {
            let signed = SignedTx::sign(body(hashes), &signer).unwrap();
            let back = SignedTx::from_canonical(&signed.canonical()).unwrap();
            assert_eq!((back.hash(), back.account()), (signed.hash(), Some(signer.address())));
        }
        assert!(SignedTx::from_canonical(b"nonsense").is_none());
    }

    #[test]
    fn the_broadcast_form_carries_a_version_1_sidecar_around_what_was_signed() {
        let blobs = PreparedBlobs::one_empty();
        let signed = SignedTx::sign(body(blobs.versioned_hashes()), &PrivateKeySigner::random()).unwrap();
        let bytes = signed.pooled(Some(blobs.sidecar_of(SidecarVersion::V1).unwrap()));
        let mut rest = &bytes[1..];
        let outer = Header::decode(&mut rest).unwrap();
        assert_eq!((bytes[0], outer.list, outer.payload_length), (3, true, rest.len()));
        let canonical = signed.canonical();
        let (inner, sidecar) = rest.split_at(canonical.len() - 1);
        assert_eq!(inner, &canonical[1..]);
        assert_eq!(sidecar[0], 1, "the version byte is missing");
        let mut expected = Vec::new();
        blobs.sidecar().rlp_encode_fields(&mut expected);
        assert!(sidecar == expected, "the sidecar is another");
    }
}
