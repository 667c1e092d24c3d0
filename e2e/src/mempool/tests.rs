use alloy::consensus::{SignableTransaction as _, TxEip1559, TxEip4844};
use alloy::eips::eip2718::Encodable2718 as _;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256};
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use fermata_publisher::{
    FeeConfig, FeeMarket, Fees, PreparedBlobs, RefusalClass, Replacement, Verdict, replacement_fees,
};

use super::*;

const GWEI: u128 = 1_000_000_000;

const ACCOUNT: Address = Address::repeat_byte(0xaa);

fn view() -> AccountView {
    AccountView { nonce: 5, balance: U256::from(10 * TX_FEE_CAP), block_gas_limit: 30_000_000 }
}

/// A plain transaction that any pool takes; its hash tells its nonce and its tip.
fn plain(nonce: u64, gwei: u128) -> PooledTx {
    PooledTx {
        hash: B256::from(U256::from(nonce) << 128 | U256::from(gwei)),
        account: ACCOUNT,
        nonce,
        gas_limit: 100_000,
        fee_cap: 10 * gwei * GWEI,
        tip: gwei * GWEI,
        value: U256::ZERO,
        size: 200,
        calldata: 10,
        blobs: None,
    }
}

/// As [`plain`], with a blob.
fn blob(nonce: u64, gwei: u128) -> PooledTx {
    let blobs = Blobs { count: 1, sidecar: SidecarVersion::V1, fee_cap: gwei * GWEI };
    PooledTx { size: 137_500, blobs: Some(blobs), ..plain(nonce, gwei) }
}

fn with_blobs(tx: PooledTx, change: impl FnOnce(&mut Blobs)) -> PooledTx {
    let mut blobs = tx.blobs.unwrap();
    change(&mut blobs);
    PooledTx { blobs: Some(blobs), ..tx }
}

/// What is broken, what a client says, and what the publisher makes of it.
struct Case {
    name: &'static str,
    rule: PoolRule,
    pooled: Vec<PooledTx>,
    tx: PooledTx,
    view: AccountView,
    fork: Hardfork,
    /// Geth's message; `None` where it takes the transaction.
    geth: Option<&'static str>,
    /// Reth's code and message.
    reth: Option<(i64, &'static str)>,
    /// Of geth's words and of reth's; `None` where the transaction counts as taken.
    classes: [Option<RefusalClass>; 2],
}

impl Case {
    fn new(name: &'static str, rule: PoolRule, tx: PooledTx, class: RefusalClass) -> Self {
        let (pooled, view, fork) = (Vec::new(), view(), Hardfork::Osaka);
        Self { name, rule, pooled, tx, view, fork, geth: None, reth: None, classes: [Some(class); 2] }
    }

    fn says(self, geth: &'static str, code: i64, reth: &'static str) -> Self {
        Self { geth: Some(geth), reth: Some((code, reth)), ..self }
    }

    fn pooled(self, pooled: impl IntoIterator<Item = PooledTx>) -> Self {
        Self { pooled: pooled.into_iter().collect(), ..self }
    }

