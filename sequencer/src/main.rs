//! The `fermata` binary: command line, log, runtime, exit code.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use fermata_sequencer::cli::{
    ConfigCommand, Console, DeployArgs, DevArgs, DoctorArgs, Failure, Form, KeysCommand, NodeArgs, ProtectionCommand,
    VerbCommand, run_dev, run_node, scan_of_this_program,
};

/// A rollup sequencer that can be stopped, drained, restarted, warped, crashed and closed.
#[derive(Parser, Debug)]
#[command(
    name = "fermata",
    version,
    after_help = "Begin here:\n  \
        fermata dev                        an L1, the rollup's contracts and a node, in one process\n  \
        fermata status --data-dir dev      what the node of that chain does\n  \
        fermata stop --data-dir dev        let the slot in flight land, then stop\n\n\
        Exit codes are those of the error catalogue: sequencer/docs/errors.md"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run a development chain: anvil, the real L1 contracts, and a node that lands checkpoints on them.
    Dev(DevArgs),
    /// Run a node against an L1.
    #[command(after_help = "Examples:\n  \
        fermata node --config fermata.toml\n  \
        fermata node --config fermata.toml --set sequencer.start=never\n\n\
        Flags win over the environment (FERMATA_L1__RPC_URL), which wins over the file. `fermata config show` lists every\n\
        key.\n\n\
        SIGTERM, SIGINT and SIGQUIT drain and close within sequencer.stop_deadline_ms; a second one interrupts. Exit code 0:\n\
        no work of the node's own was cut. 15: the deadline or a second signal cut some; the next start reconciles it.")]
    Node {
        #[command(flatten)]
        args: NodeArgs,
        /// Where it fails: `tag[=action][@n]`, several separated by commas.
        #[cfg(feature = "crash-points")]
        #[arg(long, hide = true, value_name = "POINTS")]
        crash_point: Option<String>,
    },
    /// Deploy the L1 rollup and stake its validators.
    Deploy(DeployArgs),
    /// Look at the configuration, and set hot keys of a running node.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Check, before a node is started and without changing anything, what it needs: L1, contract, keys, funds, disk.
    #[command(after_help = "Example:\n  fermata doctor --config fermata.toml\n\nExit code 39: a check failed.")]
    Doctor(Box<DoctorArgs>),
    /// Make, import and list the keys that sign, and have a running node read them anew.
    #[command(subcommand)]
    Keys(Box<KeysCommand>),
    /// Look after a signing store that no process uses.
    #[command(subcommand)]
    Protection(ProtectionCommand),
    /// Print completions for a shell.
    #[command(after_help = "Example:\n  fermata completions bash > /etc/bash_completion.d/fermata")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    #[command(flatten)]
    Verb(VerbCommand),
}

fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    let mut console = Console::standard();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            console.complain(format_args!("error: the runtime did not start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(carry_out(command, &mut console));
    ExitCode::from(code)
}

async fn carry_out(command: Command, console: &mut Console) -> u8 {
    let ended = match command {
        Command::Dev(args) => {
            fermata_sequencer::log::init("warn", fermata_sequencer::config::LogFormat::Pretty);
            run_dev(args).await
        }
        #[cfg(feature = "crash-points")]
        Command::Node { args, crash_point } => run_node(&args, crash_point).await,
        #[cfg(not(feature = "crash-points"))]
        Command::Node { args } => run_node(&args, None).await,
        Command::Deploy(args) => return args.run(console).await,
        Command::Config(command) => return command.run(console).await,
        Command::Doctor(args) => return args.run(console).await,
        Command::Keys(command) => return command.run(console, &scan_of_this_program()).await,
        Command::Protection(command) => return command.run(console, &scan_of_this_program()).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "fermata", &mut std::io::stdout());
            return 0;
        }
        Command::Verb(verb) => return verb.run(console).await,
    };
    ended.map_or_else(|failure: Failure| tell(&failure, console), |()| 0)
}

fn tell(failure: &Failure, console: &mut Console) -> u8 {
    failure.tell(console, Form::Human);
    failure.reason.exit_code()
}
