//! `fermata protection`: what is done to a signing store that no process uses.

mod eth_last;
mod exchange;
mod halt;
mod hand_over;
mod init;
mod keys;
mod place;
mod restored;
mod scratch;
mod shared;
mod survey;
#[cfg(test)]
mod tests;
mod vectors;
mod working;

use clap::Subcommand;
use fermata_validator_signer::{Scan, SignerError, answer_scan};

use super::failure::Form;
use super::{Console, Failure};
use crate::catalogue::Reason;
use crate::error::SequencerError;
pub use exchange::{ExportArgs, ImportArgs};
use halt::LiftHaltArgs;
use hand_over::{HandOverArgs, TakeOverArgs};
pub(super) use hand_over::{handed_over, refused_through};
pub use init::InitArgs;
pub use keys::{Key, PruneArgs, RetireArgs};
pub use place::StoreArgs;
pub use restored::AcceptRestoredArgs;
use shared::{AcceptSharedArgs, InitSharedArgs};
pub use survey::VerifyArgs;
pub use vectors::VectorsArgs;

/// What to do with a signing store.
#[derive(Subcommand, Clone, Debug)]
pub enum ProtectionCommand {
    /// Make an empty signing store, for keys that never signed on the rollup: it refuses nothing.
    #[command(after_help = "Examples:\n  \
        fermata protection init --config fermata.toml\n  \
        fermata protection init --store /var/lib/fermata/signer --l1-chain-id 1 --rollup 0x00…bb\n\n\
        A node makes its store at its first start. This is for one that was lost: bring the lost one back if there is any\n\
        copy of it, since an empty store lets a key sign again what it has signed.")]
    Init(InitArgs),
    /// Read all of a signing store, and tell what is in it. Changes nothing.
    #[command(after_help = "Examples:\n  \
        fermata protection verify --data-dir /var/lib/fermata\n  \
        fermata protection verify --store /backup/signer --json | jq .signers\n\n\
        Exit codes: 31 a process has it open, 33 it is damaged or there is none, 34 a newer version wrote it, 41 it is an older copy.")]
    Verify(VerifyArgs),
    /// Make an empty store in the database that nodes with the same keys share (`validator.protection.postgres`).
    #[command(after_help = "Example:\n  \
        fermata protection init-shared --config fermata.toml\n\n\
        Once for all nodes, before the first of them starts with it. A store that is there already is left as it is.")]
    InitShared(InitSharedArgs),
    /// Accept the database of the shared store as it is, after it was restored or replaced.
    #[command(after_help = "Example:\n  \
        fermata protection accept-shared --config fermata.toml --refuse-through 123456\n\n\
        Duties may be lost with the old database. Name the last slot that any node may have signed: all slots up to it are \
        refused to every key from then on. Do it at each node; they all remember the old one.\n\n\
        Where Ethereum keys are on record, --eth-slot and --eth-target must say what they may have signed last; give the same \
        at each node.")]
    AcceptShared(AcceptSharedArgs),
    /// Sign with a key again that was halted, because another node was seen to sign with it.
    #[command(after_help = "Example:\n  \
        fermata protection lift-halt 0x70…c8 --config fermata.toml\n\n\
        Stop the other node first, and see to it that it never starts again with this key: what it has signed is not known \
        here.\n\
        The node whose store it is must be stopped as well. Where the configuration names a shared store, the key is halted \
        there too, and it is lifted in both. Run it at each node that has seen the other one. --shared lifts it in the shared \
        store alone, --store in the one that it names.")]
    LiftHalt(LiftHaltArgs),
    /// Go on with a signing store that is an older copy of itself, or whose anchor is lost.
    #[command(after_help = "Example:\n  \
        fermata protection accept-restored --config fermata.toml --raise-low-to 120000\n\n\
        What the store has forgotten may have been signed: every slot up to the one given is refused from then on. Give one no\n\
        lower than any slot in which these keys may have signed, on any machine; a slot in the near future is a safe choice.\n\n\
        Where Ethereum keys are on record, --eth-slot and --eth-target must say as much of them.")]
    AcceptRestored(AcceptRestoredArgs),
    /// Read the store that standard input names: what a node has done by a process of its own, since damage may end it.
    #[command(hide = true)]
    Scan,
    /// Take in what keys signed elsewhere, from an interchange file (EIP-3076, with a rollup's duties beside).
    #[command(after_help = "Examples:\n  \
        fermata protection import keys.json --config fermata.toml\n  \
        fermata protection import lighthouse.json --minify --genesis-validators-root 0x4b…95\n\n\
        Afterwards the store refuses whatever it or the file refused; nothing is ever lowered or dropped. The file is taken\n\
        whole or not at all. Where file and store know different payloads of one duty, it is refused to both, and told.\n\
        The node that uses the store must be stopped. With --shared nodes may run: they wait until the file is in.\n\
        The next node to open the store listens before it signs; where it is shared, all its nodes do then.\n\n\
        Exit codes: 31 a process has the store open, 43 the file was refused.")]
    Import(ImportArgs),
    /// Write what keys signed into an interchange file, for another store.
    #[command(after_help = "Examples:\n  \
        fermata protection export all.json --config fermata.toml\n  \
        fermata protection export hand-over.json --key 0x70…c8 --retire\n  \
        fermata protection export shared.json --shared --config fermata.toml\n\n\
        For a hand-over use --retire: a key that signs on here signs what the file does not know. The file is written whole\n\
        or not at all, readable by its owner alone. Other clients read its EIP-3076 members and pass over the rollup's.\n\
        What nodes share and what each has of its own are different files; with --shared nodes may run, and wait for nothing.")]
    Export(ExportArgs),
    /// Forget old records; their slots are refused from then on.
    #[command(after_help = "Example:\n  \
        fermata protection prune --finalized-slot 120000 --config fermata.toml\n\n\
        A node prunes by itself; this is for a store that no node uses, and for Ethereum's keys.")]
    Prune(PruneArgs),
    /// Refuse keys everything from now on: they move to another store, or leave.
    #[command(after_help = "Example:\n  \
        fermata protection retire 0x70…c8 --config fermata.toml\n\n\
        To hand a key over, `export --retire` does both in the right order. Where the configuration names a shared store, the\n\
        key is retired there too: it is refused at all nodes that share it, with the next duty that each asks for. --shared\n\
        retires it in the shared store alone, --store in the one that it names.")]
    Retire(RetireArgs),
    /// Leave a key to another node from a slot on; this one signs with it until then. First of two steps, at the old node.
    #[command(after_help = "Example, for a key that moves at slot 120000:\n  \
        1. at the old node, stopped:  fermata protection hand-over --key 0x70…c8 --from-slot 120000\n  \
        2. start the old node again:  it signs up to slot 119999\n  \
        3. at the new node, stopped:  fermata protection take-over --key 0x70…c8 --from-slot 120000\n  \
        4. start the new node:        it signs from slot 120000 on\n\n\
        In this order, and with the same slot: then no slot is signed by both, and none is left out. Choose a slot that is some\n\
        minutes ahead. It is refused if the key has signed in that slot or a later one. `fermata keys list` shows it. Nodes\n\
        that share a store are told once, with --shared, and need not be stopped; none of them moves a key alone.\n\n\
        Exit codes: 30 the node shares a store, and --shared was not given, 31 a process has the store open.")]
    HandOver(HandOverArgs),
    /// Sign with a key from a slot on that another node has handed over. Second of two steps, at the new node.
    #[command(after_help = "Example:\n  \
        fermata protection take-over --key 0x70…c8 --from-slot 120000 --config fermata.toml\n\n\
        Only after `fermata protection hand-over` with the same slot at the node that signed with the key before; its help has\n\
        the whole order. All slots before are refused here. At a node that handed the key over itself, this takes it back.\n\n\
        Exit codes: 31 a process has the store open.")]
    TakeOver(TakeOverArgs),
    /// Run test vectors in EIP-3076's public format against this program's own stores.
    #[command(after_help = "Examples:\n  \
        fermata protection vectors slashing-protection-interchange-tests/tests/generated\n  \
        fermata protection vectors tests/generated --database postgres://fermata@127.0.0.1/test\n\n\
        Every *.json file is run six times, each in a new store: keeping watermarks alone, full history after a minified\n\
        import, and full history; each as it is, and exported and imported into a new store after each step. Files older\n\
        than version 5.3 have one expectation for all stores, the most careful one: a full history may sign more.\n\n\
        Exit codes: 39 a file did not go as it expects.")]
    Vectors(VectorsArgs),
}

