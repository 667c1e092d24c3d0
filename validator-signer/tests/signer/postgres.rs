//! A store that several nodes share, on real servers.

mod both;
mod deaths;
mod ethereum;
mod exchange;
mod faults;
mod listening;
mod marks;
mod marks_model;
mod model;
mod movers;
mod nodes;
mod opening;
mod proxy;
mod restored;
pub(crate) mod server;
mod tls;
mod worlds;
