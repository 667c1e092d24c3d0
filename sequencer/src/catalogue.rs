//! The one catalogue of errors that leave the process: admin RPC, exit codes of the command line, and the docs.
//!
//! A reason that can be answered by the admin RPC has a JSON-RPC code; from exit code 10 on it is `-(32000 + exit)`.
//! `sequencer/docs/errors.md` is this table; a test keeps the two equal.

use std::fmt::{self, Write as _};

/// One row of the catalogue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The row's key.
    pub reason: Reason,
    /// `data.reason` of the RPC error: what programs match on.
    pub word: &'static str,
    /// JSON-RPC error code, where the admin RPC can answer with it.
    pub rpc_code: Option<i32>,
    /// HTTP status of that answer.
    pub http: u16,
    /// Exit code of the process.
    pub exit: u8,
    /// When it happens.
    pub when: &'static str,
    /// What to do about it: `data.hint` of the RPC error.
    pub hint: &'static str,
}

macro_rules! catalogue {
    ($($reason:ident $word:literal $rpc:expr, $http:literal, $exit:literal, $when:literal, $hint:literal;)*) => {
        /// Why something did not succeed, as the catalogue names it.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Reason {
            $(#[doc = concat!("`", $word, "`: ", $when)] $reason,)*
        }

        /// The catalogue, a row a reason.
        pub const CATALOGUE: &[Entry] = &[
            $(Entry {
                reason: Reason::$reason, word: $word, rpc_code: $rpc, http: $http, exit: $exit, when: $when, hint: $hint,
            },)*
        ];
    };
}

