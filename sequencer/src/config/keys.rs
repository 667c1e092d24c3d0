//! The one list of configuration keys.

use std::fmt::Write as _;

/// What a key's value looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A string.
    Text,
    /// A whole number, not negative.
    Integer,
    /// A file or directory; in a file, relative to that file.
    Path,
    /// Strings; in the environment and in flags separated by commas.
    List,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Path => "path",
            Self::List => "list",
        }
    }
}

/// How much of a value may be shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Secrecy {
    /// All of it.
    Public,
    /// Scheme, host and port, of each in a list: user, path and query may hold credentials.
    Url,
    /// Nothing.
    Secret,
}

/// When a new value takes effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reload {
    /// At once, also in a running node.
    Hot,
    /// When the process starts next.
    Restart,
}

/// One configuration key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// `section.name`.
    pub path: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// Its default, as in TOML; `None` where it is unset.
    pub default: Option<&'static str>,
    /// How much of it may be shown.
    pub secrecy: Secrecy,
    /// When a new value takes effect.
    pub reload: Reload,
    /// A value other than the default, as in TOML.
    pub sample: &'static str,
    /// What it does.
    pub help: &'static str,
}

const fn key(
    path: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    sample: &'static str,
    help: &'static str,
) -> Key {
    Key { path, kind, default, secrecy: Secrecy::Public, reload: Reload::Restart, sample, help }
}

impl Key {
    const fn secret(mut self) -> Self {
        self.secrecy = Secrecy::Secret;
        self
    }

    const fn hot(mut self) -> Self {
        self.reload = Reload::Hot;
        self
    }

    const fn url(mut self) -> Self {
        self.secrecy = Secrecy::Url;
        self
    }
}

use Kind::{Integer, List, Path, Text};

