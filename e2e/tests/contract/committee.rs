//! The committee and the proposer, computed here and there.

use alloy::primitives::U256;
use fermata_primitives::Epoch;
use fermata_rollup::{Committee, sample_indices};

use crate::chain::{COMMITTEE, Chain, VALIDATORS, refusal_of};

/// The epoch's committee, sampled here from the seed and the staked set.
async fn sampled(chain: &Chain, epoch: Epoch) -> Committee {
    let start = U256::from(chain.constants.times.epoch_start(epoch).0);
    let seed = chain.rollup.getSampleSeedAt(start).call().await.expect("a seed");
    let size = chain.rollup.getSamplingSizeAt(start).call().await.expect("a size").to::<u64>();
    assert_eq!(size, u64::from(VALIDATORS));
    let indices = sample_indices(seed, size, chain.constants.committee_size).expect("enough validators");
    let indices = indices.into_iter().map(U256::from).collect();
    let looked_up = U256::from(chain.constants.validator_set_time(epoch).0);
    let members = chain.gse.getAttestersFromIndicesAtTime(chain.addresses.rollup, looked_up, indices);
    Committee { epoch, seed, members: members.call().await.expect("attesters") }
}

#[tokio::test]
async fn the_contract_reports_the_committee_and_the_proposers_we_compute() {
    let chain = Chain::start().await;
    let times = chain.constants.times;
    let first = times.epoch_of(chain.slot());
    let mut committees = Vec::new();
    for epoch in (first.0..first.0 + 4).map(Epoch) {
        chain.enter(times.first_slot(epoch)).await;
        chain.set_up_epoch().await;
        let committee = sampled(&chain, epoch).await;
        let number = U256::from(epoch.0);
        assert_eq!(committee.members, chain.rollup.getEpochCommittee(number).call().await.expect("a committee"));
        let commitment = chain.rollup.getEpochCommitteeCommitment(number).call().await.expect("a commitment");
        assert_eq!((commitment._0, commitment._1), (committee.commitment(), U256::from(COMMITTEE)));
        for slot in times.first_slot(epoch).0..times.first_slot(epoch.next()).0 {
            let slot = fermata_primitives::Slot(slot);
            let at = U256::from(times.start_of(slot).0);
            let proposer = chain.rollup.getProposerAt(at).call().await.expect("a proposer");
            assert_eq!(committee.proposer(slot), Some(proposer), "slot {slot}");
        }
        committees.push(committee.members);
    }
    assert!(committees.iter().any(|members| *members != committees[0]), "the draw differs from epoch to epoch");
}

#[tokio::test]
async fn the_contract_tells_a_committee_before_it_is_settled_and_never_after() {
    let chain = Chain::start().await;
    let constants = chain.constants;
    let epoch = Epoch(constants.times.epoch_of(chain.slot()).0 + 3);
    let told = constants.randao_time(epoch).max(constants.validator_set_time(epoch));
    let settled = constants.randao_time(epoch.next()).max(told);
    let moments = [(told.minus_secs(1), false, false), (told, true, false), (settled, true, true)];
    for (now, is_told, is_settled) in moments {
        chain.warp_to(now).await;
        assert_eq!(constants.is_settled(epoch, now), is_settled, "{now:?}");
        let answer = chain.rollup.getEpochCommittee(U256::from(epoch.0)).call().await;
        assert_eq!(answer.is_ok(), is_told, "{answer:?}");
        if let Err(error) = answer {
            assert_eq!(refusal_of(&error), "ValidatorSelection__EpochNotStable");
        }
    }
}
