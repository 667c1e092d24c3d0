//! The world state: accounts and storage as Merkle-Patricia tries at a root.

mod changes;
mod fresh;
mod lookup;
mod nodes;
mod references;
mod view;

pub(crate) use changes::StateChanges;
pub(crate) use view::StateView;