catalogue! {
    Internal "INTERNAL" Some(-32603), 200, 1, "a defect of Fermata, or an error with no row of its own",
        "look at the log, and report it with the lines around it";
    InvalidParams "INVALID_PARAMS" Some(-32602), 200, 2, "a verb was given parameters it does not take",
        "compare the call with `fermata <verb> --help`";
    Unauthorized "UNAUTHORIZED" Some(-32001), 401, 3, "the admin token is missing or wrong",
        "send `Authorization: Bearer` with what `admin.token` in the data directory holds, or call its `admin.sock`";
    NodeUnreachable "NODE_UNREACHABLE" None, 0, 4, "no node answers the command line",
        "start it with `fermata node`, or name its --data-dir";
    OriginRefused "ORIGIN_REFUSED" Some(-32002), 403, 5, "a web page of an origin that is not allowed called the admin RPC",
        "add the origin to admin.allowed_origins if the page is yours";
    HostRefused "HOST_REFUSED" Some(-32003), 403, 6, "the request names a host that is not allowed",
        "call 127.0.0.1 or localhost, or add the name to admin.allowed_hosts";
    Forbidden "FORBIDDEN" Some(-32004), 403, 7, "the token's scope does not include the verb",
        "use `operate.token` to start, stop and set hot keys, `admin.token` for everything";
    UnknownMethod "UNKNOWN_METHOD" Some(-32601), 200, 8, "the admin RPC has no such method",
        "the methods are admin_start, admin_stop, admin_close, admin_status, admin_waitFor, admin_explain, admin_publisher, admin_config, admin_reloadKeys, admin_journal, admin_subscribe";
    InvalidRequest "INVALID_REQUEST" Some(-32600), 400, 9, "the request is not one JSON-RPC 2.0 call",
        "POST one JSON object as application/json; batches are refused, since the order of verbs in one would mean nothing";
    Stopping "STOPPING" Some(-32010), 200, 10, "a start while a stop is under way",
        "wait until the stop has answered, then start again";
    HeadMismatch "HEAD_MISMATCH" Some(-32011), 200, 11, "a start at a head that is not the node's",
        "compare with head.unsafe of admin_status; start without a hash to start at the node's head";
    CalledOff "CALLED_OFF" Some(-32012), 200, 12, "a planned stop that a start called off before its slot or block",
        "ask for the stop again if it is still wanted";
    TooLarge "TOO_LARGE" Some(-32013), 413, 13, "the request is longer than the admin RPC takes",
        "send less than 64 KiB; a reason is a sentence";
    NotSynced "NOT_SYNCED" Some(-32014), 200, 14, "a start at a head that the node has not synced to in time",
        "wait until `fermata status` shows the head, or give the start more time with waitMs";
    DrainDeadline "DRAIN_DEADLINE" Some(-32015), 200, 15, "a signal ended the process, and work of the node's own did not end by itself",
        "nothing is lost: the next start reconciles it; raise sequencer.stop_deadline_ms to let it land";
    Closed "CLOSED" Some(-32016), 200, 16, "a verb after a close",
        "start a new process with `fermata node`";
    Timeout "TIMEOUT" Some(-32017), 200, 17, "what was waited for did not come in time",
        "look at data.status, or at `fermata explain`, and wait longer";
    Unfunded "UNFUNDED" Some(-32018), 200, 18, "no publisher account can pay for an L1 transaction",
        "send ETH to a publisher account, then start again";
    Interrupted "INTERRUPTED" Some(-32019), 200, 19, "a start that a stop overtook",
        "start again";
    StartFailed "START_FAILED" Some(-32020), 200, 20, "a part of the run did not come up; what had come up was taken down",
        "mend what the message names, then start again";
    NotRecorded "NOT_RECORDED" Some(-32021), 200, 21, "the desired state could not be stored and would not survive a restart",
        "make room on the disk of the data directory, then repeat the verb";
    L1Down "L1_DOWN" Some(-32022), 200, 22, "L1 does not answer, or too slowly",
        "check l1.rpc_url and the endpoint's health; raise l1.request_timeout_ms if it is only slow";
    SignerDown "SIGNER_DOWN" Some(-32023), 200, 23, "the signer or its protection store cannot be used",
        "look at the message: it names the store or the key";
    WrongChain "WRONG_CHAIN" Some(-32024), 200, 24, "L1 has another chain id than expected",
        "check l1.rpc_url against l1.chain_id and the addresses file";
    NoContract "NO_CONTRACT" Some(-32025), 200, 25, "there is no code at an L1 contract's address",
        "check l1.addresses_file, or deploy with `fermata deploy`";
    WrongGenesis "WRONG_GENESIS" Some(-32026), 200, 26, "the rollup on L1 was deployed with another L2 genesis",
        "use the [execution] settings the rollup was deployed with";
    NotStaked "NOT_STAKED" Some(-32027), 200, 27, "none of the validator keys is staked in the rollup",
        "stake them, or check the [validator] keys";
    Busy "BUSY" Some(-32028), 429, 28, "the admin RPC has as many connections, or callers who wait, as it takes",
        "close some, or wait until they have ended";
    ConfigInvalid "CONFIG_INVALID" Some(-32030), 200, 30, "the configuration has unknown, missing or invalid keys",
        "mend what the message names; `fermata config show --origin` tells where each value comes from";
    DataDirHeld "DATA_DIR_HELD" Some(-32031), 200, 31, "another process owns the data directory",
        "stop the process that is named, or use another --data-dir";
    DataDirUnusable "DATA_DIR_UNUSABLE" Some(-32032), 200, 32, "the data directory cannot be made, read or written",
        "check its owner, its permissions and the disk";
    StoreDamaged "STORE_DAMAGED" Some(-32033), 200, 33, "a store is damaged or part of it is missing; nothing was changed",
        "restore the named file from a backup, or follow the repair in the message";
    StoreNewer "STORE_NEWER" Some(-32034), 200, 34, "a store was written by a newer version; nothing was changed",
        "run the version that wrote it, or a later one";
    PortInUse "PORT_IN_USE" Some(-32035), 200, 35, "another process listens on the address",
        "stop it, or set rpc.listen or admin.listen to another port (0 lets the system choose)";
    KeystorePassword "KEYSTORE_PASSWORD" Some(-32036), 200, 36, "a keystore cannot be decrypted with its password",
        "check validator.password_file and publisher.password_file";
    KeystoreUnusable "KEYSTORE_UNUSABLE" Some(-32037), 200, 37, "a keystore directory has no keys, or one cannot be read",
        "check validator.keystore_dir and publisher.keystore_dir";
    ToolMissing "TOOL_MISSING" Some(-32038), 200, 38, "anvil or the contract artifacts are not installed",
        "run the command the message names";
    CheckFailed "CHECK_FAILED" Some(-32039), 200, 39, "a check of `fermata doctor` failed",
        "do what the line says, and run it again";
    NotSequencer "NOT_SEQUENCER" Some(-32040), 200, 40, "a start of a node that neither proposes nor attests",
        "add `sequencer` to node.roles and restart the node; as it is, it follows L1 without a start";
    StoreStale "STORE_STALE" Some(-32041), 200, 41, "the signing store is an older copy, or its anchor is missing; nothing was changed",
        "bring the newest copy back; if there is none, `fermata protection accept-restored --raise-low-to SLOT` (of a shared store `accept-shared --refuse-through SLOT`), with a slot no lower than any these keys signed in";
    RemoteSignerDown "REMOTE_SIGNER_DOWN" Some(-32042), 200, 42, "the remote signer does not answer, or refuses",
        "look at the message and at the signer's log; check validator.remote.url and the certificates beside it";
    InterchangeRefused "INTERCHANGE_REFUSED" Some(-32043), 200, 43, "a slashing-protection interchange file was refused; nothing was changed",
        "do what the message says; the file is taken whole or not at all";
}

