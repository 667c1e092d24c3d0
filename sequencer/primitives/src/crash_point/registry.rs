//! Every crash point there is.

use std::fmt::Write as _;

/// A step between two durable effects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CrashPoint {
    /// Its name: the room, and the step.
    pub tag: &'static str,
    /// What is durable when a process comes by.
    pub durable: &'static str,
    /// The durable effect that comes next.
    pub next: &'static str,
    /// What comes next is a write that can fail: the point takes the action `io-error`.
    pub can_fail: bool,
}

const fn point(tag: &'static str, durable: &'static str, next: &'static str) -> CrashPoint {
    CrashPoint { tag, durable, next, can_fail: false }
}

impl CrashPoint {
    const fn fallible(mut self) -> Self {
        self.can_fail = true;
        self
    }
}

/// Every crash point there is, in the order in which a node comes by. A test keeps this list and the call sites equal.
#[rustfmt::skip]
pub const CRASH_POINTS: &[CrashPoint] = &[
    // The first start.
    point("data_dir.after_lock", "the data directory, and its lock with the owner's pid", "the stores' directories"),
    point("data_dir.after_dirs", "the stores' directories", "the node store's file"),
    point("node_store.after_file", "the node store's file", "its tables and schema version"),
    point("node_store.after_schema", "its tables and schema version", "the manifest that says it was made"),
    point("node_store.after_manifest", "the node store, whole", "the execution store's file"),
    point("execution.after_file", "the execution store's file", "its tables and schema version"),
    point("execution.after_schema", "its tables and schema version", "the genesis block"),
    point("execution.after_genesis", "the genesis block", "the publisher's file"),
    point("publisher.after_file", "the publisher's file", "its tables, schema version and chain"),
    point("publisher.after_schema", "its tables, schema version and chain", "a draft of the signing store"),
    point("signer.after_draft_store", "the database of a draft of the signing store", "the draft's manifest"),
    point("signer.after_draft", "a draft of the signing store, whole", "the draft put in its place"),
    point("signer.after_init", "the signing store in its place", "word in the node store that it was made"),
    point("sequencer.after_signing_store", "word in the node store that the signing store was made", "an admin token"),
    point("data_dir.after_new_file", "a token's or the endpoint's file under another name", "the file under its own"),
    point("data_dir.after_token", "a scope's token", "the next scope's token, or the hashes of all"),
    point("sequencer.after_token_hashes", "the hashes of the admin tokens", "the admin socket"),
    point("data_dir.after_socket", "the admin socket", "the file that names the admin RPC's address"),
    point("data_dir.after_endpoint", "the file that names the admin RPC's address", "what a start does"),
    // A start.
    point("publisher.after_doubt", "an unsettled transaction of an earlier run, noted as one that may be live",
        "the same of the next one, or its bytes with L1 again"),
    point("publisher.after_rebroadcast", "the same bytes with L1 once more", "the transaction's end"),
    point("node_store.before_write", "what was before", "a write of the node store").fallible(),
    point("sequencer.after_desired_state", "an operator's wish", "what was wished for, and the answer"),
    point("sequencer.after_journal", "a verb's entry in the journal", "the verb's answer"),
    // A slot.
    point("execution.before_write", "what was before", "a block or a move of the heads").fallible(),
    point("execution.after_block", "a block of ours", "its duty"),
    point("signer.before_pin", "what was before", "duties, and signatures made since the last ones").fallible(),
    point("signer.after_pin", "a duty", "its signature outside the store"),
    point("signer.after_sign", "a signature outside the store", "the signature in the store"),
    point("sequencer.after_block_proposal", "a block's duty and its signature", "the block as head"),
    point("execution.after_heads", "a block as head", "the next block, or the checkpoint's duty"),
    point("sequencer.after_build", "every block of a checkpoint", "the checkpoint's duty"),
    point("sequencer.after_proposal", "a checkpoint's duty and its signature", "the attestations' duties"),
    point("sequencer.after_attest", "every duty of a slot", "its L1 transaction on record"),
    point("publisher.before_record", "what was before", "an L1 transaction on record").fallible(),
    point("publisher.after_record", "an L1 transaction on record", "the transaction with L1"),
    point("publisher.after_broadcast", "the transaction with L1", "word that it was sent"),
    point("publisher.after_sent", "word that it was sent", "the transaction in an L1 block"),
    point("publisher.after_landing", "the transaction in an L1 block", "its end on record"),
    point("publisher.after_outcome", "its end on record", "the safe head"),
    // A transaction that blocks leave out.
    point("publisher.after_raise_record", "a higher bid on record", "the higher bid with L1"),
    point("publisher.after_raise_broadcast", "the higher bid with L1", "either of both in an L1 block"),
    // A transaction that expired.
    point("publisher.after_expiry", "word that a deadline has passed", "its cancel on record"),
    point("publisher.after_cancel_record", "a cancel on record", "the cancel with L1"),
    point("publisher.after_cancel_broadcast", "the cancel with L1", "either of both in an L1 block"),
    // The chain on L1.
    point("execution.after_insert", "a block of somebody else", "the next block, or the head"),
    point("sequencer.after_rebuild", "every block of a checkpoint, from its blobs", "the next checkpoint's, or the head"),
    point("execution.after_step_back", "the heads, further back than before", "the transactions' return, in memory"),
    // Other nodes.
    point("sequencer.after_evidence", "two proposals for one duty", "what else is heard"),
    // An import.
    point("signer.before_import", "what was before", "all of an interchange file").fallible(),
    point("signer.after_import", "all of an interchange file", "word that it was imported"),
    // A stop, and a close.
    point("sequencer.after_drain", "all that a run has done", "the answer to a stop, or what a close does"),
    point("signer.after_last_signatures", "the signatures that were not yet in the store", "the store closed"),
    point("sequencer.after_stores_closed", "every store closed", "the data directory without endpoint and socket"),
    point("data_dir.after_endpoint_removed", "the data directory without endpoint and socket", "its lock without a pid"),
];

/// The page `sequencer/docs/crash-points.md`.
#[must_use]
pub fn markdown() -> String {
    let mut page = "\
# Crash points

Steps between two durable effects. A process built with the feature `crash-points`, and no other, can be made to fail at
each: by `FERMATA_CRASH_POINT` in its environment, or by `fermata node --crash-point`, which is hidden.

```text
publisher.after_record               abort, the first time
signer.after_pin=sigstop@2           the process stops itself, the second time
node_store.before_write=io-error     the write that follows fails; only where the last column says so
```

Several are separated by commas. The actions are `abort`, `exit:<code>`, `sigstop`, `panic`, `io-error` and
`sleep:<milliseconds>`. `@<file>` names a file in which the list stands, now or later: it is read when it is there, and hits
count from then on; so a process that runs is armed. An unknown tag or action, a hit of 0, and arming a process that was
built without the feature end it before it does anything. While anything is armed, the process says on standard error what
it comes by.

`cargo test --package fermata-e2e --test crash_matrix` kills a real process at each and looks at what it does once it is
started again.

| tag | durable before | next | io-error |
|---|---|---|---|
"
    .to_owned();
    for CrashPoint { tag, durable, next, can_fail } in CRASH_POINTS {
        let fails = if *can_fail { "yes" } else { "" };
        let _ = writeln!(page, "| `{tag}` | {durable} | {next} | {fails} |");
    }
    page
}
