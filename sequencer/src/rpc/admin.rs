//! The admin RPC: JSON-RPC 2.0 over HTTP and WebSocket, and a few pages, on a listener of its own.
//!
//! | method | parameters | answer |
//! |---|---|---|
//! | `admin_start` | `{reason?, by?}` | [`StartAnswer`](crate::verbs::StartAnswer) |
//! | `admin_stop` | `{mode?: graceful \| now, deadlineMs?, reason?, by?}` | [`StopAnswer`](crate::verbs::StopAnswer) |
//! | `admin_close` | `{reason?, by?}` | [`CloseAnswer`](crate::verbs::CloseAnswer), then the process ends |
//! | `admin_status` | | [`NodeStatus`](crate::status::NodeStatus) |
//! | `admin_journal` | `{most?}` | the newest verbs, newest first |
//! | `admin_startSequencer` | hash? | null |
//! | `admin_stopSequencer` | | head hash |
//! | `admin_sequencerActive` | | bool |
//!
//! The last three are op-node's names. Every call needs the token; the pages `/livez /readyz /healthz /status /metrics`
//! need none. A foreign `Origin` or an unknown `Host` is refused before anything else is looked at. A verb goes on when
//! its caller goes away. Batches are refused: the order of verbs in one would mean nothing.

mod context;
mod errors;
mod guard;
mod methods;
mod pages;
mod params;
mod server;
#[cfg(test)]
pub(crate) mod tests;

pub use context::AdminContext;
pub use params::{AuthorParams, JournalParams, StopMode, StopParams};
pub use server::{AdminError, AdminServer, serve};
