//! Signings that are with a key now: whoever asks for the same payload meanwhile waits for the same answer.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy::primitives::{B256, Signature};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use tokio_util::sync::CancellationToken;

use crate::{Duty, SignerError, SigningPermit};

/// What a key answers to all who wait for it.
type Answer = Result<Signature, Arc<SignerError>>;

/// The signings that are with a key now.
///
/// A signing lives as long as somebody waits for it, and is polled by whoever waits: a caller that goes away ends it for
/// itself alone.
#[derive(Default)]
pub(crate) struct InKey {
    signings: Mutex<HashMap<Duty, Entry>>,
}

impl fmt::Debug for InKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.lock().keys()).finish()
    }
}

struct Entry {
    digest: B256,
    signing: WeakShared<BoxFuture<'static, Answer>>,
    /// Once cancelled, nobody joins any more: the key was given up.
    cut: CancellationToken,
    /// What its [`Leave`] knows it by; a later signing of the duty has another one.
    token: Arc<()>,
}

/// Takes the entry away when its signing has ended, or is dropped by the last who waited.
struct Leave {
    in_key: Arc<InKey>,
    duty: Duty,
    token: Arc<()>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let mut signings = self.in_key.lock();
        if signings.get(&self.duty).is_some_and(|entry| Arc::ptr_eq(&entry.token, &self.token)) {
            signings.remove(&self.duty);
        }
    }
}

impl InKey {
    /// The answer of the key to `permit`: of the signing of the same payload that is with it now, if there is one that was
    /// not cut, and else of the one that `ask` begins.
    ///
    /// # Errors
    /// What `ask` says; [`SignerError::Joined`] to whoever shares it with others.
    ///
    /// # Cancel safety
    /// Dropped: the signing goes on for the others who wait for it, and ends if there are none.
    pub(crate) async fn answer<F>(
        self: &Arc<Self>,
        permit: SigningPermit,
        cut: &CancellationToken,
        ask: impl FnOnce(SigningPermit) -> F,
    ) -> Result<Signature, SignerError>
    where
        F: Future<Output = Result<Signature, SignerError>> + Send + 'static,
    {
        let signing = self.join(&permit).unwrap_or_else(|| self.begin(permit, cut, ask));
        let answer = signing.await;
        answer.map_err(|failure| Arc::try_unwrap(failure).unwrap_or_else(SignerError::Joined))
    }

    fn join(&self, permit: &SigningPermit) -> Option<Shared<BoxFuture<'static, Answer>>> {
        let signings = self.lock();
        let entry = signings.get(&permit.duty())?;
        let same = entry.digest == permit.digest() && !entry.cut.is_cancelled();
        same.then(|| entry.signing.upgrade()).flatten()
    }

    fn begin<F>(
        self: &Arc<Self>,
        permit: SigningPermit,
        cut: &CancellationToken,
        ask: impl FnOnce(SigningPermit) -> F,
    ) -> Shared<BoxFuture<'static, Answer>>
    where
        F: Future<Output = Result<Signature, SignerError>> + Send + 'static,
    {
        let (duty, digest, token) = (permit.duty(), permit.digest(), Arc::new(()));
        let leave = Leave { in_key: Arc::clone(self), duty, token: Arc::clone(&token) };
        let asked = ask(permit);
        let signing = async move {
            let _leave = leave;
            asked.await.map_err(Arc::new)
        };
        let signing = signing.boxed().shared();
        if let Some(weak) = signing.downgrade() {
            self.lock().insert(duty, Entry { digest, signing: weak, cut: cut.clone(), token });
        }
        signing
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Duty, Entry>> {
        self.signings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
