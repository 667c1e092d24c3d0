//! The two batches of a look: one round trip each, however much there is to ask.

use alloy::primitives::{Address, B256, U64, U128, U256};
use alloy::providers::Provider;
use alloy::rpc::client::{BatchRequest, Waiter};
use alloy::rpc::json_rpc::RpcRecv;
use alloy::rpc::types::{FeeHistory, TransactionReceipt};
use alloy::transports::TransportResult;
use serde::de::IgnoredAny;

use crate::Error;
use crate::desk::look::{TxAnswers, Wanted};
use crate::l1::L1Client;
use crate::machine::news::{AccountSight, Look};
use crate::machine::questions::{AccountQuestion, Questions};
use crate::prices::{PriceSources, median};

const TIP: &str = "eth_maxPriorityFeePerGas";
const HISTORY: &str = "eth_feeHistory";
const BLOB_FEE: &str = "eth_blobBaseFee";
const COUNT: &str = "eth_getTransactionCount";
const BALANCE: &str = "eth_getBalance";
const RECEIPT: &str = "eth_getTransactionReceipt";
const KNOWN: &str = "eth_getTransactionByHash";

/// The tips of this many blocks are looked at, and of each the one that half of its gas paid less than.
const TIPS_OF: (&str, f64) = ("0xa", 50.0);

/// One call of a batch.
type Call<T> = TransportResult<Waiter<T>>;

impl L1Client {
    /// The first batch of a look: every account, and what the node says of prices.
    pub(crate) async fn look_at_accounts(&self, questions: &Questions) -> Result<(PriceSources, Look), Error> {
        let mut batch = BatchRequest::new(self.provider.client());
        let tips = questions.wants_tips.then(|| TipCalls::of(&mut batch));
        let blob_fee = questions.wants_blob_fee.then(|| batch.add_call::<_, U128>(BLOB_FEE, &()));
        let accounts: Vec<_> =
            questions.accounts.iter().map(|question| AccountCalls::of(&mut batch, question)).collect();
        self.within(COUNT, batch.send()).await?;
        let mut sources = PriceSources::default();
        if let Some(tips) = tips {
            sources.suggested_tip = self.optional(TIP, tips.suggested).await?.map(|tip| tip.to());
            let history = self.optional(HISTORY, tips.history).await?;
            sources.paid_tip = history.and_then(|history| median(tips_of(&history)));
        }
        if let Some(fee) = blob_fee {
            sources.told_blob_base_fee = self.optional(BLOB_FEE, fee).await?.map(|fee| fee.to());
        }
        let mut look = Look { at: questions.at, ..Look::default() };
        for calls in accounts {
            look.accounts.push((calls.address, calls.sight(self, questions.at).await?));
        }
        Ok((sources, look))
    }

    /// The second batch of a look: receipts, and what the node's pool holds.
    pub(crate) async fn look_at_txs(&self, wanted: &[Wanted]) -> Result<TxAnswers, Error> {
        if wanted.is_empty() {
            return Ok(TxAnswers::default());
        }
        let mut batch = BatchRequest::new(self.provider.client());
        let (mut receipts, mut pooled) = (Vec::new(), Vec::new());
        for wanted in wanted {
            match wanted {
                Wanted::Receipt(hash) => {
                    receipts.push((*hash, batch.add_call::<_, Option<TransactionReceipt>>(RECEIPT, &(*hash,))));
                }
                Wanted::Pooled(hash) => {
                    pooled.push((*hash, batch.add_call::<_, Option<IgnoredAny>>(KNOWN, &(*hash,))));
                }
            }
        }
        self.within(RECEIPT, batch.send()).await?;
        self.answers(receipts, pooled).await
    }

    async fn answers(
        &self,
        receipts: Vec<(B256, Call<Option<TransactionReceipt>>)>,
        pooled: Vec<(B256, Call<Option<IgnoredAny>>)>,
    ) -> Result<TxAnswers, Error> {
        let mut answers = TxAnswers::default();
        for (hash, call) in receipts {
            let receipt = self.ask(RECEIPT, answer(call)).await?;
            if let Some(receipt) = receipt.filter(|receipt| receipt.block_hash.is_some()) {
                answers.receipts.insert(hash, receipt);
            }
        }
        for (hash, call) in pooled {
            if self.ask(KNOWN, answer(call)).await?.is_some() {
                answers.pooled.push(hash);
            }
        }
        Ok(answers)
    }

    /// What a call answers that not every node has.
    async fn optional<T: RpcRecv>(&self, method: &'static str, call: Call<T>) -> Result<Option<T>, Error> {
        match self.ask(method, answer(call)).await {
            Ok(answer) => Ok(Some(answer)),
            Err(Error::L1Refused { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }
}

/// The calls about tips.
struct TipCalls {
    suggested: Call<U128>,
    history: Call<FeeHistory>,
}

impl TipCalls {
    fn of(batch: &mut BatchRequest<'_>) -> Self {
        let suggested = batch.add_call::<_, U128>(TIP, &());
        let history = batch.add_call::<_, FeeHistory>(HISTORY, &(TIPS_OF.0, "latest", [TIPS_OF.1]));
        Self { suggested, history }
    }
}

/// The calls about one account.
struct AccountCalls {
    address: Address,
    latest: Call<U64>,
    pending: Option<Call<U64>>,
    finalized: Option<Call<U64>>,
    balance: Call<U256>,
}

impl AccountCalls {
    fn of(batch: &mut BatchRequest<'_>, question: &AccountQuestion) -> Self {
        let address = question.address;
        let mut count = |tag: &str| batch.add_call::<_, U64>(COUNT, &(address, tag));
        let latest = count("latest");
        let pending = question.wants_pending.then(|| count("pending"));
        let finalized = question.wants_final.then(|| count("finalized"));
        let balance = batch.add_call::<_, U256>(BALANCE, &(address, "latest"));
        Self { address, latest, pending, finalized, balance }
    }

    /// What they answered, once the batch was sent.
    async fn sight(self, l1: &L1Client, at: u64) -> Result<AccountSight, Error> {
        let pending_nonce = match self.pending {
            Some(pending) => Some(l1.ask(COUNT, answer(pending)).await?.to()),
            None => None,
        };
        // A node that knows no finality yet leaves it open.
        let final_nonce = match self.finalized {
            Some(finalized) => l1.optional(COUNT, finalized).await?.map(|nonce| nonce.to()),
            None => None,
        };
        let latest_nonce = l1.ask(COUNT, answer(self.latest)).await?.to();
        let balance = l1.ask(BALANCE, answer(self.balance)).await?;
        Ok(AccountSight { at, latest_nonce, pending_nonce, final_nonce, balance })
    }
}

/// The tips of the blocks that hold anything, in wei.
fn tips_of(history: &FeeHistory) -> Vec<u128> {
    let rewards = history.reward.iter().flatten().zip(&history.gas_used_ratio);
    rewards.filter(|(_, used)| **used > 0.0).filter_map(|(tips, _)| tips.first().copied()).collect()
}

/// The answer to one call of a batch that was sent.
async fn answer<T: RpcRecv>(call: Call<T>) -> TransportResult<T> {
    call?.await
}
