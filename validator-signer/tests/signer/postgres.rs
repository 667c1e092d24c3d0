//! A store that several nodes share, on real servers.

mod both;
mod faults;
mod model;
mod nodes;
mod opening;
mod proxy;
mod restored;
pub(crate) mod server;
