//! What is asked of L1 at a head: all at once, and only what matters.

use alloy::primitives::{Address, B256};

use crate::machine::tx::Tx;
use crate::machine::{Machine, Rules};
use crate::records::{Finality, IntentId};
use crate::window::Position;

/// A node is asked whether it still has a transaction at every head of this many.
const PROBE_EVERY: u64 = 2;

/// What is asked first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Questions {
    /// The beat at which it is asked.
    pub(crate) at: u64,
    pub(crate) accounts: Vec<AccountQuestion>,
    /// The blob base fee, which the head does not tell.
    pub(crate) wants_blob_fee: bool,
    /// The tips of now: blocks leave something out, for which those of a few heads ago may be too low.
    pub(crate) wants_tips: bool,
    pub(crate) txs: Vec<TxQuestion>,
}

/// What is asked about an account, besides its balance and its nonce.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AccountQuestion {
    pub(crate) address: Address,
    pub(crate) wants_pending: bool,
    pub(crate) wants_final: bool,
}

/// What is asked about a transaction, once its account's nonce is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TxQuestion {
    pub(crate) intent: IntentId,
    pub(crate) account: Address,
    pub(crate) nonce: u64,
    /// Hashes whose receipts are wanted if the chain counts the nonce as used.
    pub(crate) hashes: Vec<B256>,
    /// The hash the pool is asked for if it does not.
    pub(crate) probe: Option<B256>,
    /// The receipts are wanted once the nonce is final, not before: a block holds it, deep enough.
    pub(crate) only_when_final: bool,
}

impl Machine {
    /// What is to be asked at this head; `None` when nothing is.
    pub(crate) fn questions(&self, rules: &Rules<'_>) -> Option<Questions> {
        let is_idle = self.txs.is_empty() && self.waiting.is_empty();
        (!is_idle && self.is_due(rules)).then(|| self.every_question())
    }

    /// All that can be asked.
    pub(crate) fn every_question(&self) -> Questions {
        let in_block = |address: Address| {
            self.txs.values().any(|tx| tx.stored.intent.account == address && tx.state().is_settled())
        };
        let accounts = self.accounts.iter().map(|(address, account)| AccountQuestion {
            address: *address,
            wants_pending: account.nonce_in_doubt,
            wants_final: in_block(*address),
        });
        let has_blobs = self.txs.values().any(|tx| tx.stored.intent.blob_count > 0)
            || self.waiting.iter().any(|waiting| waiting.job.blob_count() > 0);
        Questions {
            at: self.beat,
            accounts: accounts.collect(),
            wants_blob_fee: has_blobs && self.head.blob_base_fee.is_none(),
            wants_tips: self.txs.values().any(|tx| !tx.state().is_settled() && tx.seen.missed > 0),
            txs: self.txs.values().map(|tx| self.question(tx)).collect(),
        }
    }

    /// True when something was not looked at since this head came, or an account's nonce is in doubt.
    fn is_due(&self, rules: &Rules<'_>) -> bool {
        let has_news = self.txs.values().any(|tx| self.is_unseen(tx));
        let in_doubt = self.accounts.values().any(|account| account.nonce_in_doubt);
        let wants_account = self.waiting.iter().any(|waiting| {
            self.position(waiting.job.request.window(), rules) != Position::Behind
                && self.accounts.values().any(|account| account.sight.is_none_or(|sight| sight.at < self.beat))
        });
        has_news || in_doubt || wants_account || self.lacks_prices()
    }

    /// True when something cannot be priced.
    fn lacks_prices(&self) -> bool {
        let of_txs = self.txs.values().map(|tx| tx.stored.intent.blob_count);
        let mut counts = of_txs.chain(self.waiting.iter().map(|waiting| waiting.job.blob_count()));
        counts.any(|count| self.market(count).is_none())
    }

    /// True when it was not looked at since this head came; one that a node has just taken can wait for the next.
    fn is_unseen(&self, tx: &Tx) -> bool {
        let beat = self.beat;
        let was_taken_now = tx.seen.in_pool && tx.seen.sent_at >= beat;
        tx.sight_at(beat).is_none() && tx.seen.sending.is_none() && !was_taken_now
    }

    fn question(&self, tx: &Tx) -> TxQuestion {
        let intent = &tx.stored.intent;
        let hashes = match &intent.mined {
            Some(mined) => vec![mined.tx_hash],
            None => tx.stored.attempts.iter().map(|attempt| attempt.hash).collect(),
        };
        let is_probed = !tx.seen.in_pool || self.beat >= tx.seen.probed_at + PROBE_EVERY;
        let last = tx.stored.attempts.last().map(|attempt| attempt.hash);
        TxQuestion {
            intent: intent.id,
            account: intent.account,
            nonce: intent.nonce,
            hashes,
            probe: last.filter(|_| is_probed && !tx.state().is_settled() && !self.is_outdone(tx)),
            only_when_final: is_believed(tx) || self.rivals(tx).any(is_believed),
        }
    }
}

/// A block that is deep enough holds it.
fn is_believed(tx: &Tx) -> bool {
    tx.stored.intent.finality == Finality::Confirmed
}
