//! Sending a deployment's transactions: signed here, nonces counted here, so that none waits for the one before it.

use std::time::Duration;

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::Encodable2718;
use alloy::eips::eip1559::Eip1559Estimation;
use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256};
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use fermata_primitives::SharedClock;

use crate::provider::send_raw;
use crate::{AnvilError, L1Clock, Result};

/// Between two looks for receipts on a chain that mines by itself.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Who makes the blocks that a deployment waits for.
#[derive(Clone, Debug)]
pub enum Mining {
    /// The chain does, each in its time; one waits for it.
    ByTheChain {
        /// For how long at most.
        wait: Duration,
    },
    /// We do, by the clock of an anvil of our own.
    ByUs(L1Clock),
}

/// An L1 and an account on it that pays.
#[derive(Clone, Debug)]
pub struct L1Access {
    /// The L1.
    pub provider: DynProvider,
    /// Who pays and, for a while, owns what is deployed.
    pub deployer: PrivateKeySigner,
    /// Who makes the blocks.
    pub mining: Mining,
    /// The clock that waiting follows.
    pub clock: SharedClock,
}

/// A transaction that was sent and not yet seen in a block.
#[derive(Clone, Debug)]
struct Sent {
    action: &'static str,
    hash: B256,
    /// To say why it reverted; a raw transaction of somebody else has none.
    request: Option<TransactionRequest>,
}

/// Sends transactions of one account and collects their receipts.
#[derive(Debug)]
pub(crate) struct Sender {
    access: L1Access,
    chain_id: u64,
    nonce: u64,
    fees: Eip1559Estimation,
    pending: Vec<Sent>,
}

impl Sender {
    /// Asks the L1 who it is, what the account has and what gas costs. Sends nothing.
    pub(crate) async fn connect(access: L1Access, chain_id: u64) -> Result<Self> {
        let provider = &access.provider;
        let actual = provider.get_chain_id().await.map_err(AnvilError::rpc("tell its chain id"))?;
        if actual != chain_id {
            return Err(AnvilError::WrongChain { expected: chain_id, actual });
        }
        let account = access.deployer.address();
        let nonce = provider.get_transaction_count(account).pending().await.map_err(AnvilError::rpc("tell a nonce"))?;
        let fees = provider.estimate_eip1559_fees().await.map_err(AnvilError::rpc("estimate fees"))?;
        Ok(Self { access, chain_id, nonce, fees, pending: Vec::new() })
    }

    /// Whether the account can pay `gas` units at the highest fee offered, and `value` beside.
    pub(crate) async fn require_funds(&self, gas: u64, value: U256) -> Result<()> {
        let account = self.address();
        let balance = self.provider().get_balance(account).await.map_err(AnvilError::rpc("tell a balance"))?;
        let needed = U256::from(gas) * U256::from(self.fees.max_fee_per_gas) + value;
        if balance < needed { Err(AnvilError::WithoutFunds { account, balance, needed }) } else { Ok(()) }
    }

    pub(crate) const fn provider(&self) -> &DynProvider {
        &self.access.provider
    }

    pub(crate) fn address(&self) -> Address {
        self.access.deployer.address()
    }

    pub(crate) const fn max_fee_per_gas(&self) -> u128 {
        self.fees.max_fee_per_gas
    }

    /// Deploys `code`; the address is known at once.
    pub(crate) async fn create(&mut self, action: &'static str, code: Bytes, gas: u64) -> Result<Address> {
        let address = self.address().create(self.nonce);
        self.send(action, TransactionRequest::default().with_deploy_code(code), gas).await?;
        Ok(address)
    }

    /// Calls `to`.
    pub(crate) async fn call(&mut self, action: &'static str, to: Address, input: Vec<u8>, gas: u64) -> Result<()> {
        self.send(action, TransactionRequest::default().with_to(to).with_input(input), gas).await
    }

    /// Pays `to`.
    pub(crate) async fn pay(&mut self, action: &'static str, to: Address, wei: U256) -> Result<()> {
        self.send(action, TransactionRequest::default().with_to(to).with_value(wei), 21_000).await
    }

    /// Sends somebody else's signed transaction.
    pub(crate) async fn forward(&mut self, action: &'static str, raw: &[u8], hash: B256) -> Result<()> {
        send_raw(self.provider(), raw, action).await?;
        self.pending.push(Sent { action, hash, request: None });
        Ok(())
    }

