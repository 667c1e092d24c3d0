//! `fermata config show`: what a node would run with, and where each value comes from.

use clap::{Args, Subcommand};
use serde_json::json;

use super::failure::Form;
use super::{Console, Failure, NodeArgs};
use crate::config::{NodeConfig, RawConfig, Shown, Sources, shown};

/// What to do with the configuration.
#[derive(Subcommand, Clone, Debug)]
pub enum ConfigCommand {
    /// Print every key and its value, secrets taken out.
    #[command(after_help = "Examples:\n  \
        fermata config show --config fermata.toml\n  \
        fermata config show --origin              where each value comes from\n  \
        FERMATA_RPC__LISTEN=127.0.0.1:0 fermata config show --origin\n\n\
        What is printed without --origin is TOML and can be used as a file. Exit code 30: the configuration is not valid.")]
    Show(ShowArgs),
}

/// How to show it.
#[derive(Args, Clone, Default, Debug)]
pub struct ShowArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Print where each value comes from.
    #[arg(long)]
    origin: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl ConfigCommand {
    /// Does it, and gives the exit code.
    pub fn run(&self, console: &mut Console) -> u8 {
        match self {
            Self::Show(args) => show_config(args, &args.node.sources(), console),
        }
    }
}

/// Shows the configuration that `sources` make, also where it is not valid, and gives the exit code.
pub fn show_config(args: &ShowArgs, sources: &Sources, console: &mut Console) -> u8 {
    let form = if args.json { Form::Json } else { Form::Human };
    let failure = match RawConfig::load(sources) {
        Ok(raw) => {
            let keys = shown(&raw);
            match form {
                Form::Json => console.say(json!(keys)),
                Form::Human => console.say(if args.origin { with_origins(&keys) } else { toml(&keys) }),
            }
            NodeConfig::from_raw(&raw).err()
        }
        Err(error) => Some(error),
    };
    let Some(error) = failure else { return 0 };
    let failure = Failure::from(error);
    // Standard output holds the keys; what is wrong with them is for people.
    failure.tell(console, Form::Human);
    failure.reason.exit_code()
}

/// A TOML file; keys without a value are comments.
fn toml(keys: &[Shown]) -> String {
    let mut lines = Vec::new();
    let mut current = "";
    for Shown { key, value, .. } in keys {
        let (section, name) = key.split_once('.').unwrap_or(("", key));
        if section != current {
            lines.push(format!("\n[{section}]"));
            current = section;
        }
        lines.push(value.as_ref().map_or_else(|| format!("# {name} ="), |value| format!("{name} = {value}")));
    }
    lines.join("\n")
}

fn with_origins(keys: &[Shown]) -> String {
    let text = |shown: &Shown| {
        let value = shown.value.as_deref().unwrap_or("(unset)");
        format!("{} = {value}", shown.key)
    };
    let width = keys.iter().map(|shown| text(shown).chars().count()).max().unwrap_or_default().min(72);
    let line = |shown: &Shown| format!("{:<width$}  {}", text(shown), shown.origin);
    keys.iter().map(line).collect::<Vec<_>>().join("\n")
}