/// Every key there is.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("data_dir", Path, Some(r#""fermata-data""#), r#""/var/lib/fermata""#,
        "Where the node keeps its stores, its lock and the admin token. One process at a time owns it."),
    key("clock", Text, Some(r#""system""#), r#""l1""#,
        "`system`: the machine's clock. `l1`: the machine's clock shifted so that it agrees with the L1 head, for an L1 whose clock is warped."),

    key("node.roles", List, Some(r#"["sequencer", "validator"]"#), r#"["follower"]"#,
        "What the node is for: any of `sequencer`, `validator` and `prover`, or `follower` alone. Every node follows L1 and serves the L2 RPC."),

    key("l1.rpc_url", Text, None, r#""http://127.0.0.1:9999/key""#,
        "JSON-RPC endpoint of L1.").url(),
    key("l1.send_urls", List, Some("[]"), r#"["http://127.0.0.1:9998/key", "http://127.0.0.1:9997"]"#,
        "JSON-RPC endpoints that L1 transactions are handed to, all of them at once; one that takes a transaction is enough. `l1.rpc_url` is not among them unless it is named here too. Empty: `l1.rpc_url` alone.").url(),
    key("l1.chain_id", Integer, None, "31338",
        "The chain id L1 must have. Unset: the one in the addresses file, else whatever L1 answers."),
    key("l1.addresses_file", Path, None, r#""/etc/fermata/other-addresses.json""#,
        "The `addresses.json` that `fermata deploy` wrote. Either this or `l1.rollup_address`."),
    key("l1.rollup_address", Text, None, r#""0x00000000000000000000000000000000000000bb""#,
        "Address of the rollup contract; the others are read from it. Either this or `l1.addresses_file`."),
    key("l1.ethereum_slot_secs", Integer, Some("12"), "4",
        "Time between two L1 blocks."),
    key("l1.poll_interval_ms", Integer, Some("500"), "250",
        "Time between two looks at the L1 head while its next block is overdue."),
    key("l1.request_timeout_ms", Integer, Some("2000"), "3000",
        "How long one L1 request may take."),
    key("l1.blobs", Text, None, r#""http://127.0.0.1:5052""#,
        "Where blobs are read from: `anvil` (from the L1 endpoint, which is an anvil), or the URL of a beacon node.").url(),

    key("validator.keystore_dir", Path, None, r#""/etc/fermata/validators-2""#,
        "Directory of encrypted V3 keystores of the validator keys, which a sequencer and a validator need. Either this, or `validator.mnemonic`; beside either, or alone, `validator.remote.url`."),
    key("validator.password_file", Path, None, r#""/etc/fermata/validators-2.password""#,
        "File that holds the password of those keystores."),
    key("validator.mnemonic", Text, None, r#""zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong""#,
        "Mnemonic to derive validator keys from; for development.").secret(),
    key("validator.derivation_path", Text, Some(r#""m/44'/60'/0'/0""#), r#""m/44'/60'/1'/0""#,
        "Path the mnemonic's keys are derived under; the index is appended."),
    key("validator.first", Integer, Some("0"), "3",
        "Index of the first key derived from the mnemonic."),
    key("validator.count", Integer, Some("1"), "4",
        "How many keys are derived from the mnemonic."),
    key("validator.remote.url", Text, None, r#""https://signer-2.internal:9000""#,
        "A remote signer that holds validator keys: web3signer, or whatever speaks its JSON-RPC. Over `https`; over `http` on this machine alone.").url(),
    key("validator.remote.ca_file", Path, None, r#""/etc/fermata/signer-ca.pem""#,
        "The authority that its certificate is signed by, in PEM. Unset: one that this machine trusts."),
    key("validator.remote.client_cert", Path, None, r#""/etc/fermata/client-2.pem""#,
        "The certificate it knows this node by, in PEM, and those that lead from it to the authority."),
    key("validator.remote.client_key", Path, None, r#""/etc/fermata/client-2.key""#,
        "The private key of that certificate, in PEM."),
    key("validator.remote.timeout_ms", Integer, Some("2000"), "1500",
        "How long it may take to sign, connecting included. A stop waits two seconds for it."),
    key("validator.remote.addresses", List, Some("[]"), r#"["0x00000000000000000000000000000000000000dd"]"#,
        "Its keys that are used. Empty: all it has, and it must answer when the node starts."),
    key("validator.coinbase", Text, None, r#""0x00000000000000000000000000000000000000cc""#,
        "Who gets fees and rewards on L1. Unset: the proposing validator's own address.").hot(),

    key("validator.protection.anchor", Path, None, r#""/mnt/other-disk/signer.anchor""#,
        "File outside the signing store that says how far the store has come, so that an older copy put back in its place is refused. Unset: `signer.anchor` in the data directory. It helps most where a backup of the data directory does not hold it: on another disk."),
    key("validator.protection.listen_only_slots", Integer, Some("2"), "8",
        "Slots in which a node only listens, and signs nothing, once its signing store is new, restored or imported: whoever else signs with its keys is seen meanwhile. 0: it signs at once."),
    key("validator.protection.strict", List, Some("[]"), r#"["attestation", "checkpoint-proposal"]"#,
        "Kinds of duty that only go forward: what does not lie above every slot that was ever signed is refused, record or no record. Once a node has named one, it stays so in the database that nodes share. Any of `block-proposal`, `checkpoint-proposal`, `attestation`, `attestations-and-signers`, `governance-vote`, `slashing-vote`."),
    key("validator.protection.postgres", Text, None, r#""postgres://fermata:other@db.example/fermata""#,
        "PostgreSQL database in which nodes with the same keys keep one another from signing twice, besides the node's own store: both must agree. `fermata protection init-shared` makes its store. Unset: no other node has these keys.").secret(),
    key("validator.protection.schema", Text, Some(r#""fermata_signer""#), r#""other_signer""#,
        "Schema of that database that holds the store; one for each rollup."),
    key("validator.protection.node", Text, None, r#""node-2""#,
        "Name of this node in that database, unlike that of every other node with the same keys."),
    key("validator.protection.ca_file", Path, None, r#""/etc/fermata/db-ca.pem""#,
        "Certificates that vouch for the database's server, as PEM. Unset: those that the machine trusts."),
    key("validator.protection.takeover_ms", Integer, Some("3000"), "1500",
        "Age at which a duty that another node has pinned and not signed is taken over, with the same payload alone."),

    key("publisher.keystore_dir", Path, None, r#""/etc/fermata/publishers-2""#,
        "Directory of encrypted V3 keystores of the accounts that send to L1, which a sequencer needs. Either this, or `publisher.mnemonic`."),
    key("publisher.password_file", Path, None, r#""/etc/fermata/publishers-2.password""#,
        "File that holds the password of those keystores."),
    key("publisher.mnemonic", Text, None, r#""zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong""#,
        "Mnemonic to derive publisher accounts from; for development.").secret(),
    key("publisher.derivation_path", Text, Some(r#""m/44'/60'/0'/0""#), r#""m/44'/60'/2'/0""#,
        "Path the mnemonic's accounts are derived under; the index is appended."),
    key("publisher.first", Integer, Some("0"), "5",
        "Index of the first account derived from the mnemonic."),
    key("publisher.count", Integer, Some("1"), "2",
        "How many accounts are derived from the mnemonic."),
    key("publisher.tip_floor_gwei", Integer, Some("1"), "2",
        "Least tip per gas; raises what L1 suggests.").hot(),
    key("publisher.tip_cap_gwei", Integer, Some("20"), "5",
        "Most tip per gas of a first send; lowers what L1 suggests: the higher of the node's suggestion and what the last blocks paid.").hot(),
    key("publisher.max_fee_per_gas_gwei", Integer, Some("2000"), "120",
        "Most a transaction may bid per gas. A first send uses at most half of it, so that its cancel fits beneath.").hot(),
    key("publisher.max_blob_fee_per_gas_gwei", Integer, Some("3000"), "60",
        "Most a transaction may bid per blob gas. A first send uses at most half of it.").hot(),
    key("publisher.confirmations", Integer, Some("1"), "3",
        "L1 blocks that must hold a transaction, its own included, before its end is believed; until then the same effect is not sent again. The prover's transactions too."),
    key("publisher.spend.transaction_ether", Text, None, r#""0.25""#,
        "The most one transaction may cost, in ETH, its value apart. What would cost more waits until fees fall, and is given up at its deadline; a cancel is not held back. Unset: no limit.").hot(),
    key("publisher.spend.hourly_ether", Text, None, r#""1.25""#,
        "The most all transactions may cost within an hour, in ETH, those in flight as dear as they can get. Unset: no limit. At least `publisher.spend.transaction_ether`.").hot(),

    key("publisher.funding.keystore_dir", Path, None, r#""/etc/fermata/funder-2""#,
        "Directory of the one encrypted V3 keystore of the account that tops up the publishers, and sends nothing else. Unset: nobody tops them up."),
    key("publisher.funding.password_file", Path, None, r#""/etc/fermata/funder-2.password""#,
        "File that holds the password of that keystore."),
    key("publisher.funding.threshold_ether", Text, Some(r#""0.1""#), r#""0.2""#,
        "A publisher that holds less is topped up, in ETH."),
    key("publisher.funding.target_ether", Text, Some(r#""0.5""#), r#""0.75""#,
        "What it holds then, in ETH. Above `publisher.funding.threshold_ether`."),
    key("publisher.funding.hourly_cap_ether", Text, Some(r#""2""#), r#""1.5""#,
        "The most that is given within an hour, in ETH, besides gas. At least `publisher.funding.threshold_ether`."),
    key("publisher.funding.every_secs", Integer, Some("120"), "60",
        "Time between two looks at the balances; one that is known to be low is looked at with every L1 block. In one such span there is one top-up at most. At most an hour."),
    key("publisher.funding.multicall", Text, None, r#""0x00000000000000000000000000000000000000ca""#,
        "Multicall3, through which several publishers are topped up at once; where there is none, one at a time is. Unset: where every public chain has it."),

    key("prover.proofs", Text, None, r#""http://127.0.0.1:7000""#,
        "Who makes the epochs' proofs, where the node is a `prover`: the URL of a prover service, or `mock` for a rollup whose verifier takes any proof. Mock proofs prove nothing.").url(),
    key("prover.id", Text, None, r#""0x00000000000000000000000000000000000000ee""#,
        "Who gets the prover's rewards on L1. Unset: the prover's first account."),
    key("prover.keystore_dir", Path, None, r#""/etc/fermata/prover-2""#,
        "Directory of encrypted V3 keystores of the accounts that send the proofs; none of them may be a publisher's. Either this, or `prover.mnemonic`."),
    key("prover.password_file", Path, None, r#""/etc/fermata/prover-2.password""#,
        "File that holds the password of those keystores."),
    key("prover.mnemonic", Text, None, r#""zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong""#,
        "Mnemonic to derive the prover's accounts from; for development.").secret(),
    key("prover.derivation_path", Text, Some(r#""m/44'/60'/0'/0""#), r#""m/44'/60'/3'/0""#,
        "Path the mnemonic's accounts are derived under; the index is appended."),
    key("prover.first", Integer, Some("0"), "6",
        "Index of the first account derived from the mnemonic."),
    key("prover.count", Integer, Some("1"), "2",
        "How many accounts are derived from the mnemonic."),
    key("prover.poll_interval_ms", Integer, Some("5000"), "1000",
        "Time between two looks whether a proof that is being made is done."),
    key("prover.request_timeout_ms", Integer, Some("30000"), "9000",
        "How long one answer of the prover service may take; it says at once that a proof is being made."),

    key("timetable.block_ms", Integer, Some("6000"), "4000",
        "One block's window inside a slot."),
    key("timetable.min_block_ms", Integer, Some("2000"), "1500",
        "The least time in which building a block is worth beginning. At most `timetable.block_ms`."),
    key("timetable.peer_ms", Integer, Some("2000"), "700",
        "One way to a committee peer."),
    key("timetable.assemble_ms", Integer, Some("1000"), "900",
        "From the last block to the signed proposal."),
    key("timetable.prepare_ms", Integer, Some("1000"), "800",
        "From the opening of the build frame to the first block's window."),
    key("timetable.max_blocks", Integer, Some("24"), "3",
        "Most blocks in a checkpoint, whatever the slot has room for."),

    key("sequencer.poll_interval_ms", Integer, Some("500"), "200",
        "Time from the end of a tick to the next."),
    key("sequencer.start", Text, Some(r#""desired""#), r#""never""#,
        "What the process does first. `desired`: what an operator asked for last, and start where nobody has. `always`: start. `never`: wait for `fermata start`."),
    key("sequencer.stop_deadline_ms", Integer, Some("25000"), "9000",
        "How long SIGTERM lets a stop drain before it interrupts. 0 interrupts at once. Seeing another proposer's slot through takes up to a slot as a rule, and never two.").hot(),
    key("sequencer.min_transactions", Integer, Some("0"), "1",
        "Fewest transactions a block is built with. 0 builds empty blocks too.").hot(),
    key("sequencer.publish_checkpoints", Text, Some(r#""yes""#), r#""no""#,
        "`no`: checkpoints of this node are built and attested, and then withheld from L1; votes are sent all the same. What is being sent already is not held back.").hot(),

    key("votes.governance_payload", Text, None, r#""0x00000000000000000000000000000000000000ee""#,
        "Contract that governance shall decide on: the proposer signals for it in each of its slots. Unset: no signal.").hot(),
    key("votes.inactivity_units", Integer, Some("1"), "2",
        "How much a validator shall be slashed that was absent from an epoch, in the contract's steps. 0: no vote for it.").hot(),
    key("votes.inactivity_percent", Integer, Some("90"), "75",
        "Absent is who missed at least so much of what was its to do in an epoch.").hot(),
    key("votes.equivocation_units", Integer, Some("3"), "1",
        "How much a proposer shall be slashed that made two proposals for one slot, in the contract's steps. 0: no vote for it.").hot(),
    key("votes.always_slash", List, Some("[]"), r#"["0x00000000000000000000000000000000000000a1"]"#,
        "Validators to vote against with the greatest step, whatever they did. This node's own are otherwise spared.").hot(),
    key("votes.never_slash", List, Some("[]"), r#"["0x00000000000000000000000000000000000000a2"]"#,
        "Validators never to vote against; goes before `votes.always_slash`.").hot(),

    key("invalidation.as_member_after_secs", Integer, Some("144"), "36",
        "How old a checkpoint with bad attestations must be before this node drops it as a member of the slot's committee; a proposer does so at once. 0: never.").hot(),
    key("invalidation.as_anyone_after_secs", Integer, Some("432"), "108",
        "How old it must be before this node drops it without a seat in the committee. 0: never.").hot(),

    key("execution.genesis_file", Path, None, r#""/etc/fermata/other-genesis.json""#,
        "L2 genesis as JSON. Either this, or `execution.chain_id` and `execution.prefunded`."),
    key("execution.chain_id", Integer, None, "4242",
        "L2 chain id of a genesis made from these keys."),
    key("execution.prefunded", List, Some("[]"), r#"["0x00000000000000000000000000000000000000dd=5"]"#,
        "Accounts of that genesis with their balance in ether: `address=ether`."),
    key("execution.genesis_timestamp", Integer, Some("0"), "1700000000",
        "Timestamp of that genesis, in seconds since the Unix epoch."),
    key("execution.genesis_base_fee_wei", Integer, Some("1000000000"), "7",
        "Base fee of that genesis, in wei per gas."),
    key("execution.gas_limit", Integer, Some("30000000"), "15000000",
        "Gas limit of an L2 block."),

    key("mempool.max_transactions", Integer, Some("20000"), "100",
        "Most transactions the mempool holds."),
    key("mempool.max_bytes", Integer, Some("67108864"), "1000000",
        "Most raw bytes of transactions the mempool holds."),
    key("mempool.max_per_sender", Integer, Some("256"), "16",
        "Most transactions of one sender in the mempool."),
    key("mempool.replacement_bump_percent", Integer, Some("10"), "25",
        "By how much a transaction must raise both fees to replace another of the same nonce."),
    key("mempool.min_priority_fee_wei", Integer, Some("0"), "1000000",
        "Least tip per gas the mempool takes."),

    key("rpc.listen", Text, Some(r#""127.0.0.1:8545""#), r#""0.0.0.0:9545""#,
        "Where the L2 JSON-RPC listens, HTTP and WebSocket. Port 0: the system chooses."),
    key("rpc.max_connections", Integer, Some("500"), "32",
        "Most connections at once, HTTP and WebSocket together."),
    key("rpc.max_request_bytes", Integer, Some("15728640"), "65536",
        "Longest request in bytes, a batch as a whole."),
    key("rpc.max_batch", Integer, Some("1000"), "10",
        "Most requests in a batch."),
    key("rpc.max_log_blocks", Integer, Some("10000"), "500",
        "Most blocks one `eth_getLogs` may span."),

    key("admin.listen", Text, Some(r#""127.0.0.1:8547""#), r#""127.0.0.1:0""#,
        "Where the admin RPC listens. Port 0: the system chooses. An address that is not loopback needs `admin.allow_public` and `admin.allowed_hosts`."),
    key("admin.allow_public", Text, Some(r#""no""#), r#""yes""#,
        "`yes`: the admin RPC may listen on an address that is not loopback. It speaks plain HTTP: put TLS before it, or a private network around it."),
    key("admin.allowed_origins", List, Some("[]"), r#"["https://ops.example.org"]"#,
        "Origins of web pages that may call the admin RPC."),
    key("admin.allowed_hosts", List, Some("[]"), r#"["node-1.internal"]"#,
        "Host names the admin RPC answers to, besides loopback."),

    key("log.filter", Text, Some(r#""info""#), r#""debug,hyper=warn""#,
        "What is logged: a tracing filter such as `info,fermata_publisher=debug`.").hot(),
    key("log.format", Text, Some(r#""pretty""#), r#""json""#,
        "`pretty` for people, `json` for machines."),
];

impl Key {
    /// The key of that path.
    #[must_use]
    pub fn find(path: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.path == path)
    }

    /// The key whose path looks most like `path`, if one does.
    #[must_use]
    pub fn nearest(path: &str) -> Option<&'static Self> {
        let name = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
        let likeness = |key: &Key| {
            let whole = strsim::jaro_winkler(key.path, path);
            // A key that was put into the wrong section is still that key.
            if name(key.path) == name(path) { whole.max(0.9) } else { whole }
        };
        let best = KEYS.iter().map(|key| (key, likeness(key))).max_by(|a, b| a.1.total_cmp(&b.1))?;
        (best.1 >= 0.8).then_some(best.0)
    }
}

/// The keys as a Markdown page.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         Flags > environment > TOML file > defaults. `section.key` is `FERMATA_SECTION__KEY` in the environment and\n\
         `--set section.key=value` on the command line; `--config FILE` names the TOML file. Unknown keys are errors.\n\
         `fermata config show --origin` tells each value and where it comes from. Made from `sequencer/src/config/keys.rs`.\n\n\
         A *hot* key takes effect at once with `fermata config set` (`admin_config`), until the process ends: what is to last\n\
         belongs into the file. The others take effect when the process starts next.\n\n\
         | key | kind | default | hot | what it does |\n|---|---|---|---|---|\n",
    );
    for Key { path, kind, default, help, reload, .. } in KEYS {
        let default = default.map_or_else(|| "-".to_owned(), |default| format!("`{default}`"));
        let hot = match reload {
            Reload::Hot => "hot",
            Reload::Restart => "",
        };
        let _ = writeln!(page, "| `{path}` | {} | {default} | {hot} | {help} |", kind.word());
    }
    page
}