    async fn send(&mut self, action: &'static str, request: TransactionRequest, gas: u64) -> Result<()> {
        let request = request.with_from(self.address());
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce: self.nonce,
            gas_limit: gas,
            max_fee_per_gas: self.fees.max_fee_per_gas,
            max_priority_fee_per_gas: self.fees.max_priority_fee_per_gas,
            to: request.to.unwrap_or(TxKind::Create),
            value: request.value.unwrap_or_default(),
            access_list: Default::default(),
            input: request.input.input().cloned().unwrap_or_default(),
        };
        let signature = self.access.deployer.sign_hash_sync(&transaction.signature_hash());
        let signature = signature.expect("a local key signs every hash");
        let envelope = TxEnvelope::from(transaction.into_signed(signature));
        send_raw(self.provider(), &envelope.encoded_2718(), action).await?;
        self.nonce += 1;
        self.pending.push(Sent { action, hash: *envelope.tx_hash(), request: Some(request.with_gas_limit(gas)) });
        Ok(())
    }

    /// Waits until all that was sent is in blocks, and gives the receipts in the order of sending.
    ///
    /// # Errors
    /// [`AnvilError::Reverted`] for the first that failed, with the contract's reason as `explain` reads it;
    /// [`AnvilError::NotMined`] when blocks come without it, or none comes.
    pub(crate) async fn settle(&mut self, explain: impl Fn(&[u8]) -> String) -> Result<Vec<TransactionReceipt>> {
        let pending = std::mem::take(&mut self.pending);
        let receipts = self.receipts(&pending).await?;
        match receipts.iter().position(|receipt| !receipt.status()) {
            Some(failed) => Err(self.reverted(&pending[failed], &receipts[failed], explain).await),
            None => Ok(receipts),
        }
    }

    async fn receipts(&self, pending: &[Sent]) -> Result<Vec<TransactionReceipt>> {
        let mut receipts: Vec<TransactionReceipt> = Vec::new();
        let started = self.access.clock.monotonic();
        let mut rounds = 0;
        loop {
            self.next_block().await?;
            rounds += 1;
            // In the order of sending; those behind a missing one are looked for when it is there.
            while let Some(sent) = pending.get(receipts.len()) {
                let receipt = self.provider().get_transaction_receipt(sent.hash).await;
                let Some(receipt) = receipt.map_err(AnvilError::rpc("give a receipt"))? else { break };
                receipts.push(receipt);
            }
            let Some(missing) = pending.get(receipts.len()) else { return Ok(receipts) };
            let waited = self.access.clock.monotonic().saturating_sub(started);
            let exhausted = match &self.access.mining {
                Mining::ByTheChain { wait } => waited >= *wait,
                Mining::ByUs(_) => rounds > pending.len(),
            };
            if exhausted {
                return Err(AnvilError::NotMined { action: missing.action, transaction: missing.hash, waited });
            }
        }
    }

    /// Makes a block, or waits for a while in which one may come.
    async fn next_block(&self) -> Result<()> {
        match &self.access.mining {
            Mining::ByUs(l1_clock) => l1_clock.mine().await.map(drop),
            Mining::ByTheChain { .. } => {
                self.access.clock.sleep(LOOK_EVERY).await;
                Ok(())
            }
        }
    }

    /// Runs the transaction again where it failed, to hear why.
    async fn reverted(
        &self,
        sent: &Sent,
        receipt: &TransactionReceipt,
        explain: impl Fn(&[u8]) -> String,
    ) -> AnvilError {
        let block = receipt.block_number.unwrap_or_default();
        let again = match &sent.request {
            Some(request) => self.provider().call(request.clone()).block(block.into()).await.map(drop),
            None => Ok(()),
        };
        let reason = match again {
            Err(error) => match error.as_error_resp() {
                Some(payload) => explain(&payload.as_revert_data().unwrap_or_default()),
                None => format!("for a reason that could not be asked for: {error}"),
            },
            Ok(()) => format!("after {} gas; repeated at the end of its block it does not", receipt.gas_used),
        };
        AnvilError::Reverted { action: sent.action, transaction: sent.hash, reason }
    }
}
