//! Requests for blocks, as the node that is asked sees them.

use std::fmt;

use alloy::primitives::B256;
use fermata_execution::Block;
use fermata_primitives::UnixTime;
use tokio::sync::mpsc;

use super::{BlockAnswer, NodeId};

/// How an answer gets back to whom it is for.
type Reply = Box<dyn FnOnce(BlockAnswer) + Send>;

/// Another node's request for blocks. Dropped, it is not answered, and that node asks another.
pub struct BlockRequest {
    /// Who asks.
    pub from: NodeId,
    /// Hashes of the blocks.
    pub hashes: Vec<B256>,
    /// When the answer is of no use any more, as far as this node can tell.
    pub deadline: UnixTime,
    reply: Reply,
}

impl BlockRequest {
    /// A request whose answer goes to `reply`, which must not wait.
    pub fn new(
        from: NodeId,
        hashes: Vec<B256>,
        deadline: UnixTime,
        reply: impl FnOnce(BlockAnswer) + Send + 'static,
    ) -> Self {
        Self { from, hashes, deadline, reply: Box::new(reply) }
    }

    /// Answers with these blocks: as many of them, from the first on, as fit into one answer. Gives how many did.
    pub fn answer(self, blocks: Vec<Block>) -> usize {
        let answer = BlockAnswer::fitting(blocks);
        let blocks = answer.blocks().len();
        (self.reply)(answer);
        blocks
    }
}

impl fmt::Debug for BlockRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("BlockRequest");
        fields.field("from", &self.from).field("hashes", &self.hashes).field("deadline", &self.deadline);
        fields.finish_non_exhaustive()
    }
}

/// Requests for blocks, in the order in which they arrived. It belongs to its receiver: dropped, it is never called again.
#[derive(Debug)]
pub struct BlockRequests(pub(super) mpsc::Receiver<BlockRequest>);

impl BlockRequests {
    /// The next request; `None` once the node has left the network or another serves them.
    ///
    /// # Cancel safety
    /// May be dropped and called again: nothing is lost.
    pub async fn recv(&mut self) -> Option<BlockRequest> {
        self.0.recv().await
    }
}
