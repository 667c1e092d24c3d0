//! Layers, origins, unknown keys, bad values, and the claim that every key has an effect.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use figment::value::Value;

use super::*;

const MNEMONIC: &str = "test test test test test test test test test test test junk";

/// The least that makes a configuration, with every either-or on its first side.
fn base() -> Sources {
    presets(&[
        ("l1.rpc_url", "http://127.0.0.1:8545"),
        ("l1.addresses_file", "addresses.json"),
        ("l1.blobs", "anvil"),
        ("validator.mnemonic", MNEMONIC),
        ("validator.protection.postgres", "postgres://fermata:secret@db.example/fermata"),
        ("validator.protection.node", "node-1"),
        ("publisher.mnemonic", MNEMONIC),
        ("node.roles", "sequencer,validator,prover"),
        ("prover.proofs", "mock"),
        ("prover.mnemonic", MNEMONIC),
        ("execution.chain_id", "1337"),
    ])
}

/// The same with every either-or on its other side.
fn other_base() -> Sources {
    presets(&[
        ("l1.rpc_url", "http://127.0.0.1:8545"),
        ("l1.rollup_address", "0x00000000000000000000000000000000000000aa"),
        ("l1.blobs", "anvil"),
        ("validator.keystore_dir", "validators"),
        ("validator.password_file", "validators.password"),
        ("validator.remote.url", "https://signer.internal:9000"),
        ("validator.remote.client_cert", "client.pem"),
        ("validator.remote.client_key", "client.key"),
        ("publisher.keystore_dir", "publishers"),
        ("publisher.password_file", "publishers.password"),
        ("publisher.funding.keystore_dir", "funder"),
        ("publisher.funding.password_file", "funder.password"),
        ("node.roles", "sequencer,validator,prover"),
        ("prover.proofs", "mock"),
        ("prover.keystore_dir", "prover"),
        ("prover.password_file", "prover.password"),
        ("execution.genesis_file", "genesis.json"),
    ])
}

fn presets(settings: &[(&str, &str)]) -> Sources {
    let presets = settings.iter().map(|(key, value)| Setting::new(*key, *value, "a test")).collect();
    Sources { presets, ..Sources::default() }
}

fn with_flag(mut sources: Sources, key: &str, value: &str) -> Sources {
    sources.flags.push(Setting::new(key, value, "--set"));
    sources
}

fn file_with(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("fermata.toml");
    std::fs::write(&file, text).expect("written");
    (dir, file)
}

fn problems(sources: &Sources) -> Vec<Problem> {
    match NodeConfig::load(sources) {
        Err(ConfigError::Keys(Problems(problems))) => problems,
        other => panic!("expected problems, got {other:?}"),
    }
}

fn the_problem(sources: &Sources) -> Problem {
    let mut problems = problems(sources);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

/// A literal of the table as the environment would give it.
fn as_text(literal: &str) -> String {
    let value = raw::parse_literal(literal);
    let items = value.as_array().map(|items| items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","));
    items.or_else(|| value.as_str().map(str::to_owned)).unwrap_or_else(|| literal.to_owned())
}

#[test]
fn every_key_has_an_effect_on_the_typed_configuration() {
    for key in KEYS {
        let effect = [base(), other_base()].into_iter().any(|base| {
            let before = NodeConfig::load(&base).expect("the base is valid");
            NodeConfig::load(&with_flag(base, key.path, &as_text(key.sample))).is_ok_and(|after| after != before)
        });
        assert!(effect, "`{}` changes nothing", key.path);
    }
}

#[test]
fn every_key_can_be_set_in_every_layer_and_tells_where_it_was_set() {
    for key in KEYS {
        let (_dir, file) = match key.path.split_once('.') {
            Some((section, name)) => file_with(&format!("[{section}]\n{name} = {}\n", key.sample)),
            None => file_with(&format!("{} = {}\n", key.path, key.sample)),
        };
        let name = env_name(key.path);
        let from_file = Sources { file: Some(file.clone()), ..Sources::default() };
        let from_env = Sources { env: vec![(name.clone(), as_text(key.sample))], ..from_file.clone() };
        let from_flag = with_flag(from_env.clone(), key.path, &as_text(key.sample));
        for (sources, origin) in [
            (from_file, Origin::File(file)),
            (from_env, Origin::Env(name)),
            (from_flag, Origin::Flag("--set".to_owned())),
        ] {
            let raw = RawConfig::load(&sources).expect("the key is known");
            assert_eq!(raw.get(key.path).map(|v| v.origin.clone()), Some(origin), "{}", key.path);
        }
    }
}

