//! One look at L1: two batches of calls, whatever there is to ask.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256};
use alloy::rpc::types::TransactionReceipt;

use crate::core::Core;
use crate::machine::news::{AccountSight, Look, TxSight};
use crate::machine::questions::{Questions, TxQuestion};
use crate::records::{IntentId, StoredTx};
use crate::{Error, L1HeadInfo, receipts};

/// Asks L1 all of `questions` at `head`: accounts first, then the transactions, by what their accounts' nonces say.
///
/// # Errors
/// What L1 answers: nothing is known then.
pub(crate) async fn look_at(
    core: &Core,
    questions: &Questions,
    head: &L1HeadInfo,
    known: &BTreeMap<IntentId, StoredTx>,
) -> Result<Look, Error> {
    let first = core.look_at_accounts(questions, head).await?;
    let sights: BTreeMap<Address, AccountSight> = first.accounts.iter().copied().collect();
    let asked: Vec<_> = questions.txs.iter().map(|question| (question, Asked::of(question, &sights))).collect();
    let wanted: Vec<Wanted> = asked.iter().flat_map(|(_, asked)| asked.wanted()).collect();
    let answers = core.l1.look_at_txs(&wanted).await?;
    let mut look = first;
    for (question, asked) in asked {
        let sight = match asked {
            Asked::Nothing => TxSight::Believed,
            Asked::NotInBlock => TxSight::NotInBlock,
            Asked::Receipts(hashes) => match hashes.iter().find_map(|hash| answers.receipts.get(hash)) {
                Some(receipt) => in_block(core, known.get(&question.intent), receipt, head).await?,
                None if is_used(question, &sights) => TxSight::NonceUsed,
                None => TxSight::NotInBlock,
            },
            Asked::Pool(hash) if answers.pooled.contains(&hash) => TxSight::Pooled,
            Asked::Pool(_) => TxSight::Absent,
        };
        look.txs.push((question.intent, sight));
    }
    Ok(look)
}

/// What is asked about one transaction.
enum Asked {
    Nothing,
    /// Its nonce was not used, and the pool need not be asked.
    NotInBlock,
    Receipts(Vec<B256>),
    Pool(B256),
}

/// One call of the second batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wanted {
    Receipt(B256),
    Pooled(B256),
}

/// What the second batch answered.
#[derive(Debug, Default)]
pub(crate) struct TxAnswers {
    pub(crate) receipts: BTreeMap<B256, TransactionReceipt>,
    /// Those the node knows.
    pub(crate) pooled: Vec<B256>,
}

fn is_used(question: &TxQuestion, sights: &BTreeMap<Address, AccountSight>) -> bool {
    sights.get(&question.account).is_some_and(|sight| sight.latest_nonce > question.nonce)
}

impl Asked {
    fn of(question: &TxQuestion, sights: &BTreeMap<Address, AccountSight>) -> Self {
        let final_nonce = sights.get(&question.account).and_then(|sight| sight.final_nonce).unwrap_or_default();
        if !is_used(question, sights) {
            return question.probe.map_or(Self::NotInBlock, Self::Pool);
        }
        match question.only_when_final && final_nonce <= question.nonce {
            true => Self::Nothing,
            false => Self::Receipts(question.hashes.clone()),
        }
    }

    fn wanted(&self) -> Vec<Wanted> {
        match self {
            Self::Nothing | Self::NotInBlock => Vec::new(),
            Self::Receipts(hashes) => hashes.iter().copied().map(Wanted::Receipt).collect(),
            Self::Pool(hash) => vec![Wanted::Pooled(*hash)],
        }
    }
}

/// What a receipt shows; what is known of the same block already is not asked for again.
async fn in_block(
    core: &Core,
    known: Option<&StoredTx>,
    receipt: &TransactionReceipt,
    head: &L1HeadInfo,
) -> Result<TxSight, Error> {
    let Some(tx) = known else { return Ok(TxSight::Believed) };
    if let Some(mined) = &tx.intent.mined
        && Some(mined.block_hash) == receipt.block_hash
        && mined.tx_hash == receipt.transaction_hash
    {
        return Ok(TxSight::InBlock(Box::new(mined.clone())));
    }
    let attempt = tx.attempts.iter().find(|attempt| attempt.hash == receipt.transaction_hash);
    let Some(attempt) = attempt else { return Ok(TxSight::NonceUsed) };
    let mined = receipts::summarize(core, (attempt, receipt), &tx.intent.success, head).await?;
    Ok(TxSight::InBlock(Box::new(mined)))
}
