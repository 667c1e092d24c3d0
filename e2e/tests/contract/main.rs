//! The real L1 contracts as referee of `fermata-rollup`: they compute the same, take what it encodes, and refuse the rest.

mod abi;
mod accepted;
mod candidate;
mod chain;
mod committee;
mod escape_hatch;
mod invalidated;
mod mending;
mod proven;
mod refused;
mod side;
mod signals;
mod slashes;
