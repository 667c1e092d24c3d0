//! The admin RPC over a real listener, in front of an engine whose parts do as the test tells them.

mod bench;
mod doors;
mod news;
mod pages;
mod parts;
mod slow;
mod verbs;

pub(crate) use bench::{Bench, resting};
