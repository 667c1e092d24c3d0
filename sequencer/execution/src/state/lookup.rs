//! Finding one leaf: a walk over the stored nodes as they lie in the memory map, without decoding what is not on the
//! path. The trie crate decodes every node it passes, with all sixteen children: fine for changing a trie, several
//! times the cost of a read.

use alloy::primitives::B256;
use alloy::rlp::{Error, Header};

use super::nodes::unreadable;
use super::references::{is_list, item, payload, position, references};
use crate::store::{NodeRecord, Snapshot};
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

/// A leaf that was found.
pub(super) struct Leaf {
    pub(super) value: Vec<u8>,
    /// Hash and number of the storage trie's root, where the leaf is an account that has one.
    pub(super) storage: Option<(B256, u64)>,
}

/// The leaf at `key` in the trie whose root has this number.
pub(super) fn lookup(snapshot: &Snapshot, root: u64, key: B256) -> Result<Option<Leaf>> {
    let mut path = Path { key, at: 0 };
    let mut record = stored(snapshot, root)?;
    let mut node = record.rlp;
    loop {
        match step(node, &mut path).map_err(|cause| unreadable(&cause))? {
            Step::Stored(hash) => {
                record = stored(snapshot, number(&record, hash)?)?;
                node = record.rlp;
            }
            Step::Inline(inner) => node = inner,
            Step::Found(value) => {
                let storage = if is_list(value) { storage(&record)? } else { None };
                return Ok(Some(Leaf { value: value.to_vec(), storage }));
            }
            Step::Absent => return Ok(None),
        }
    }
}

fn stored(snapshot: &Snapshot, id: u64) -> Result<NodeRecord<'_>> {
    snapshot.node(id)?.ok_or_else(|| ExecutionError::Missing(format!("the trie node {id}")))
}

/// Hash and number of the one node that a leaf may refer to.
fn storage(record: &NodeRecord<'_>) -> Result<Option<(B256, u64)>> {
    let hashes = references(record.rlp).map_err(|cause| unreadable(&cause))?;
    Ok(hashes.into_iter().zip(record.ids()).next())
}

fn number(record: &NodeRecord<'_>, hash: B256) -> Result<u64> {
    let position = position(record.rlp, hash).map_err(|cause| unreadable(&cause))?;
    let id = position.and_then(|position| record.ids().nth(position));
    id.ok_or_else(|| ExecutionError::Missing(format!("the number of the trie node {hash}")))
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
    if is_list(reference) {
        return Ok(Step::Inline(reference));
    }
    let hash = payload(reference)?;
    if hash.is_empty() {
        return Ok(Step::Absent);
    }
    B256::try_from(hash).map(Step::Stored).map_err(|_| Error::UnexpectedLength)
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
        store.write(|writer| nodes.take_fresh().write(writer, root)).unwrap();
        root
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn exactly_what_the_trie_holds_is_found(
            leaves in prop::collection::btree_map(key(), prop::collection::vec(1u8..0x80, 1..40), 1..60),
            others in prop::collection::vec(key(), 20),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path()).unwrap();
            let root = stored_trie(&store, &leaves);
            let snapshot = store.read().unwrap();
            let root = snapshot.state_root(root).unwrap().unwrap();
            for key in leaves.keys().chain(&others) {
                let found = lookup(&snapshot, root, *key).unwrap();
                prop_assert_eq!(found.map(|leaf| leaf.value), leaves.get(key).cloned());
            }
        }
    }

    #[test]
    fn a_node_that_is_gone_is_missing_not_absent() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let found = lookup(&store.read().unwrap(), 7, B256::ZERO);
        assert!(matches!(found, Err(ExecutionError::Missing(_))));
    }
}