impl Reason {
    /// The row.
    #[must_use]
    pub const fn entry(self) -> &'static Entry {
        &CATALOGUE[self as usize]
    }

    /// `data.reason` of the RPC error.
    #[must_use]
    pub const fn word(self) -> &'static str {
        self.entry().word
    }

    /// What to do about it.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        self.entry().hint
    }

    /// Exit code of the process.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        self.entry().exit
    }

    /// The reason of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        CATALOGUE.iter().find(|entry| entry.word == word).map(|entry| entry.reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The catalogue as a Markdown page.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::from(
        "# Error catalogue\n\n\
         One table for the admin RPC (`error.code`, `error.data.reason`, `error.data.hint`), the HTTP status and the exit\n\
         code of `fermata`. Match on the reason; the message is for people. Made from `sequencer/src/catalogue.rs`.\n\n\
         | reason | JSON-RPC | HTTP | exit | when | what to do |\n|---|---|---|---|---|---|\n",
    );
    for entry in CATALOGUE {
        let rpc = entry.rpc_code.map_or_else(|| "-".to_owned(), |code| code.to_string());
        let http = if entry.http == 0 { "-".to_owned() } else { entry.http.to_string() };
        let Entry { word, exit, when, hint, .. } = entry;
        let _ = writeln!(page, "| `{word}` | {rpc} | {http} | {exit} | {when} | {hint} |");
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn words_rpc_codes_and_exit_codes_are_unique() {
        let words: BTreeSet<_> = CATALOGUE.iter().map(|e| e.word).collect();
        let exits: BTreeSet<_> = CATALOGUE.iter().map(|e| e.exit).collect();
        let codes: Vec<_> = CATALOGUE.iter().filter_map(|e| e.rpc_code).collect();
        assert_eq!(words.len(), CATALOGUE.len());
        assert_eq!(exits.len(), CATALOGUE.len());
        assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len());
        assert!(!exits.contains(&0), "zero is success");
    }

    #[test]
    fn a_reason_finds_its_row_by_value_and_by_word() {
        for entry in CATALOGUE {
            assert_eq!(entry.reason.entry(), entry);
            assert_eq!(Reason::from_word(entry.word), Some(entry.reason));
        }
        assert_eq!(Reason::from_word("NO_SUCH_REASON"), None);
    }

    #[test]
    fn from_ten_on_the_rpc_code_follows_from_the_exit_code() {
        for entry in CATALOGUE.iter().filter(|e| e.exit >= 10) {
            assert_eq!(entry.rpc_code, Some(-32_000 - i32::from(entry.exit)), "{}", entry.word);
        }
    }

    #[test]
    fn the_docs_page_is_the_catalogue() {
        crate::docs_page::assert_page("errors.md", &markdown());
    }
}
