//! The world state: accounts and storage as Merkle-Patricia tries at a root.

mod changes;
mod lookup;
mod nodes;
mod view;

pub(crate) use changes::StateChanges;
pub(crate) use nodes::TrieNodes;
pub(crate) use view::StateView;
