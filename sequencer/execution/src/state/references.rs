//! Which other nodes a trie node refers to: its children, and the storage trie of the account it holds.

use alloy::consensus::EMPTY_ROOT_HASH;
use alloy::primitives::B256;
use alloy::rlp::{Error, Header};

/// Hashes of the nodes that this one refers to, in the order they appear in its RLP.
pub(super) fn references(node: &[u8]) -> Result<Vec<B256>, Error> {
    let mut found = Vec::with_capacity(17);
    visit(node, &mut |hash| found.push(hash))?;
    Ok(found)
}

/// Where among its references a node refers to `hash`.
pub(super) fn position(node: &[u8], hash: B256) -> Result<Option<usize>, Error> {
    let (mut at, mut found) = (0, None);
    visit(node, &mut |reference| {
        if reference == hash && found.is_none() {
            found = Some(at);
        }
        at += 1;
    })?;
    Ok(found)
}

fn visit(mut node: &[u8], found: &mut impl FnMut(B256)) -> Result<(), Error> {
    let mut items = Header::decode_bytes(&mut node, true)?;
    let (first, second) = (item(&mut items)?, item(&mut items)?);
    if items.is_empty() {
        let is_leaf = payload(first)?.first().is_some_and(|flags| flags & 0x20 != 0);
        return if is_leaf { visit_leaf(payload(second)?, found) } else { visit_child(second, found) };
    }
    visit_child(first, found)?;
    visit_child(second, found)?;
    while !items.is_empty() {
        // The last item is the branch's value, always empty here: keys have one length.
        visit_child(item(&mut items)?, found)?;
    }
    Ok(())
}

/// A child is a hash, a node that lies within this one, or nothing.
fn visit_child(reference: &[u8], found: &mut impl FnMut(B256)) -> Result<(), Error> {
    if is_list(reference) {
        return visit(reference, found);
    }
    let hash = payload(reference)?;
    if !hash.is_empty() {
        found(B256::try_from(hash).map_err(|_| Error::UnexpectedLength)?);
    }
    Ok(())
}

/// A leaf of the account trie holds a list: nonce, balance, storage root, code hash. One of a storage trie holds a
/// number, and refers to nothing.
fn visit_leaf(mut value: &[u8], found: &mut impl FnMut(B256)) -> Result<(), Error> {
    if !is_list(value) {
        return Ok(());
    }
    let mut fields = Header::decode_bytes(&mut value, true)?;
    item(&mut fields)?;
    item(&mut fields)?;
    let storage_root = B256::try_from(payload(item(&mut fields)?)?).map_err(|_| Error::UnexpectedLength)?;
    if storage_root != EMPTY_ROOT_HASH {
        found(storage_root);
    }
    Ok(())
}

/// Whether an item is a list: a node that lies within another, or an account.
pub(super) fn is_list(item: &[u8]) -> bool {
    item.first().is_some_and(|byte| *byte >= 0xc0)
}

/// Takes the next item off a list's payload, with its header.
pub(super) fn item<'a>(items: &mut &'a [u8]) -> Result<&'a [u8], Error> {
    let whole = *items;
    let header = Header::decode(items)?;
    *items = items.get(header.payload_length..).ok_or(Error::InputTooShort)?;
    Ok(&whole[..whole.len() - items.len()])
}

/// The bytes of an item that is no list.
pub(super) fn payload(mut item: &[u8]) -> Result<&[u8], Error> {
    Header::decode_bytes(&mut item, false)
}
