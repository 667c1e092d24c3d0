//! Random blocks: every state root is the one that another implementation computes over the whole state.

use std::collections::BTreeSet;

use alloy::primitives::{Address, Bytes, TxKind};
use fermata_execution::{Execution, Verdict};
use proptest::prelude::*;

use crate::oracle::assert_state_root;
use crate::support::{BENEFICIARY, SHORT_LIVED, STORER, TestChain, sign, store_call, transaction, wallet};

/// Something a wallet does.
#[derive(Clone, Debug)]
enum Deed {
    Send { to: u8, value: u64 },
    Deploy,
    DeployShortLived,
    Store { contract: usize, slot: u64, value: u64 },
    Destroy { contract: usize },
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        (0u8..30, 0u64..3).prop_map(|(to, value)| Deed::Send { to, value }),
        Just(Deed::Deploy),
        Just(Deed::DeployShortLived),
        (0usize..4, 0u64..24, 0u64..3).prop_map(|(contract, slot, value)| Deed::Store { contract, slot, value }),
        (0usize..4, 0u64..24, 1u64..3).prop_map(|(contract, slot, value)| Deed::Store { contract, slot, value }),
        (0usize..4).prop_map(|contract| Deed::Destroy { contract }),
    ]
}

/// Turns deeds into signed transactions, and remembers every address they may have touched.
#[derive(Default)]
struct World {
    nonces: [u64; 3],
    contracts: Vec<Address>,
    touched: BTreeSet<Address>,
}

impl World {
    fn transaction(&mut self, sender: usize, deed: &Deed) -> Bytes {
        let key = wallet(u8::try_from(sender).unwrap());
        let nonce = self.nonces[sender];
        self.nonces[sender] += 1;
        let created = key.address().create(nonce);
        let (to, value, input) = match deed {
            Deed::Send { to, value } => (TxKind::Call(Address::repeat_byte(*to)), *value, Bytes::new()),
            Deed::Deploy => {
                self.contracts.push(created);
                (TxKind::Create, 0, Bytes::from_static(&STORER))
            }
            Deed::DeployShortLived => (TxKind::Create, 5, Bytes::from_static(&SHORT_LIVED)),
            Deed::Store { contract, slot, value } => (self.contract(*contract), 0, store_call(*slot, *value)),
            Deed::Destroy { contract } => (self.contract(*contract), 0, Bytes::new()),
        };
        self.touched.extend([key.address(), created]);
        self.touched.extend(to.into_to());
        sign(transaction(nonce, to, value, input), &key)
    }

    /// One of the contracts, or an address without code while there is none.
    fn contract(&self, wanted: usize) -> TxKind {
        let found = self.contracts.get(wanted % self.contracts.len().max(1));
        TxKind::Call(found.copied().unwrap_or(Address::repeat_byte(0xc0)))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn every_state_root_is_that_of_the_whole_state(
        blocks in prop::collection::vec(prop::collection::vec((0usize..3, deed()), 0..12), 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (chain, validator) = (TestChain::new().await, TestChain::new().await);
            let mut world = World { touched: BTreeSet::from([BENEFICIARY]), ..World::default() };
            for deeds in &blocks {
                let list = deeds.iter().map(|(sender, deed)| world.transaction(*sender, deed)).collect();
                let block = chain.advance(list).await;
                assert_state_root(&chain, &block, &world.touched);
                assert_eq!(validator.execution.insert(block).await.unwrap(), Verdict::Valid);
            }
        });
    }
}
