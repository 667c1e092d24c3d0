//! A store that several nodes share, on real servers.

mod both;
mod deaths;
mod faults;
mod marks;
mod model;
mod nodes;
mod opening;
mod proxy;
mod restored;
pub(crate) mod server;
