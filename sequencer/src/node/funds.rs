//! What the publisher's accounts have, and how far it goes.

use alloy::eips::eip4844::DATA_GAS_PER_BLOB;
use alloy::primitives::{Address, U256};
use alloy::providers::Provider;

use super::{Inner, Node, sending, status};
use crate::error::Result;
use crate::l1::L1Client;
use crate::poll_loop::chain as error_chain;
use crate::status::{FeesNow, PublisherAccount, PublisherReport, PublisherStatus};

/// What a checkpoint takes where none of ours has landed yet: gas, and gas of its blobs.
const TYPICAL: (u64, u64) = (450_000, DATA_GAS_PER_BLOB);

/// The balance of each account in wei, as L1 says now.
pub(super) async fn balances(inner: &Inner) -> Result<Vec<(Address, U256)>> {
    let accounts = inner.workshop.publisher.status().await?.accounts;
    let addresses: Vec<_> = accounts.iter().map(|account| account.address).collect();
    inner.workshop.view.client().balances(&addresses).await
}

/// The accounts, what is in flight on each, and how many checkpoints its balance pays for.
pub(super) async fn report(node: &Node) -> PublisherReport {
    let (accounts, mut told) = match node.inner.workshop.publisher.status().await {
        Ok(status) => sending::told(status),
        Err(error) => return PublisherReport { failures: vec![error_chain(&error)], ..PublisherReport::default() },
    };
    let mut failures = Vec::new();
    let funder = told.funder.as_ref().map(|funder| funder.account.address);
    let addresses: Vec<_> = accounts.iter().map(|account| account.address).chain(funder).collect();
    let read = node.inner.workshop.view.client().balances(&addresses);
    let (fees, taken, balances) = futures::join!(fees_now(node), taken(node), read);
    let fees = fees.map_err(|error| failures.push(error_chain(&error))).ok();
    let balances = balances.map_err(|error| failures.push(error_chain(&error))).unwrap_or_default();
    let ((gas, blob_gas), cost_basis) = taken;
    let cost = fees.map(|fees| cost(&fees, gas, blob_gas));
    let read_now = |status: &mut PublisherStatus| {
        let read = balances.iter().find(|(address, _)| *address == status.address).map(|(_, balance)| *balance);
        status.balance_wei = read.or(status.balance_wei);
    };
    told.funder.iter_mut().for_each(|funder| read_now(&mut funder.account));
    let account = |mut status: PublisherStatus| {
        read_now(&mut status);
        let left = status.balance_wei.zip(cost).map(|(balance, cost)| checkpoints_left(balance, cost));
        PublisherAccount {
            status: PublisherStatus { affordable: status.affordable.or(left), ..status },
            checkpoints_left: left,
        }
    };
    let accounts: Vec<_> = accounts.into_iter().map(account).collect();
    let judged: Vec<_> = accounts.iter().map(|account| &account.status).collect();
    let at = node.inner.head.borrow().timestamp.0;
    let sending = told.judged(&judged, status::l1_time(node, at));
    PublisherReport { accounts, sending, fees, checkpoint_cost_wei: cost, cost_basis, failures }
}

/// What a typical checkpoint costs at L1's fees now, with at least this tip, in wei.
pub(crate) async fn typical_cost(client: &L1Client, tip: u128) -> Result<U256> {
    let provider = client.provider();
    let head = client.within("eth_getBlockByNumber", provider.get_block_by_number(Default::default())).await?;
    let base_fee = head.and_then(|head| head.header.base_fee_per_gas).unwrap_or_default();
    Ok(cost(&fees(client, base_fee.into(), tip).await?, TYPICAL.0, TYPICAL.1))
}

async fn fees_now(node: &Node) -> Result<FeesNow> {
    let base_fee = node.inner.head.borrow().base_fee;
    let tip = node.inner.settings.config().publisher.fees.tip_floor;
    fees(node.inner.workshop.view.client(), base_fee, tip).await
}

/// These, and what a blob costs; in wei.
async fn fees(client: &L1Client, base_fee: u128, tip: u128) -> Result<FeesNow> {
    let blob_base_fee = client.within("eth_blobBaseFee", client.provider().get_blob_base_fee()).await?;
    let wei = U256::from::<u128>;
    Ok(FeesNow { base_fee_wei: wei(base_fee), tip_wei: wei(tip), blob_base_fee_wei: wei(blob_base_fee) })
}

/// Gas and blob gas of our newest checkpoint on L1, and the words for it.
async fn taken(node: &Node) -> ((u64, u64), String) {
    let typical = (TYPICAL, "a typical checkpoint with one blob".to_owned());
    let Some(landed) = node.inner.workshop.last_landed.borrow().clone() else { return typical };
    let client = node.inner.workshop.view.client();
    let receipt = client.provider().get_transaction_receipt(landed.l1_tx);
    match client.within("eth_getTransactionReceipt", receipt).await {
        Ok(Some(receipt)) => {
            let blob_gas = receipt.blob_gas_used.unwrap_or_default();
            ((receipt.gas_used, blob_gas), format!("what checkpoint {} took", landed.number))
        }
        Ok(None) | Err(_) => typical,
    }
}

fn cost(fees: &FeesNow, gas: u64, blob_gas: u64) -> U256 {
    U256::from(gas) * (fees.base_fee_wei + fees.tip_wei) + U256::from(blob_gas) * fees.blob_base_fee_wei
}

fn checkpoints_left(balance: U256, cost: U256) -> u64 {
    (balance / cost.max(U256::ONE)).saturating_to()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balance_lasts_for_as_many_checkpoints_as_it_pays_for() {
        let fees = FeesNow { base_fee_wei: U256::from(9), tip_wei: U256::from(1), blob_base_fee_wei: U256::from(2) };
        let cost = cost(&fees, 1_000, 500);
        assert_eq!(cost, U256::from(11_000));
        assert_eq!(checkpoints_left(U256::from(32_999), cost), 2);
        assert_eq!(checkpoints_left(U256::from(5), U256::ZERO), 5, "no fees at all");
        assert_eq!(checkpoints_left(U256::MAX, U256::ONE), u64::MAX);
    }
}
