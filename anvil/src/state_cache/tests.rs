use alloy::primitives::Address;

use super::*;

fn state(key: u8) -> CachedState {
    let address = Address::repeat_byte(key);
    let addresses = L1Addresses {
        version: fermata_rollup::ADDRESSES_VERSION,
        l1_chain_id: 31_337,
        rollup: address,
        registry: address,
        gse: address,
        governance: address,
        governance_proposer: address,
        fee_asset: address,
        staking_asset: address,
        inbox: address,
        multicall3: address,
        deployed_at_block: 7,
        genesis_archive: B256::repeat_byte(key),
    };
    let (key, head) = (B256::repeat_byte(key), B256::repeat_byte(9));
    let stands = Stands { key, addresses, genesis: L1Timestamp(1_900_000_100), gas_used: 5, head };
    CachedState { stands, dump: Bytes::from_static(b"a\ndump\n") }
}

fn cache() -> (tempfile::TempDir, StateCache) {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = StateCache { folder: folder.path().join("states") };
    (folder, cache)
}

async fn get(cache: &StateCache, key: u8, made: &std::cell::Cell<u32>) -> CachedState {
    let make = async {
        made.set(made.get() + 1);
        tokio::task::yield_now().await;
        Ok(state(key))
    };
    cache.get_or_make(state(key).stands.key, make).await.expect("a state")
}

#[tokio::test]
async fn a_state_is_made_once_and_comes_back_as_it_was() {
    let ((_folder, cache), made) = (cache(), std::cell::Cell::new(0));
    let both = futures::future::join(get(&cache, 1, &made), get(&cache, 1, &made)).await;
    assert_eq!((both.0, both.1), (state(1), state(1)));
    assert_eq!(get(&cache, 1, &made).await, state(1));
    assert_eq!(made.get(), 1);
    assert_eq!(get(&cache, 2, &made).await, state(2));
    assert_eq!(made.get(), 2, "another configuration has a state of its own");
}

#[tokio::test]
async fn a_file_that_is_cut_flipped_empty_or_another_states_is_made_anew() {
    let ((_folder, cache), made) = (cache(), std::cell::Cell::new(0));
    get(&cache, 1, &made).await;
    let path = cache.path(state(1).stands.key, "state");
    let whole = std::fs::read(&path).expect("the file");
    let mut flipped = whole.clone();
    flipped[40] ^= 1;
    let foreign = render(&state(2));
    for (round, bad) in [&whole[..whole.len() - 1], &flipped, &[], &foreign, b"{}"].into_iter().enumerate() {
        std::fs::write(&path, bad).expect("written");
        assert_eq!(get(&cache, 1, &made).await, state(1));
        assert_eq!(made.get() as usize, round + 2);
        assert_eq!(std::fs::read(&path).expect("the file"), whole);
    }
}

#[tokio::test]
async fn a_state_that_could_not_be_made_leaves_no_file_and_the_next_tries_again() {
    let ((_folder, cache), made) = (cache(), std::cell::Cell::new(0));
    let fails = async { Err(AnvilError::BlsSecretZero) };
    let error = cache.get_or_make(state(1).stands.key, fails).await.expect_err("it was not made");
    assert!(matches!(error, AnvilError::BlsSecretZero));
    assert_eq!(get(&cache, 1, &made).await, state(1));
}

#[tokio::test]
async fn a_folder_that_cannot_be_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "no folder").expect("written");
    let cache = StateCache { folder: file };
    let error = cache.get_or_make(B256::ZERO, async { Ok(state(0)) }).await.expect_err("a file is no folder");
    assert!(matches!(error, AnvilError::StateCache { .. }), "{error}");
}

#[test]
fn whatever_decides_on_a_state_is_in_its_key() {
    let (config, anvil) = (DevChainConfig::default(), AnvilConfig::default());
    let key = |change: fn(&mut DevChainConfig, &mut AnvilConfig)| {
        let (mut config, mut anvil) = (config.clone(), anvil.clone());
        change(&mut config, &mut anvil);
        key_of(&config, &anvil).expect("the tools are there")
    };
    let keys = [
        key(|_, _| ()),
        key(|config, _| config.deploy.slot_secs += 1),
        key(|config, _| config.deploy.genesis_archive = B256::repeat_byte(1)),
        key(|config, _| config.validators += 1),
        key(|_, anvil| anvil.block_gas_limit += 1),
        key(|_, anvil| anvil.binary = Some("/bin/sh".into())),
    ];
    assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), keys.len());
    assert_eq!(keys[0], key(|config, _| config.node_start *= 2), "what does not decide on it is not");
}

#[test]
fn whatever_deploys_or_stakes_is_in_the_recipe() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut steps = vec![source.join("deploy.rs"), source.join("staking.rs")];
    for folder in ["deploy", "staking"] {
        let files = source.join(folder).read_dir().expect("a folder of sources");
        steps.extend(files.map(|file| file.expect("a file").path()));
    }
    for step in steps {
        let text = std::fs::read_to_string(&step).expect("a source");
        assert!(RECIPE.contains(&text.as_str()), "{} decides on a state: add it to RECIPE", step.display());
    }
}
