//! Finding one leaf: a walk over the stored nodes as they lie in the memory map, without decoding what is not on the
//! path. The trie crate decodes every node it passes, with all sixteen children: fine for changing a trie, several
//! times the cost of a read.

use alloy::primitives::B256;
use alloy::rlp::{Error, Header};

use super::nodes::unreadable;
use crate::store::Snapshot;
use crate::{ExecutionError, Result};

/// Items of a branch: sixteen children and a value, which keys of one length never use.
const BRANCH_ITEMS: usize = 17;

/// Where a step of the walk leads.
enum Step<'a> {
    /// To the node with this hash.
    Stored(B256),
    /// To a node that lies within this one.
    Inline(&'a [u8]),
    /// To the leaf's value.
    Found(&'a [u8]),
    /// The key is not in the trie.
    Absent,
}

/// The value at `key` in the trie with this root, which is not the empty one.
pub(super) fn lookup(snapshot: &Snapshot, root: B256, key: B256) -> Result<Option<Vec<u8>>> {
    let mut path = Path { key, at: 0 };
    let mut node = stored(snapshot, root)?;
    loop {
        let next = step(node, &mut path).map_err(|cause| unreadable(&cause))?;
        node = match next {
            Step::Stored(hash) => stored(snapshot, hash)?,
            Step::Inline(inner) => inner,
            Step::Found(value) => return Ok(Some(value.to_vec())),
            Step::Absent => return Ok(None),
        };
    }
}

fn stored(snapshot: &Snapshot, hash: B256) -> Result<&[u8]> {
    snapshot.node(hash)?.ok_or_else(|| ExecutionError::Missing(format!("the trie node {hash}")))
}

fn step<'a>(node: &'a [u8], path: &mut Path) -> Result<Step<'a>, Error> {
    let mut rest = node;
    let mut items = Header::decode_bytes(&mut rest, true)?;
    let (first, second) = (item(&mut items)?, item(&mut items)?);
    if items.is_empty() {
        return short(first, second, path);
    }
    let Some(nibble) = path.next() else { return Err(Error::Custom("a branch deeper than its key")) };
    let mut child = [first, second].get(nibble).copied();
    for index in 2..BRANCH_ITEMS {
        if child.is_some() {
            break;
        }
        let skipped = item(&mut items)?;
        child = (index == nibble).then_some(skipped);
    }
    into(child.ok_or(Error::InputTooShort)?)
}

/// A leaf or an extension: a piece of path, and what follows it.
fn short<'a>(compact: &[u8], follows: &'a [u8], path: &mut Path) -> Result<Step<'a>, Error> {
    let compact = payload(compact)?;
    let (flags, packed) = compact.split_first().ok_or(Error::InputTooShort)?;
    let odd = (flags & 0x10 != 0).then_some(flags & 0x0f);
    let pairs = packed.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    let same = odd.into_iter().chain(pairs).all(|nibble| path.next() == Some(usize::from(nibble)));
    let leaf = flags & 0x20 != 0;
    match (same, leaf) {
        (false, _) => Ok(Step::Absent),
        (true, false) => into(follows),
        (true, true) if path.at == Path::NIBBLES => Ok(Step::Found(payload(follows)?)),
        (true, true) => Ok(Step::Absent),
    }
}

/// A child: a hash, a node within this one, or nothing.
fn into(reference: &[u8]) -> Result<Step<'_>, Error> {
    if reference.first().is_some_and(|byte| *byte >= 0xc0) {
        return Ok(Step::Inline(reference));
    }
    let hash = payload(reference)?;
    if hash.is_empty() {
        return Ok(Step::Absent);
    }
    B256::try_from(hash).map(Step::Stored).map_err(|_| Error::UnexpectedLength)
}

/// Takes the next item off a list's payload, with its header.
fn item<'a>(items: &mut &'a [u8]) -> Result<&'a [u8], Error> {
    let whole = *items;
    let header = Header::decode(items)?;
    *items = items.get(header.payload_length..).ok_or(Error::InputTooShort)?;
    Ok(&whole[..whole.len() - items.len()])
}

fn payload(mut item: &[u8]) -> Result<&[u8], Error> {
    Header::decode_bytes(&mut item, false)
}

/// A key, nibble by nibble.
struct Path {
    key: B256,
    at: usize,
}

impl Path {
    const NIBBLES: usize = 64;

    fn next(&mut self) -> Option<usize> {
        let byte = self.key.get(self.at / 2)?;
        let nibble = if self.at.is_multiple_of(2) { byte >> 4 } else { byte & 0x0f };
        self.at += 1;
        Some(usize::from(nibble))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use alloy::consensus::EMPTY_ROOT_HASH;
    use eth_trie::Trie;
    use proptest::prelude::*;

    use super::*;
    use crate::state::nodes::TrieNodes;
    use crate::store::Store;

    /// Keys that share long pieces of path, so that there are extensions, and nodes short enough to lie within others.
    fn key() -> impl Strategy<Value = B256> {
        (0usize..4, 0u8..3, 0u8..40).prop_map(|(place, high, low)| {
            let mut key = B256::ZERO;
            key[place * 8] = high;
            key[31] = low;
            key
        })
    }

    fn stored_trie(store: &Store, leaves: &BTreeMap<B256, Vec<u8>>) -> B256 {
        let nodes = Arc::new(TrieNodes::default());
        let mut trie = nodes.trie(EMPTY_ROOT_HASH).unwrap();
        for (key, value) in leaves {
            trie.insert(key.as_slice(), value).unwrap();
        }
        let root = trie.root_hash().unwrap();
        store.write(|writer| writer.put_nodes(&mut nodes.take_fresh())).unwrap();
        root
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn exactly_what_the_trie_holds_is_found(
            leaves in prop::collection::btree_map(key(), prop::collection::vec(1u8.., 1..40), 1..60),
            others in prop::collection::vec(key(), 20),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path()).unwrap();
            let root = stored_trie(&store, &leaves);
            let snapshot = store.read().unwrap();
            for key in leaves.keys().chain(&others) {
                prop_assert_eq!(lookup(&snapshot, root, *key).unwrap(), leaves.get(key).cloned());
            }
        }
    }

    #[test]
    fn a_node_that_is_gone_is_missing_not_absent() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let error = lookup(&store.read().unwrap(), B256::repeat_byte(1), B256::ZERO).unwrap_err();
        assert!(matches!(error, ExecutionError::Missing(_)), "{error}");
    }
}
