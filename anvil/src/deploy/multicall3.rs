//! Multicall3 at the address it has on every chain.
//!
//! It was deployed by a transaction without a chain id whose signature nobody made: the key behind it is unknown, so the
//! same bytes land at the same address wherever they are sent, once its sender can pay.

use alloy::consensus::{SignableTransaction, TxEnvelope, TxLegacy};
use alloy::eips::Encodable2718;
use alloy::primitives::{Address, Signature, TxKind, U256, address, uint};
use alloy::providers::{MULTICALL3_ADDRESS, Provider, bindings};

use super::sender::Sender;
use crate::{AnvilError, Result};

/// The account that the signature belongs to.
const DEPLOYER: Address = address!("0x05f32b3cc3888453ff71b01135b34ff8e41263f2");
/// Wei a unit of gas: what the signed transaction offers.
const GAS_PRICE: u128 = 100_000_000_000;
/// Gas the signed transaction allows.
const GAS: u64 = 1_000_000;
const R: U256 = uint!(0xedce47092c0f398cebf3ffc267f05c8e7076e3b89445e0fe50f6332273d4569b_U256);
const S: U256 = uint!(0x1b0b9d000e19b24c5869b0fc3b22b0d6fa47cd63316875cbbd577d76e6fde086_U256);

/// Ether that the deployment needs beside gas.
pub(super) const FUNDS: U256 = uint!(100_000_000_000_000_000_U256);

/// Whether it is there already.
pub(super) async fn exists(sender: &Sender) -> Result<bool> {
    let code = sender.provider().get_code_at(MULTICALL3_ADDRESS).await;
    Ok(!code.map_err(AnvilError::rpc("tell a contract's code"))?.is_empty())
}

/// Pays its deployer; a block later [`deploy`] can follow.
///
/// # Errors
/// [`AnvilError::Multicall`] when the transaction cannot land here; nothing was sent.
pub(super) async fn fund(sender: &mut Sender) -> Result<()> {
    let provider = sender.provider();
    let nonce = provider.get_transaction_count(DEPLOYER).await.map_err(AnvilError::rpc("tell a nonce"))?;
    if nonce > 0 {
        let problem = format!("the one transaction of {DEPLOYER} was spent and failed; deploy it by other means");
        return Err(AnvilError::Multicall { problem });
    }
    if sender.max_fee_per_gas() > GAS_PRICE {
        let problem = "its transaction offers 100 gwei a unit of gas, less than this L1 may ask; wait for lower fees";
        return Err(AnvilError::Multicall { problem: problem.to_owned() });
    }
    sender.pay("pay the deployer of Multicall3", DEPLOYER, FUNDS).await
}

/// Sends the signed transaction.
///
/// # Errors
/// [`AnvilError::L1Refused`] by an L1 that takes no transactions without a chain id.
pub(super) async fn deploy(sender: &mut Sender) -> Result<()> {
    let transaction = transaction();
    sender.forward("deploy Multicall3", &transaction.encoded_2718(), *transaction.tx_hash()).await
}

fn transaction() -> TxEnvelope {
    let transaction = TxLegacy {
        chain_id: None,
        nonce: 0,
        gas_price: GAS_PRICE,
        gas_limit: GAS,
        to: TxKind::Create,
        value: U256::ZERO,
        input: bindings::IMulticall3::BYTECODE.clone(),
    };
    // The value 28 of the published transaction: an odd y, and no chain id.
    transaction.into_signed(Signature::new(R, S, true)).into()
}

#[cfg(test)]
mod tests {
    use alloy::consensus::transaction::SignerRecoverable;

    use super::*;

    #[test]
    fn the_signed_transaction_is_the_published_one() {
        let sender = transaction().recover_signer().expect("a signature");
        assert_eq!(sender, DEPLOYER);
        assert_eq!(sender.create(0), MULTICALL3_ADDRESS);
        assert_eq!(FUNDS, U256::from(GAS_PRICE) * U256::from(GAS));
    }
}
