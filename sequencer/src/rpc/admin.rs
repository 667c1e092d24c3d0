//! The admin RPC: JSON-RPC 2.0 over HTTP and WebSocket, and a few pages, on a listener of its own.
//!
//! | method | parameters | answer | scope |
//! |---|---|---|---|
//! | `admin_start` | `{at?, waitMs?, reason?, by?}` | [`StartAnswer`](crate::verbs::StartAnswer) | operate |
//! | `admin_stop` | `{mode?: graceful \| now, deadlineMs?, atSlot? \| atBlock?, reason?, by?}` | [`StopAnswer`](crate::verbs::StopAnswer) | operate |
//! | `admin_close` | `{reason?, by?}` | [`CloseAnswer`](crate::verbs::CloseAnswer), then the process ends | danger |
//! | `admin_config` | | every key with its value and origin | read |
//! | `admin_config` | `{set: {key: value}, reason?, by?}` | [`SetOutcome`](crate::config::SetOutcome) | operate |
//! | `admin_reloadKeys` | `{reason?, by?}` | [`KeyChanges`](fermata_validator_signer::KeyChanges) | danger |
//! | `admin_status` | | [`NodeStatus`](crate::status::NodeStatus) | read |
//! | `admin_waitFor` | `{state? \| block? \| checkpoint? \| l1Block?, timeoutMs?}` | the status then, or `TIMEOUT` with it | read |
//! | `admin_explain` | `{slot?}` | [`Explanation`](crate::explain::Explanation) | read |
//! | `admin_publisher` | | [`PublisherReport`](crate::status::PublisherReport) | read |
//! | `admin_journal` | `{most?}` | the newest verbs, newest first | read |
//! | `admin_subscribe` | one [`Topic`](crate::feed::Topic), several, or none for all | [`Notice`](crate::feed::Notice)s, over WebSocket | read |
//! | `admin_startSequencer` | hash? | null | operate |
//! | `admin_stopSequencer` | | head hash | operate |
//! | `admin_sequencerActive` | | bool | read |
//!
//! The last three are op-node's names. The listener asks every call for a token, each of which opens a
//! [`Scope`](crate::data_dir::Scope); the socket `admin.sock` in the data directory, which its owner alone can open, asks for
//! none. The pages `/livez /readyz /healthz /status /metrics` need none either. A foreign `Origin` or an unknown `Host` is
//! refused before anything else is looked at. A verb goes on when its caller goes away, and is noted in the log (target
//! `audit`) and in the journal, also when it fails; what the caller's scope does not include is in the log alone. Batches are refused: the order of verbs in one would mean nothing.

mod accept;
mod audit;
mod caller;
mod config;
mod context;
mod errors;
mod gate;
mod guard;
mod keys;
mod liveness;
mod methods;
mod op_node;
mod pages;
mod params;
mod queries;
mod reading;
mod refusals;
mod server;
mod subscription;
#[cfg(test)]
pub(crate) mod tests;
mod verbs;
mod waiting;

pub use context::AdminContext;
pub use params::{
    AuthorParams, ConfigParams, ExplainParams, JournalParams, NoParams, StartParams, StopMode, StopParams,
    SubscribeParams, WaitParams,
};
pub use server::{AdminError, AdminServer, Doors, serve};