    fn judged(&self, client: Client) -> Result<Admission, Rejection> {
        let tip_floor = if self.rule == PoolRule::TipFloor { GWEI } else { PoolRules::of(client).tip_floor };
        let mut pool = Pool::new(PoolRules { fork: self.fork, tip_floor, ..PoolRules::of(client) });
        self.pooled.iter().cloned().for_each(|tx| pool.insert(tx));
        pool.judge(&self.tx, &self.view)
    }
}

/// A rule about how large a transaction is.
fn of_its_size() -> Vec<Case> {
    use PoolRule::{BlobCount, BlockGas, NoBlobs, Size, TxGas};
    use RefusalClass::Shape;
    let too_long = "oversized data: transaction size 131073, limit 131072";
    let none = "blobless blob transaction";
    vec![
        Case::new("a byte too many", Size, PooledTx { size: MAX_TX_SIZE + 1, ..plain(5, 1) }, Shape)
            .says(too_long, -32_000, too_long),
        Case {
            geth: Some("oversized data: transaction size 1048577, limit 1048576"),
            ..Case::new("too long with blobs", Size, PooledTx { size: MAX_BLOB_TX_SIZE + 1, ..blob(5, 1) }, Shape)
        },
        Case {
            reth: Some((-32_000, too_long)),
            ..Case::new(
                "too much calldata beside blobs",
                Size,
                PooledTx { calldata: MAX_TX_SIZE + 1, ..blob(5, 1) },
                Shape,
            )
        },
        Case::new("seven blobs", BlobCount, with_blobs(blob(5, 1), |blobs| blobs.count = 7), Shape).says(
            "transaction blob limit exceeded: blob count 7, limit 6",
            -32_000,
            "too many blobs in transaction: have 7, permitted 6",
        ),
        Case::new("no blob", NoBlobs, with_blobs(blob(5, 1), |blobs| blobs.count = 0), Shape).says(none, -32_000, none),
        Case::new("more gas than one may", TxGas, PooledTx { gas_limit: MAX_TX_GAS + 1, ..plain(5, 1) }, Shape).says(
            "transaction gas limit too high (cap: 16777216, tx: 16777217)",
            -32_003,
            "gas limit too high",
        ),
        Case {
            view: AccountView { block_gas_limit: 99_999, ..view() },
            ..Case::new("more gas than a block", BlockGas, plain(5, 1), Shape).says(
                "exceeds block gas limit",
                -32_000,
                "exceeds block gas limit",
            )
        },
    ]
}

/// A rule about what a transaction offers, and in which form its blobs come.
fn of_its_fees_and_sidecar() -> Vec<Case> {
    use PoolRule::{FeeCap, ProtocolFloor, Sidecar, TipAboveFeeCap, TipFloor};
    use RefusalClass::{Format, NodeFeeCap, Shape, Underpriced};
    let tip = "max priority fee per gas higher than max fee per gas";
    vec![
        Case::new("a tip above the cap", TipAboveFeeCap, PooledTx { tip: 11 * GWEI, ..plain(5, 1) }, Shape)
            .says(tip, -32_003, tip),
        Case::new("too small a tip", TipFloor, PooledTx { tip: 1, ..plain(5, 1) }, Underpriced).says(
            "transaction gas price below minimum: gas tip cap 1, minimum needed 1000000000",
            -32_003,
            "transaction priority fee below minimum required priority fee 1000000000",
        ),
        Case {
            reth: Some((-32_000, "transaction underpriced")),
            ..Case::new("a cap of 6 wei", ProtocolFloor, PooledTx { fee_cap: 6, tip: 1, ..plain(5, 1) }, Underpriced)
        },
        Case {
            geth: Some("transaction gas price below minimum: blob fee cap 0, minimum needed 1"),
            ..Case::new(
                "nothing for blobs",
                ProtocolFloor,
                with_blobs(blob(5, 1), |blobs| blobs.fee_cap = 0),
                Underpriced,
            )
        },
        Case::new(
            "an old sidecar",
            Sidecar,
            with_blobs(blob(5, 1), |blobs| blobs.sidecar = SidecarVersion::V0),
            Format,
        )
        .says(
            "unexpected sidecar version, want: 1, got: 0",
            -32_000,
            "unexpected eip-4844 sidecar after osaka",
        ),
        Case {
            fork: Hardfork::Prague,
            ..Case::new("a new sidecar", Sidecar, blob(5, 1), Format).says(
                "unexpected sidecar version, want: 0, got: 1",
                -32_000,
                "unexpected eip-7594 sidecar before osaka",
            )
        },
        Case::new("gas for more than an ether", FeeCap, plain(5, 1_001), NodeFeeCap).says(
            "tx fee (1.00 ether) exceeds the configured cap (1.00 ether)",
            -32_000,
            "tx fee (1001000000000000000 wei) exceeds the configured cap (1000000000000000000 wei)",
        ),
        Case {
            reth: Some((
                -32_000,
                "tx fee (1049576000000000000 wei) exceeds the configured cap (1000000000000000000 wei)",
            )),
            ..Case::new(
                "blobs for more than an ether",
                FeeCap,
                with_blobs(blob(5, 1), |blobs| blobs.fee_cap = 8_000 * GWEI),
                NodeFeeCap,
            )
        },
    ]
}

/// A rule about a transaction and its account.
fn of_the_account() -> Vec<Case> {
    use PoolRule::{AccountSlots, AlreadyKnown, BlobNonceGap, NonceTooLow, OneKindPerAccount};
    use RefusalClass::{AccountLimit, NonceTooHigh, NonceTooLow as Low, OtherTypePooled, PoolFull};
    let low = "nonce too low: next nonce 5, tx nonce 4";
    let reserved = "address already reserved";
    vec![
        Case {
            classes: [None; 2],
            ..Case::new("known", AlreadyKnown, plain(5, 1), Low).pooled([plain(5, 1)]).says(
                "already known",
                -32_000,
                "already known",
            )
        },
        Case::new("used", NonceTooLow, plain(4, 1), Low).says(low, -32_000, low),
        Case::new("a gap before blobs", BlobNonceGap, blob(7, 1), NonceTooHigh).pooled([blob(5, 1)]).says(
            "nonce too high: tx nonce 7, gapped nonce 6",
            -32_000,
            "nonce too high",
        ),
        Case {
            classes: [Some(AccountLimit), Some(PoolFull)],
            ..Case::new("a seventeenth with blobs", AccountSlots, blob(21, 1), AccountLimit)
                .pooled((5..21).map(|nonce| blob(nonce, 1)))
                .says("account limit exceeded: pooled 16 txs", -32_003, "txpool is full")
        },
        Case {
            reth: Some((-32_003, "txpool is full")),
            ..Case::new("a seventeenth", AccountSlots, plain(21, 1), PoolFull)
                .pooled((5..21).map(|nonce| plain(nonce, 1)))
        },
        Case::new("blobs after none", OneKindPerAccount, blob(5, 9), OtherTypePooled)
            .pooled([plain(5, 1)])
            .says(reserved, -32_000, reserved),
        Case::new("none after blobs", OneKindPerAccount, plain(6, 1), OtherTypePooled)
            .pooled([blob(5, 1)])
            .says(reserved, -32_000, reserved),
    ]
}

/// A rule about what the account can pay.
fn of_its_funds() -> Vec<Case> {
    use PoolRule::{CumulativeFunds, Funds};
    use RefusalClass::InsufficientFunds;
    let poor = AccountView { balance: U256::from(1_500_000 * GWEI), ..view() };
    vec![
        Case {
            view: AccountView { balance: U256::from(7), ..view() },
            ..Case::new("poor", Funds, plain(5, 1), InsufficientFunds).says(
                "insufficient funds for gas * price + value: balance 7, tx cost 1000000000000000, overshot 999999999999993",
                -32_003,
                "insufficient funds for gas * price + value: have 7 want 1000000000000000",
            )
        },
        Case {
            view: poor,
            geth: Some(
                "insufficient funds for gas * price + value: balance 1500000000000000, queued cost 1000000000000000, \
                 tx cost 1000000000000000, overshot 500000000000000",
            ),
            ..Case::new("too poor for two", CumulativeFunds, plain(6, 1), InsufficientFunds).pooled([plain(5, 1)])
        },
        Case {
            view: AccountView { balance: U256::from(2_500_000 * GWEI), ..view() },
            geth: Some(
                "insufficient funds for gas * price + value: balance 2500000000000000, queued cost 2000000000000000, \
                 tx bumped 1000000000000000, overshot 500000000000000",
            ),
            ..Case::new("too poor for a bump", CumulativeFunds, plain(5, 2), InsufficientFunds)
                .pooled([plain(5, 1), plain(6, 1)])
        },
        Case {
            view: AccountView { balance: U256::from(1_131_072 * GWEI + 1), ..view() },
            ..Case::new("too poor for two with blobs", CumulativeFunds, blob(6, 1), InsufficientFunds)
                .pooled([blob(5, 1)])
                .says(
                    "insufficient funds for gas * price + value: balance 1131072000000001, queued cost 1131072000000000, \
                     tx cost 1131072000000000, overshot 1131071999999999",
                    -32_003,
                    "insufficient funds for gas * price + value: have 1131072000000001 want 2262144000000000",
                )
        },
    ]
}

fn of_replacements() -> Vec<Case> {
    const TEXT: &str = "replacement transaction underpriced";
    let case = |name, tx: PooledTx, geth| {
        let old = if tx.blobs.is_some() { blob(5, 10) } else { plain(5, 10) };
        Case::new(name, PoolRule::Replacement, tx, RefusalClass::ReplacementUnderpriced)
            .pooled([old])
            .says(geth, -32_000, TEXT)
    };
    let bid = |tx: PooledTx, fee_cap: u128, tip: u128| PooledTx { fee_cap, tip, ..tx };
    let blob_bid = |fee_cap| with_blobs(blob(5, 21), move |blobs| blobs.fee_cap = fee_cap);
    vec![
        case("a cap below +10 %", bid(plain(5, 11), 110 * GWEI - 1, 12 * GWEI), TEXT),
        case("a tip below +10 %", bid(plain(5, 11), 120 * GWEI, 11 * GWEI - 1), TEXT),
        case(
            "the same cap with blobs",
            bid(blob(5, 21), 100 * GWEI, 21 * GWEI),
            "replacement transaction underpriced: new tx gas fee cap 100000000000 <= 100000000000 queued",
        ),
        case(
            "a cap below +100 %",
            bid(blob(5, 21), 200 * GWEI - 1, 21 * GWEI),
            "replacement transaction underpriced: new tx gas fee cap 199999999999 < 100000000000 queued + 100% replacement penalty",
        ),
        case(
            "a tip below +100 %",
            bid(blob(5, 21), 210 * GWEI, 20 * GWEI - 1),
            "replacement transaction underpriced: new tx gas tip cap 19999999999 < 10000000000 queued + 100% replacement penalty",
        ),
        case(
            "a blob cap below +100 %",
            blob_bid(20 * GWEI - 1),
            "replacement transaction underpriced: new tx blob gas fee cap 19999999999 < 10000000000 queued + 100% replacement penalty",
        ),
    ]
}

fn cases() -> impl Iterator<Item = Case> {
    let of_itself = of_its_size().into_iter().chain(of_its_fees_and_sidecar());
    of_itself.chain(of_the_account()).chain(of_its_funds()).chain(of_replacements())
}

#[test]
fn each_client_rejects_what_breaks_a_rule_in_its_own_words() {
    for case in cases() {
        let told = |rejection: Rejection| (rejection.code, rejection.message);
        let geth = case.judged(Client::Geth).err().map(told);
        assert_eq!(geth, case.geth.map(|message| (-32_000, message.to_owned())), "geth, {}", case.name);
        let reth = case.judged(Client::Reth).err().map(told);
        assert_eq!(reth, case.reth.map(|(code, message)| (code, message.to_owned())), "reth, {}", case.name);
    }
}

#[test]
fn the_publisher_makes_of_every_rejection_of_both_clients_what_is_to_be_done_about_it() {
    for case in cases() {
        for (client, class) in [Client::Geth, Client::Reth].into_iter().zip(case.classes) {
            let Err(Rejection { rule, message, .. }) = case.judged(client) else { continue };
            match (Verdict::of_text(&message), class) {
                (Verdict::Refused { class, .. }, Some(expected)) => {
                    assert_eq!(class, expected, "{client:?}: {message}")
                }
                (Verdict::Accepted, None) => assert_eq!(rule, PoolRule::AlreadyKnown),
                (verdict, expected) => panic!("{client:?}: {message} is {verdict:?}, not {expected:?}"),
            }
        }
    }
}

#[test]
fn what_breaks_no_rule_is_admitted_by_both_and_what_bids_enough_replaces() {
    let replaces = |old: &PooledTx, new: PooledTx| {
        for client in [Client::Geth, Client::Reth] {
            let mut pool = Pool::new(PoolRules::of(client));
            assert_eq!(pool.judge(old, &view()), Ok(Admission::New), "{client:?}");
            pool.insert(old.clone());
            assert_eq!(pool.judge(&new, &view()), Ok(Admission::Replaces(old.hash)), "{client:?}: {new:?}");
        }
    };
    let bid = |tx: PooledTx, fee_cap: u128, tip: u128| PooledTx { fee_cap, tip, ..tx };
    replaces(&plain(5, 10), bid(plain(5, 11), 110 * GWEI + 1, 11 * GWEI + 1));
    let raised = with_blobs(blob(5, 20), |blobs| blobs.fee_cap = 20 * GWEI + 1);
    replaces(&blob(5, 10), bid(raised, 200 * GWEI + 1, 20 * GWEI + 1));
}

/// The transaction with other fees, and so with another hash.
fn bidding(tx: &PooledTx, fees: &Fees) -> PooledTx {
    let hash = B256::from(U256::from(fees.max_fee_per_gas));
    let tx = PooledTx { hash, fee_cap: fees.max_fee_per_gas, tip: fees.tip, ..tx.clone() };
    match fees.max_fee_per_blob_gas {
        Some(fee_cap) => with_blobs(tx, |blobs| blobs.fee_cap = fee_cap),
        None => tx,
    }
}

#[test]
fn what_the_publisher_bids_to_replace_is_enough_for_both() {
    let quiet = FeeMarket { base_fee: 7, blob_base_fee: Some(1), suggested_tip: 0 };
    let config = FeeConfig { tip_floor: 0, ..FeeConfig::default() };
    for bid in [1, 9, 10, 11, 99, GWEI, GWEI + 1, 40 * GWEI + 7] {
        for (tx, rule) in [(plain(5, 1), Replacement::Plain), (blob(5, 1), Replacement::Blob)] {
            let max_fee_per_blob_gas = tx.blobs.map(|_| bid);
            let live = Fees { max_fee_per_gas: 3 * bid + 7, tip: bid, max_fee_per_blob_gas };
            let raised = replacement_fees(&live, &quiet, rule, &config).unwrap();
            let (old, new) = (bidding(&tx, &live), bidding(&tx, &raised));
            for client in [Client::Geth, Client::Reth] {
                let mut pool = Pool::new(PoolRules::of(client));
                pool.insert(old.clone());
                assert_eq!(
                    pool.judge(&new, &view()),
                    Ok(Admission::Replaces(old.hash)),
                    "{client:?}: {live:?} {raised:?}"
                );
            }
        }
    }
}

#[test]
fn exactly_the_bump_is_enough_for_geth_and_not_for_a_reth_before_its_fix() {
    let old = plain(5, 10);
    let new = PooledTx { fee_cap: 110 * GWEI, tip: 11 * GWEI, ..plain(5, 11) };
    for (client, is_enough) in [(Client::Geth, true), (Client::Reth, false)] {
        let mut pool = Pool::new(PoolRules::of(client));
        pool.insert(old.clone());
        assert_eq!(pool.judge(&new, &view()).is_ok(), is_enough, "{client:?}");
    }
}

#[test]
fn what_is_mined_or_dropped_is_not_in_the_pool_and_is_again_after_a_reorg() {
    let mut pool = Pool::new(PoolRules::of(Client::Geth));
    pool.insert(blob(5, 1));
    let mined = AccountView { nonce: 6, ..view() };
    assert_eq!(pool.pooled(ACCOUNT, mined.nonce).count(), 0);
    assert_eq!(pool.judge(&plain(6, 1), &mined), Ok(Admission::New), "its blobs are gone with it");
    assert_eq!(pool.judge(&plain(6, 1), &view()).unwrap_err().rule, PoolRule::OneKindPerAccount, "the chain went back");
    pool.forget(blob(5, 1).hash);
    assert_eq!(pool.judge(&plain(5, 1), &view()), Ok(Admission::New));
}

#[test]
fn a_transaction_is_read_as_it_is_broadcast() {
    let signer = PrivateKeySigner::random();
    let plain = TxEip1559 {
        chain_id: 1,
        nonce: 3,
        gas_limit: 50_000,
        max_fee_per_gas: 20,
        max_priority_fee_per_gas: 2,
        to: TxKind::Call(ACCOUNT),
        value: U256::from(9),
        input: Bytes::from_static(b"call"),
        ..TxEip1559::default()
    };
    let signature = signer.sign_hash_sync(&plain.signature_hash()).unwrap();
    let bytes = plain.into_signed(signature).encoded_2718();
    let read = PooledTx::decode(&bytes).unwrap();
    assert_eq!((read.account, read.nonce, read.fee_cap, read.tip, read.calldata), (signer.address(), 3, 20, 2, 4));
    assert_eq!((read.size, read.blobs, read.cost()), (bytes.len(), None, U256::from(50_000 * 20 + 9)));

    let blobs = PreparedBlobs::compute(vec![alloy::eips::eip4844::Blob::ZERO]).unwrap();
    let with_blob = TxEip4844 {
        gas_limit: 10,
        max_fee_per_gas: 3,
        max_fee_per_blob_gas: 7,
        blob_versioned_hashes: blobs.versioned_hashes(),
        ..TxEip4844::default()
    };
    let signature = signer.sign_hash_sync(&with_blob.signature_hash()).unwrap();
    let signed = with_blob.with_sidecar(blobs.sidecar().clone()).into_signed(signature);
    let read = PooledTx::decode(&signed.encoded_2718()).unwrap();
    assert_eq!(read.blobs, Some(Blobs { count: 1, sidecar: SidecarVersion::V1, fee_cap: 7 }));
    assert_eq!((read.account, read.cost()), (signer.address(), U256::from(30 + 7 * 131_072)));
    assert_eq!(PooledTx::decode(b"nonsense"), None);
}
