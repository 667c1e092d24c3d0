//! Encodings of what messages are made of.

use alloy::primitives::Bytes;
use alloy::rlp::{self, Decodable, Encodable, Header};
use fermata_execution::Block;
use fermata_primitives::{L1Timestamp, Slot};
use fermata_rollup::{CheckpointHeader, GasFees, L1Signature};

use super::{MessageError, MessageKind, VERSION, check_size, open};

/// A value that is one RLP item on the wire. What is read is what was written, and nothing else is read.
pub trait WireForm: Sized {
    /// Appends the item to `out`.
    fn write(&self, out: &mut Vec<u8>);

    /// Takes the item off the front of `bytes`.
    ///
    /// # Errors
    /// There is no such item; how far `bytes` was read is then undefined.
    fn read(bytes: &mut &[u8]) -> rlp::Result<Self>;

    /// The value that is all of `content`.
    ///
    /// # Errors
    /// [`MessageError::Truncated`], [`MessageError::TrailingBytes`], [`MessageError::Malformed`].
    fn from_content(mut content: &[u8]) -> Result<Self, MessageError> {
        let value = Self::read(&mut content)?;
        if content.is_empty() { Ok(value) } else { Err(MessageError::TrailingBytes(content.len())) }
    }

    /// The value as a frame of its kind.
    ///
    /// # Errors
    /// [`MessageError::TooLarge`].
    fn to_frame(&self) -> Result<Bytes, MessageError>
    where
        Self: Framed,
    {
        let mut frame = vec![VERSION, Self::KIND.code()];
        self.write(&mut frame);
        check_size(Self::KIND, frame.len())?;
        Ok(frame.into())
    }

    /// Reads a frame of this kind.
    ///
    /// # Errors
    /// [`MessageError::OutOfPlace`] for a frame of another kind; otherwise as the bytes deserve.
    fn from_frame(bytes: &[u8]) -> Result<Self, MessageError>
    where
        Self: Framed,
    {
        let (kind, content) = open(bytes)?;
        if kind == Self::KIND { Self::from_content(content) } else { Err(MessageError::OutOfPlace(kind)) }
    }
}

/// A value that travels in a frame of its own.
pub trait Framed {
    /// The frame's kind.
    const KIND: MessageKind;
}

/// Appends an RLP list whose content `fields` writes.
pub(super) fn write_list(out: &mut Vec<u8>, fields: impl FnOnce(&mut Vec<u8>)) {
    let mut content = Vec::new();
    fields(&mut content);
    Header { list: true, payload_length: content.len() }.encode(out);
    out.append(&mut content);
}

/// Takes an RLP list off the front of `bytes`, whose content `fields` reads to its end.
pub(super) fn read_list<T>(bytes: &mut &[u8], fields: impl FnOnce(&mut &[u8]) -> rlp::Result<T>) -> rlp::Result<T> {
    let mut content = Header::decode_bytes(bytes, true)?;
    let value = fields(&mut content).map_err(inside)?;
    if content.is_empty() { Ok(value) } else { Err(rlp::Error::UnexpectedLength) }
}

/// A list that is all there and whose content ends too early is malformed, not cut short.
fn inside(error: rlp::Error) -> rlp::Error {
    if error == rlp::Error::InputTooShort { rlp::Error::UnexpectedLength } else { error }
}

impl WireForm for Block {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, |out| {
            self.header().encode(out);
            rlp::encode_list::<Bytes, Bytes>(self.transactions(), out);
        });
    }

    fn read(bytes: &mut &[u8]) -> rlp::Result<Self> {
        read_list(bytes, |bytes| Ok(Self::new(Decodable::decode(bytes)?, Decodable::decode(bytes)?)))
    }
}

impl WireForm for L1Signature {
    fn write(&self, out: &mut Vec<u8>) {
        self.to_bytes().encode(out);
    }

    fn read(bytes: &mut &[u8]) -> rlp::Result<Self> {
        Ok(Self::from_bytes(&Decodable::decode(bytes)?))
    }
}

impl WireForm for CheckpointHeader {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, |out| {
            for word in [self.last_archive, self.block_headers_hash, self.blobs_hash, self.in_hash, self.out_hash] {
                word.encode(out);
            }
            self.slot.0.encode(out);
            self.timestamp.0.encode(out);
            self.coinbase.encode(out);
            self.fee_recipient.encode(out);
            self.gas_fees.da.encode(out);
            self.gas_fees.l2.encode(out);
            self.total_mana_used.encode(out);
        });
    }

    fn read(bytes: &mut &[u8]) -> rlp::Result<Self> {
        read_list(bytes, |bytes| {
            Ok(Self {
                last_archive: Decodable::decode(bytes)?,
                block_headers_hash: Decodable::decode(bytes)?,
                blobs_hash: Decodable::decode(bytes)?,
                in_hash: Decodable::decode(bytes)?,
                out_hash: Decodable::decode(bytes)?,
                slot: Slot(Decodable::decode(bytes)?),
                timestamp: L1Timestamp(Decodable::decode(bytes)?),
                coinbase: Decodable::decode(bytes)?,
                fee_recipient: Decodable::decode(bytes)?,
                gas_fees: GasFees { da: Decodable::decode(bytes)?, l2: Decodable::decode(bytes)? },
                total_mana_used: Decodable::decode(bytes)?,
            })
        })
    }
}
