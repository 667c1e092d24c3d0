//! Keys of several origins, which may change while signing goes on.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use alloy::dyn_abi::TypedData;
use alloy::primitives::{Address, Signature};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tracing::info;

use crate::{KeyOrigin, Keystore, SignerError, SigningPermit};

/// A key, and where it comes from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ListedKey {
    /// Whose key it is.
    pub address: Address,
    /// The place it was read from, in words.
    pub origin: String,
}

/// What a reload has changed; addresses in order. A key that comes from another place than before is unchanged.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct KeyChanges {
    /// Keys that were not there before.
    pub added: Vec<Address>,
    /// Keys that are not there any more.
    pub removed: Vec<Address>,
    /// Keys that are there as before.
    pub unchanged: Vec<Address>,
}

/// Who signs for each validator, and the place of its origin in the list of them.
type Held = BTreeMap<Address, (usize, Arc<dyn Keystore>)>;

/// The keys of several origins as one keystore. A [`reload`](Self::reload) reads all origins anew and changes the keys in
/// one step; a signing that began before ends with the key it began with, also if that key is gone.
#[derive(Debug)]
pub struct KeyRing {
    origins: Vec<KeyOrigin>,
    held: RwLock<Arc<Held>>,
    /// One reload at a time, so that the keys are never those of an older look than was reported.
    reloading: Mutex<()>,
}

impl KeyRing {
    /// Reads the keys of all origins.
    ///
    /// # Errors
    /// The first origin's that fails, and [`SignerError::DuplicateKey`] for a key of two origins.
    ///
    /// # Cancel safety
    /// Dropped: nothing has happened.
    pub async fn load(origins: Vec<KeyOrigin>) -> Result<Self, SignerError> {
        let held = read(&origins).await?;
        Ok(Self { origins, held: RwLock::new(Arc::new(held)), reloading: Mutex::default() })
    }

    /// Reads all origins anew. If one of them fails, all keys stay as they are.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    ///
    /// # Cancel safety
    /// Dropped: the keys are as before.
    pub async fn reload(&self) -> Result<KeyChanges, SignerError> {
        let _turn = self.reloading.lock().await;
        let fresh = Arc::new(read(&self.origins).await?);
        let changes = changes(&self.held(), &fresh);
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        let KeyChanges { added, removed, unchanged } = &changes;
        info!(?added, ?removed, unchanged = unchanged.len(), "reloaded the validators' keys");
        Ok(changes)
    }

    /// All keys, in the order of their addresses.
    #[must_use]
    pub fn list(&self) -> Vec<ListedKey> {
        let listed = |(address, (at, _)): (&Address, &(usize, _))| ListedKey {
            address: *address,
            origin: self.origins[*at].to_string(),
        };
        self.held().iter().map(listed).collect()
    }

    fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn keystore(&self, validator: Address) -> Result<Arc<dyn Keystore>, SignerError> {
        let held = self.held();
        let (_, keystore) = held.get(&validator).ok_or(SignerError::UnknownKey { validator })?;
        Ok(Arc::clone(keystore))
    }
}

async fn read(origins: &[KeyOrigin]) -> Result<Held, SignerError> {
    let mut held = Held::new();
    for (at, origin) in origins.iter().enumerate() {
        let keystore = origin.load().await?;
        for address in keystore.addresses() {
            if held.insert(address, (at, Arc::clone(&keystore))).is_some() {
                return Err(SignerError::DuplicateKey { address });
            }
        }
    }
    Ok(held)
}

fn changes(before: &Held, after: &Held) -> KeyChanges {
    let (unchanged, added) = after.keys().partition(|address| before.contains_key(*address));
    let removed = before.keys().filter(|address| !after.contains_key(*address)).copied().collect();
    KeyChanges { added, removed, unchanged }
}

impl Keystore for KeyRing {
    fn addresses(&self) -> Vec<Address> {
        self.held().keys().copied().collect()
    }

    fn holds(&self, validator: Address) -> bool {
        self.held().contains_key(&validator)
    }

    fn sign<'a>(&'a self, permit: &'a SigningPermit) -> BoxFuture<'a, Result<Signature, SignerError>> {
        let keystore = self.keystore(permit.duty().validator);
        Box::pin(async move { keystore?.sign(permit).await })
    }

    fn sign_typed<'a>(
        &'a self,
        permit: &'a SigningPermit,
        typed: &'a TypedData,
    ) -> BoxFuture<'a, Result<Signature, SignerError>> {
        let keystore = self.keystore(permit.duty().validator);
        Box::pin(async move { keystore?.sign_typed(permit, typed).await })
    }
}
