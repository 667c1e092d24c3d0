//! The table of methods: name, scope, and what answers.

use std::future::Future;
use std::sync::Arc;

use jsonrpsee::types::{ErrorObjectOwned, Params};
use jsonrpsee::{Extensions, RpcModule};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::audit::Audit;
use super::caller::{Caller, Passage};
use super::context::AdminContext;
use super::errors;
use super::gate::Scopes;
use super::params::one;
use super::{config, keys, op_node, queries, subscription, verbs, waiting};
use crate::catalogue::Reason;
use crate::data_dir::Scope;
use crate::feed::Feed;

pub(super) type Answer<T> = Result<T, ErrorObjectOwned>;

/// What the methods work with. Each verb is a task of `tasks`, so that it and its entry in the journal outlive the
/// connection it came over.
#[derive(Clone, Debug)]
pub(super) struct Methods {
    pub(super) context: AdminContext,
    pub(super) audit: Audit,
    pub(super) feed: Feed,
    /// How many may wait at once, for news or for L1: whoever waits must not keep a stop out.
    pub(super) waits: Arc<Semaphore>,
    pub(super) tasks: TaskTracker,
    /// Cancelled once the server stops.
    pub(super) ended: CancellationToken,
    /// Cancelled once an operator has closed the node.
    pub(super) closed: CancellationToken,
}

/// A verb as it was called.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) verb: &'static str,
    pub(super) passage: Passage,
}

impl Call {
    pub(super) const fn caller(&self) -> Caller {
        self.passage.caller
    }
}

/// Every method, and the scope each needs.
pub(super) fn registry(methods: Methods) -> (RpcModule<Methods>, Scopes) {
    let mut registry = Registry { module: RpcModule::new(methods), scopes: Scopes::new() };
    registry.verb("admin_start", Scope::Operate, verbs::start);
    registry.verb("admin_stop", Scope::Operate, verbs::stop);
    registry.verb("admin_close", Scope::Danger, verbs::close);
    // Whoever may look may read the configuration; to set it takes more, which the method itself checks.
    registry.verb("admin_config", Scope::Read, config::config);
    registry.verb("admin_reloadKeys", Scope::Danger, keys::reload);
    registry.query("admin_status", queries::status);
    registry.query("admin_journal", queries::journal);
    registry.query("admin_explain", queries::explain);
    registry.query("admin_publisher", queries::publisher);
    registry.query("admin_waitFor", waiting::wait_for);
    registry.verb("admin_startSequencer", Scope::Operate, op_node::start_sequencer);
    registry.verb("admin_stopSequencer", Scope::Operate, op_node::stop_sequencer);
    registry.query("admin_sequencerActive", op_node::sequencer_active);
    registry.subscription();
    (registry.module, registry.scopes)
}

struct Registry {
    module: RpcModule<Methods>,
    scopes: Scopes,
}

impl Registry {
    /// A method that changes nothing.
    fn query<P, T, F>(&mut self, name: &'static str, ask: fn(Arc<Methods>, P) -> F)
    where
        P: DeserializeOwned + Default + Send + 'static,
        T: Serialize + Clone + Send + 'static,
        F: Future<Output = Answer<T>> + Send + 'static,
    {
        self.method(name, Scope::Read, move |params, methods, _| async move {
            ask(methods, one(&params)?.unwrap_or_default()).await
        });
    }

    /// A method that changes something: every call of it is noted, also one whose parameters are wrong.
    fn verb<P, T, F>(&mut self, name: &'static str, scope: Scope, carry_out: fn(Arc<Methods>, Call, P) -> F)
    where
        P: DeserializeOwned + Default + Send + 'static,
        T: Serialize + Clone + Send + 'static,
        F: Future<Output = Answer<T>> + Send + 'static,
    {
        self.method(name, scope, move |params, methods, extensions| async move {
            let Some(passage) = Passage::in_extensions(&extensions) else {
                return Err(errors::of_reason(Reason::Forbidden));
            };
            let call = Call { verb: name, passage: passage.clone() };
            match one(&params) {
                Ok(params) => carry_out(methods, call, params.unwrap_or_default()).await,
                Err(refusal) => {
                    let author = Audit::author(call.caller(), None, None);
                    methods.audit.note(name, call.caller(), &author, Reason::InvalidParams.word()).await;
                    Err(refusal)
                }
            }
        });
    }

    fn method<T, F>(
        &mut self,
        name: &'static str,
        scope: Scope,
        answer: impl Fn(Params<'static>, Arc<Methods>, Extensions) -> F + Clone + Send + Sync + 'static,
    ) where
        T: Serialize + Clone + Send + 'static,
        F: Future<Output = Answer<T>> + Send + 'static,
    {
        self.module.register_async_method(name, answer).expect("no two methods have the same name");
        self.scopes.insert(name, scope);
    }

    fn subscription(&mut self) {
        let names = (subscription::SUBSCRIBE, subscription::NOTIFICATION, subscription::UNSUBSCRIBE);
        self.module
            .register_subscription(names.0, names.1, names.2, |params, pending, methods, _| {
                subscription::subscribe(params, pending, methods)
            })
            .expect("no two methods have the same name");
        self.scopes.extend([(names.0, Scope::Read), (names.2, Scope::Read)]);
    }
}