impl ProtectionCommand {
    /// Does it, the store read as `scan` says, and gives the exit code.
    ///
    /// # Cancel safety
    /// Dropped: it may be done in part, as a process that is killed leaves it.
    pub async fn run(&self, console: &mut Console, scan: &Scan) -> u8 {
        let done = match self {
            Self::Init(args) => args.run(console),
            Self::Verify(args) => args.run(console, scan),
            Self::LiftHalt(args) => args.run(console, scan).await,
            Self::AcceptRestored(args) => args.run(console, scan),
            Self::Scan => answer_scan().map_err(|error| Failure::new(Reason::Internal, &error)),
            Self::Import(args) => args.run(console, scan).await,
            Self::Export(args) => args.run(console, scan).await,
            Self::Prune(args) => args.run(console, scan).await,
            Self::Retire(args) => args.run(console, scan).await,
            Self::HandOver(args) => args.run(console, scan).await,
            Self::TakeOver(args) => args.run(console, scan).await,
            Self::Vectors(args) => args.run(console).await,
            Self::InitShared(args) => args.run(console).await,
            Self::AcceptShared(args) => args.run(console).await,
        };
        done.map_or_else(|failure| failure.end(console, self.form()), |()| 0)
    }

    const fn form(&self) -> Form {
        match self {
            Self::Init(args) => args.at.form(),
            Self::Verify(args) => args.at.form(),
            Self::InitShared(args) => args.form(),
            Self::AcceptShared(args) => args.form(),
            Self::LiftHalt(args) => args.at.form(),
            Self::AcceptRestored(args) => args.at.form(),
            Self::Scan => Form::Human,
            Self::Import(args) => args.at.form(),
            Self::Export(args) => args.at.form(),
            Self::Prune(args) => args.at.form(),
            Self::Retire(args) => args.at.form(),
            Self::HandOver(args) => args.at.form(),
            Self::TakeOver(args) => args.at.form(),
            Self::Vectors(args) => args.form(),
        }
    }
}

/// The program that runs, which must be `fermata`, as the reader of a signing store.
#[must_use]
pub fn scan_of_this_program() -> Scan {
    // Where the system does not tell it, the shell's search for programs finds it.
    let program = std::env::current_exe().unwrap_or_else(|_| "fermata".into());
    Scan::Child { program, args: vec!["protection".into(), "scan".into()] }
}

/// A refusal of the signer's crate, with the catalogue's row.
pub(super) fn failure(error: SignerError) -> Failure {
    let is_stale = matches!(error, SignerError::Stale { .. });
    let error = SequencerError::Signer(error);
    let hint = is_stale.then(|| error.reason().hint().to_owned());
    Failure { hint, ..Failure::new(error.reason(), &error) }
}
