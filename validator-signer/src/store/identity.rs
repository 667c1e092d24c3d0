//! What a store says of itself, in a table of its own.

use fermata_primitives::Slot;
use heed::{RoTxn, RwTxn};

use super::environment::Table;
use super::eth_tables::{decode_standing, encode_standing};
use super::manifest::Manifest;
use super::record::{decode_slot, encode_slot};
use crate::eth::judging::EthStanding;
use crate::{EthMarks, Marks};

const MANIFEST_KEY: &[u8] = b"manifest";
const FLOOR_KEY: &[u8] = b"floor";
const ETH_FLOOR_KEY: &[u8] = b"eth_floor";
const ANCHORED_KEY: &[u8] = b"anchored";
const LISTEN_ONLY_KEY: &[u8] = b"listen_only_until";
const LISTENING_OWED_KEY: &[u8] = b"listening_owed";

/// For how long a store only listens for another node that signs with its keys.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Listening {
    /// The first slot that is signed.
    pub(super) until: Option<Slot>,
    /// It is new, restored or imported into, and has not listened since.
    pub(super) is_owed: bool,
}

/// The rows of the table.
#[derive(Clone, Copy)]
pub(super) struct Identity(pub(super) Table);

impl Identity {
    pub(super) fn put_manifest(self, txn: &mut RwTxn<'_>, manifest: &Manifest) -> Result<(), heed::Error> {
        let bytes = serde_json::to_vec(manifest).map_err(|error| heed::Error::Encoding(error.into()))?;
        self.0.put(txn, MANIFEST_KEY, &bytes)
    }

    pub(super) fn is_of(self, txn: &RoTxn<'_>, manifest: &Manifest) -> Result<bool, heed::Error> {
        let bytes = self.0.get(txn, MANIFEST_KEY)?.unwrap_or_default();
        Ok(serde_json::from_slice::<Manifest>(bytes).ok().as_ref() == Some(manifest))
    }

    /// The highest slot that is refused to every key, whether the store knows it or not: the store was a restored copy once.
    ///
    /// # Errors
    /// LMDB's, and what is wrong with the row.
    pub(super) fn floor(self, txn: &RoTxn<'_>) -> Result<Result<Option<Slot>, &'static str>, heed::Error> {
        let bytes = self.0.get(txn, FLOOR_KEY)?;
        Ok(bytes
            .map(|bytes| Marks::decode(FLOOR_KEY, bytes))
            .transpose()
            .map(|marks| marks.and_then(|marks| marks.low)))
    }

    pub(super) fn put_floor(self, txn: &mut RwTxn<'_>, floor: Slot) -> Result<(), heed::Error> {
        self.0.put(txn, FLOOR_KEY, &Marks::below(floor).encode(FLOOR_KEY))
    }

    /// What is refused to every Ethereum key, whether the store knows it or not: the store was a restored copy once.
    ///
    /// # Errors
    /// LMDB's, and what is wrong with the row.
    pub(super) fn eth_floor(self, txn: &RoTxn<'_>) -> Result<Result<EthMarks, &'static str>, heed::Error> {
        let bytes = self.0.get(txn, ETH_FLOOR_KEY)?;
        let row = bytes.map(|bytes| decode_standing(ETH_FLOOR_KEY, bytes)).transpose();
        Ok(row.map(|row| row.unwrap_or_default().marks))
    }

    pub(super) fn put_eth_floor(self, txn: &mut RwTxn<'_>, marks: EthMarks) -> Result<(), heed::Error> {
        self.0.put(txn, ETH_FLOOR_KEY, &encode_standing(ETH_FLOOR_KEY, &EthStanding { marks, retired: false }))
    }

    /// Whether an anchor was ever kept of this store.
    pub(super) fn is_anchored(self, txn: &RoTxn<'_>) -> Result<bool, heed::Error> {
        Ok(self.0.get(txn, ANCHORED_KEY)?.is_some())
    }

    /// For how long the store only listens.
    ///
    /// # Errors
    /// LMDB's, and what is wrong with the row.
    pub(super) fn listening(self, txn: &RoTxn<'_>) -> Result<Result<Listening, &'static str>, heed::Error> {
        let is_owed = self.0.get(txn, LISTENING_OWED_KEY)?.is_some();
        let until = self.0.get(txn, LISTEN_ONLY_KEY)?;
        let until = until.map(|bytes| decode_slot(LISTEN_ONLY_KEY, bytes)).transpose();
        Ok(until.map(|until| Listening { until, is_owed }))
    }

    pub(super) fn put_listening(self, txn: &mut RwTxn<'_>, listening: Listening) -> Result<(), heed::Error> {
        if let Some(until) = listening.until {
            self.0.put(txn, LISTEN_ONLY_KEY, &encode_slot(LISTEN_ONLY_KEY, until))?;
        }
        if listening.is_owed { self.owe_listening(txn) } else { self.0.delete(txn, LISTENING_OWED_KEY).map(drop) }
    }

    /// The store is new, restored or imported into: what its keys sign elsewhere may not be on record.
    pub(super) fn owe_listening(self, txn: &mut RwTxn<'_>) -> Result<(), heed::Error> {
        self.0.put(txn, LISTENING_OWED_KEY, &[])
    }

    pub(super) fn put_anchored(self, txn: &mut RwTxn<'_>) -> Result<(), heed::Error> {
        self.0.put(txn, ANCHORED_KEY, &[])
    }
}