#[test]
fn paths_of_keys_are_unique_and_their_samples_differ_from_their_defaults() {
    let paths: BTreeSet<_> = KEYS.iter().map(|key| key.path).collect();
    assert_eq!(paths.len(), KEYS.len());
    for key in KEYS {
        assert_ne!(key.default, Some(key.sample), "{}", key.path);
        assert!(key.help.ends_with('.') || key.help.ends_with('`'), "{}: {}", key.path, key.help);
    }
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_preset_beats_the_default() {
    let poll = |sources: &Sources| NodeConfig::load(sources).expect("valid").sequencer.poll_interval.as_millis();
    let mut sources = base();
    assert_eq!(poll(&sources), 500);
    sources.presets.push(Setting::new("sequencer.poll_interval_ms", "401", "dev"));
    assert_eq!(poll(&sources), 401);
    let (_dir, file) = file_with("[sequencer]\npoll_interval_ms = 402\n");
    sources.file = Some(file);
    assert_eq!(poll(&sources), 402);
    sources.env = vec![("FERMATA_SEQUENCER__POLL_INTERVAL_MS".into(), "403".into())];
    assert_eq!(poll(&sources), 403);
    assert_eq!(poll(&with_flag(sources, "sequencer.poll_interval_ms", "404")), 404);
}

#[test]
fn an_unknown_key_is_named_with_its_origin_and_the_nearest_known_one() {
    let (_dir, file) = file_with("[l1]\nrpc_ulr = 'http://x'\n[nonsense]\nqqqq = 1\n");
    let mut sources = base();
    sources.file = Some(file.clone());
    sources.env = vec![("FERMATA_ADMIN_LISTEN".into(), "x".into()), ("FERMATA_LOG".into(), "x".into())];
    let sources = with_flag(sources, "rpc.lisen", "x");
    let text = NodeConfig::load(&sources).expect_err("refused").to_string();
    let file = file.display();
    for expected in [
        format!("file {file}: there is no key `l1.rpc_ulr`; did you mean `l1.rpc_url`?"),
        format!("file {file}: there is no key `nonsense.qqqq`; `fermata config show` lists the keys there are"),
        "env FERMATA_ADMIN_LISTEN: there is no key `admin_listen`; did you mean `admin.listen`?".to_owned(),
        "flag --set: there is no key `rpc.lisen`; did you mean `rpc.listen`?".to_owned(),
    ] {
        assert!(text.contains(&expected), "{expected}\nnot in\n{text}");
    }
    assert!(text.contains("env FERMATA_LOG: there is no key `log`"), "{text}");
}

#[test]
fn a_key_in_the_wrong_section_is_found_by_its_name() {
    assert_eq!(Key::nearest("l2.rpc_url").map(|key| key.path), Some("l1.rpc_url"));
    assert_eq!(Key::nearest("zzzzzz").map(|key| key.path), None);
}

#[test]
fn variables_of_others_and_reserved_ones_are_passed_over() {
    let mut sources = base();
    for name in ["HOME", "FERMATA_CONFIG", "FERMATA_CRASH_POINT", "FERMATA_ENDPOINT", "FERMATA_TOKEN"] {
        sources.env.push((name.to_owned(), "whatever".to_owned()));
    }
    assert!(NodeConfig::load(&sources).is_ok());
}

#[test]
fn broken_toml_is_refused_with_line_and_column() {
    let (_dir, file) = file_with("[l1]\nrpc_url = \"http://127.0.0.1:8545\"\nchain_id = = 1\n");
    let error = NodeConfig::load(&Sources { file: Some(file.clone()), ..base() }).expect_err("refused");
    assert!(matches!(&error, ConfigError::Syntax { line: 3, column: 12, .. }), "{error:?}");
    assert!(error.to_string().starts_with(&format!("{}:3:12: not valid TOML", file.display())), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_refused() {
    let sources = Sources { file: Some(PathBuf::from("/no/such/fermata.toml")), ..base() };
    let error = NodeConfig::load(&sources).expect_err("refused");
    assert!(matches!(error, ConfigError::Unreadable { .. }), "{error:?}");
    assert_eq!(error.reason().exit_code(), 30);
}

#[test]
fn a_path_in_a_file_is_relative_to_that_file() {
    let (dir, file) = file_with("data_dir = 'data'\n[l1]\naddresses_file = '/abs/addresses.json'\n");
    let config = NodeConfig::load(&Sources { file: Some(file), ..base() }).expect("valid");
    assert_eq!(config.data_dir, dir.path().join("data"));
    assert_eq!(config.l1.rollup, RollupLocation::AddressesFile("/abs/addresses.json".into()));
    let config = NodeConfig::load(&with_flag(base(), "data_dir", "data")).expect("valid");
    assert_eq!(config.data_dir, Path::new("data"));
}

#[test]
fn every_invalid_value_is_named_with_what_is_wrong_and_what_to_do() {
    let cases = [
        ("clock", "sundial", "is `sundial`"),
        ("data_dir", "", "is empty"),
        ("node.roles", "sequencer,juggler", "has `juggler`"),
        ("node.roles", "follower,prover", "has `follower` beside other roles"),
        ("node.roles", "", "is empty"),
        ("prover.proofs", "somewhere", "is not a URL"),
        ("prover.id", "0x12", "is not an address"),
        ("prover.count", "0", "is not a whole number from 1"),
        ("prover.poll_interval_ms", "1", "is not a whole number from 10"),
        ("l1.rpc_url", "localhost", "is not a URL"),
        ("l1.rpc_url", "ftp://localhost", "is not an http or https URL"),
        ("l1.send_urls", "http://127.0.0.1:8545,localhost", "has an entry that is not an http or https URL"),
        ("l1.send_urls", "ftp://localhost", "has an entry that is not an http or https URL"),
        ("l1.send_urls", "http://localhost:1,http://localhost:1/", "has the same URL twice"),
        ("l1.chain_id", "0", "is not a whole number from 1 on"),
        ("l1.chain_id", "-5", "is not a whole number"),
        ("l1.rollup_address", "0xaa", "is set beside `l1.addresses_file`"),
        ("l1.request_timeout_ms", "soon", "is not a whole number from 10"),
        ("l1.blobs", "somewhere", "is not a URL"),
        ("validator.mnemonic", "one two three", "is not a mnemonic"),
        ("validator.derivation_path", "44/60", "is `44/60`"),
        ("validator.count", "0", "is not a whole number from 1"),
        ("validator.coinbase", "0x12", "is not an address"),
        ("validator.keystore_dir", "keys", "is set beside `validator.keystore_dir`"),
        ("publisher.max_fee_per_gas_gwei", "0", "is not a whole number from 1"),
        ("publisher.tip_floor_gwei", "21", "is above `publisher.tip_cap_gwei`"),
        ("publisher.tip_cap_gwei", "1001", "is above half of `publisher.max_fee_per_gas_gwei`"),
        ("publisher.spend.transaction_ether", "0", "is not an amount of ETH above 0"),
        ("publisher.spend.hourly_ether", "some", "is not an amount of ETH above 0"),
        ("publisher.funding.threshold_ether", "much", "is not an amount of ETH above 0"),
        ("publisher.funding.threshold_ether", "0", "is not an amount of ETH above 0"),
        ("publisher.funding.target_ether", "0.1", "is not above `publisher.funding.threshold_ether`"),
        ("publisher.funding.hourly_cap_ether", "0.05", "is below `publisher.funding.threshold_ether`"),
        ("publisher.confirmations", "0", "is not a whole number from 1 to 96"),
        ("publisher.funding.every_secs", "3601", "is not a whole number from 1 to 3600"),
        ("publisher.funding.multicall", "0x12", "is not an address"),
        ("timetable.min_block_ms", "7000", "is longer than `timetable.block_ms`"),
        ("timetable.max_blocks", "0", "is not a whole number from 1"),
        ("sequencer.start", "maybe", "is `maybe`"),
        ("votes.governance_payload", "0x12", "is not an address"),
        ("votes.governance_payload", "0x0000000000000000000000000000000000000000", "is the zero address"),
        ("votes.inactivity_units", "4", "is not a whole number from 0 to 3"),
        ("votes.inactivity_percent", "0", "is not a whole number from 1 to 100"),
        ("votes.equivocation_units", "4", "is not a whole number from 0 to 3"),
        ("votes.always_slash", "0x12", "has an entry that is not an address"),
        ("votes.never_slash", "x", "has an entry that is not an address"),
        ("invalidation.as_member_after_secs", "86401", "is not a whole number from 0 to 86400"),
        ("invalidation.as_anyone_after_secs", "soon", "is not a whole number from 0 to 86400"),
        ("execution.prefunded", "0xaa", "has an entry that is not `address=ether`"),
        ("execution.genesis_file", "g.json", "is set beside `execution.chain_id`"),
        ("execution.gas_limit", "5", "is not a whole number from 1000000"),
        ("rpc.listen", "8545", "is not an IP address and port"),
        ("rpc.max_request_bytes", "1", "is not a whole number from 1024"),
        ("admin.listen", "0.0.0.0:8547", "is not a loopback address"),
        ("admin.allow_public", "maybe", "is `maybe`"),
        ("admin.allowed_origins", "example.org", "has an entry that is not an origin"),
        ("log.filter", "a=b=c", "is not a filter"),
        ("log.format", "xml", "is `xml`"),
    ];
    for (key, value, expected) in cases {
        let problem = the_problem(&with_flag(base(), key, value));
        let Problem::Invalid { origin, wrong, remedy, .. } = &problem else { panic!("{key}: {problem:?}") };
        assert!(wrong.contains(expected), "{key}: {problem}");
        assert!(!remedy.is_empty());
        // Of two keys that exclude each other, either may be named.
        assert!(matches!(origin, Origin::Flag(_) | Origin::Preset(_)), "{key}: {origin}");
    }
}

#[test]
fn the_admin_rpc_listens_on_a_public_address_only_where_that_is_allowed_and_its_names_are_known() {
    let public = with_flag(base(), "admin.listen", "0.0.0.0:8547");
    let allowed = with_flag(public.clone(), "admin.allow_public", "yes");
    let named = with_flag(public.clone(), "admin.allowed_hosts", "node-1.internal");
    for sources in [public, allowed.clone(), named] {
        let problem = the_problem(&sources).to_string();
        assert!(problem.contains("`admin.listen`") && problem.contains("admin.allow_public"), "{problem}");
    }
    assert!(NodeConfig::load(&with_flag(allowed, "admin.allowed_hosts", "node-1.internal")).is_ok());
}

#[test]
fn a_value_of_the_wrong_toml_type_is_refused() {
    let cases = [
        ("[l1]\nchain_id = -1\n", "l1.chain_id"),
        ("[l1]\nchain_id = 1.5\n", "l1.chain_id"),
        ("[l1]\nchain_id = true\n", "l1.chain_id"),
        ("clock = 1\n", "clock"),
        ("[admin]\nallowed_hosts = [1]\n", "admin.allowed_hosts"),
    ];
    for (text, expected) in cases {
        let (_dir, file) = file_with(text);
        let problem = the_problem(&Sources { file: Some(file.clone()), ..base() });
        let Problem::Invalid { key, origin, .. } = &problem else { panic!("{text}: {problem:?}") };
        assert_eq!((*key, origin), (expected, &Origin::File(file)), "{text}");
    }
}

#[test]
fn all_that_is_missing_is_told_at_once() {
    let missing: Vec<_> = problems(&Sources::default())
        .into_iter()
        .map(|problem| {
            let Problem::Missing { key, .. } = problem else { panic!("{problem:?}") };
            key
        })
        .collect();
    let expected = [
        "l1.rpc_url",
        "l1.addresses_file",
        "l1.blobs",
        "validator.keystore_dir",
        "publisher.keystore_dir",
        "execution.chain_id",
    ];
    assert_eq!(missing, expected);
}

#[test]
fn a_node_is_asked_for_the_keys_of_its_roles_alone() {
    let missing = |roles: &str| -> Vec<&'static str> {
        let sources = presets(&[
            ("l1.rpc_url", "http://127.0.0.1:8545"),
            ("l1.addresses_file", "addresses.json"),
            ("l1.blobs", "anvil"),
            ("execution.chain_id", "1337"),
            ("node.roles", roles),
        ]);
        match NodeConfig::load(&sources) {
            Ok(_) => Vec::new(),
            Err(ConfigError::Keys(Problems(problems))) => problems
                .into_iter()
                .map(|problem| {
                    let Problem::Missing { key, .. } = problem else { panic!("{problem:?}") };
                    key
                })
                .collect(),
            Err(other) => panic!("{other}"),
        }
    };
    let (signs, sends) = ("validator.keystore_dir", "publisher.keystore_dir");
    let proves = ["prover.keystore_dir", "prover.proofs"];
    assert_eq!(missing("follower"), Vec::<&str>::new());
    assert_eq!(missing("validator"), [signs]);
    assert_eq!(missing("sequencer"), [signs, sends]);
    assert_eq!(missing("prover"), proves);
    assert_eq!(missing("sequencer,prover"), [signs, sends, proves[0], proves[1]]);
}

#[test]
fn a_remote_signer_goes_beside_keys_that_are_here_or_alone() {
    let with_remote = |sources: Sources| with_flag(sources, "validator.remote.url", "https://signer.internal:9000");
    let beside = NodeConfig::load(&with_remote(base())).expect("valid");
    assert!(beside.validator.remote.is_some() && beside.validator.keys != KeySource::NoKeys);
    let mut sources = with_remote(base());
    sources.presets.retain(|preset| preset.key != "validator.mnemonic");
    let alone = NodeConfig::load(&sources).expect("valid").validator;
    assert_eq!(alone.keys, KeySource::NoKeys);
    let remote = alone.remote.expect("a remote signer");
    assert_eq!((remote.client_certificate, remote.ca_file, remote.addresses.len()), (None, None, 0));
    let follower = NodeConfig::load(&with_flag(with_remote(base()), "node.roles", "follower")).expect("valid");
    assert_eq!(follower.validator.remote, None);
}

#[test]
fn half_a_remote_signer_is_none() {
    let url = "https://signer.internal:9000";
    let cases = [
        (vec![("validator.remote.client_cert", "a.pem")], "validator.remote.url"),
        (vec![("validator.remote.ca_file", "a.pem")], "validator.remote.url"),
        (vec![("validator.remote.url", url), ("validator.remote.client_cert", "a.pem")], "validator.remote.client_key"),
        (vec![("validator.remote.url", url), ("validator.remote.client_key", "a.pem")], "validator.remote.client_cert"),
    ];
    for (settings, expected) in cases {
        let sources = settings.iter().fold(base(), |sources, (key, value)| with_flag(sources, key, value));
        let problem = the_problem(&sources);
        assert!(matches!(&problem, Problem::Missing { key, .. } if *key == expected), "{problem:?}");
    }
    for url in ["http://10.0.0.1:9000", "https://me:hunter2@signer.internal"] {
        let problem = the_problem(&with_flag(base(), "validator.remote.url", url));
        assert!(matches!(&problem, Problem::Invalid { key: "validator.remote.url", .. }), "{problem:?}");
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
    }
}

#[test]
fn keys_that_no_role_needs_are_not_loaded() {
    let config = NodeConfig::load(&with_flag(base(), "node.roles", "follower")).expect("valid");
    assert_eq!((&config.validator.keys, &config.publisher.keys), (&KeySource::NoKeys, &KeySource::NoKeys));
    assert_eq!(config.prover, None);
}

#[test]
fn secrets_are_shown_nowhere() {
    let sources = with_flag(base(), "l1.rpc_url", "https://alice:hunter2@l1.example.org/key-4711?x=y");
    let raw = RawConfig::load(&sources).expect("known keys");
    let config = NodeConfig::from_raw(&raw).expect("valid");
    let text = format!("{:?}{config:?}", shown(&raw));
    for secret in ["junk", "alice", "hunter2", "4711"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(text.contains("https://l1.example.org/…"), "{text}");
    let KeySource::Mnemonic { phrase, .. } = config.validator.keys else { panic!("keys of the mnemonic") };
    assert_eq!(phrase.expose(), MNEMONIC);
}

#[test]
fn of_a_list_of_endpoints_each_is_shown_without_its_credentials_whichever_layer_names_it() {
    let urls = ["https://alice:hunter2@a.example.org/key-4711", "http://b.example.org:8545?key=4712"];
    let (_dir, file) = file_with(&format!("[l1]\nsend_urls = {urls:?}\n"));
    let from_file = Sources { file: Some(file), ..base() };
    for sources in [from_file, with_flag(base(), "l1.send_urls", &urls.join(", "))] {
        let raw = RawConfig::load(&sources).expect("known keys");
        let config = NodeConfig::from_raw(&raw).expect("valid");
        assert_eq!(config.l1.send_urls, urls.map(|url| url.parse().expect("a URL")));
        let of_key = shown(&raw).into_iter().find(|shown| shown.key == "l1.send_urls").and_then(|shown| shown.value);
        assert_eq!(of_key.as_deref(), Some(r#"["https://a.example.org/…", "http://b.example.org:8545/…"]"#));
        let text =
            format!("{:?}{config:?}", config.l1.named_send_urls().iter().map(|(name, _)| name).collect::<Vec<_>>());
        assert!(text.contains("https://a.example.org/…") && text.contains("http://b.example.org:8545/…"), "{text}");
        for secret in ["alice", "hunter2", "4711", "4712"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[test]
fn what_is_shown_can_be_written_into_a_file() {
    let sources = with_flag(with_flag(base(), "admin.allowed_hosts", "a, b"), "l1.chain_id", "7");
    let raw = RawConfig::load(&sources).expect("known keys");
    for Shown { key, value, .. } in shown(&raw) {
        if let Some(value) = value {
            let literal = raw::parse_literal(&value);
            assert_eq!(
                literal.as_array().is_some(),
                Key::find(&key).expect("known").kind == Kind::List,
                "{key} = {value}"
            );
        }
    }
    let of = |key: &str| shown(&raw).into_iter().find(|s| s.key == key).and_then(|s| s.value);
    assert_eq!(of("admin.allowed_hosts").as_deref(), Some(r#"["a", "b"]"#));
    assert_eq!(of("l1.chain_id").as_deref(), Some("7"));
    assert_eq!(of("validator.keystore_dir"), None);
}

#[test]
fn a_delay_of_zero_never_invalidates() {
    let config = NodeConfig::load(&with_flag(base(), "invalidation.as_member_after_secs", "0")).expect("valid");
    let delays = config.side.invalidation;
    assert_eq!((delays.as_member, delays.as_anyone), (None, Some(std::time::Duration::from_secs(432))));
}

#[test]
fn the_docs_page_is_the_table_of_keys() {
    crate::docs_page::assert_page("configuration.md", &markdown());
}

#[test]
fn publishers_are_topped_up_only_where_a_funder_is_named_with_its_password() {
    assert_eq!(NodeConfig::load(&base()).expect("valid").publisher.funding, None);
    let funding = NodeConfig::load(&other_base()).expect("valid").publisher.funding.expect("a funder is named");
    assert!(funding.funding.threshold < funding.funding.target && funding.funding.target < funding.funding.hourly_cap);
    for (set, missing) in [("keystore_dir", "password_file"), ("password_file", "keystore_dir")] {
        let problem = the_problem(&with_flag(base(), &format!("publisher.funding.{set}"), "funder"));
        let Problem::Missing { key, .. } = problem else { panic!("{problem:?}") };
        assert_eq!(key, format!("publisher.funding.{missing}"));
    }
}
