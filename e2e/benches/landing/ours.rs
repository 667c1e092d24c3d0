//! Fermata's publisher.

use alloy::signers::local::PrivateKeySigner;
use anyhow::{Result, bail};
use fermata_publisher::{Outcome, RequestBlobs};
use futures::future::{BoxFuture, FutureExt as _};
use tokio_util::sync::CancellationToken;

use crate::contest::Contestant;
use crate::ground::{Blocks, Publisher};

/// A publisher that runs, and its store.
pub(crate) struct Ours {
    publisher: Publisher,
    _dir: tempfile::TempDir,
}

impl Ours {
    pub(crate) async fn start(url: &str, blocks: Blocks, signer: PrivateKeySigner) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let publisher = Publisher::open(url, blocks, dir.path(), vec![signer]).await?;
        publisher.manager.start().await?;
        Ok(Self { publisher, _dir: dir })
    }
}

impl Contestant for Ours {
    fn land(&mut self) -> BoxFuture<'_, Result<u64>> {
        async {
            let request = self.publisher.request("landing".to_owned(), RequestBlobs::None);
            match self.publisher.manager.send(request, CancellationToken::new()).await? {
                Outcome::Mined(tx) => Ok(tx.block_number),
                other @ (Outcome::Expired | Outcome::Interrupted { .. } | Outcome::Rejected { .. }) => {
                    bail!("it ended as {other:?}")
                }
            }
        }
        .boxed()
    }
}
