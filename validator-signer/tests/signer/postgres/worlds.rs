//! Going through all that can happen in a small model, one step after the other.

use std::collections::HashSet;
use std::hash::Hash;

/// A state of a model.
pub(super) trait State: Copy + Eq + Hash {
    /// What is done differently in a protocol that is broken on purpose.
    type Protocol: Copy;

    /// Before anything has happened.
    fn new() -> Self;

    /// All that one step can make of it.
    fn next(&self, protocol: Self::Protocol) -> Vec<Self>;

    /// Whether it is one that must never be.
    fn is_broken(&self) -> bool;
}

/// Goes through all worlds within so many steps. Gives how many there are, or the steps to the first that is broken.
pub(super) fn explore<S: State>(protocol: S::Protocol, depth: usize) -> Result<usize, usize> {
    let mut seen = HashSet::from([S::new()]);
    let mut border = vec![S::new()];
    for step in 1..=depth {
        let mut next = Vec::new();
        for world in border.iter().flat_map(|world| world.next(protocol)) {
            if world.is_broken() {
                return Err(step);
            }
            if seen.insert(world) {
                next.push(world);
            }
        }
        if next.is_empty() {
            break;
        }
        border = next;
    }
    Ok(seen.len())
}
