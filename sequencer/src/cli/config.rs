//! `fermata config`: what a node would run with, what a running one runs with, and hot keys set in it.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::failure::Form;
use super::node_args::parse_set;
use super::verbs::{CommonArgs, tell, whoami};
use super::{Console, Failure, NodeArgs};
use crate::catalogue::Reason;
use crate::config::{Key, NodeConfig, RawConfig, SetOutcome, Shown, Sources, shown};
use crate::rpc::admin::ConfigParams;

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
    /// Print what a running node runs with, and where each value comes from.
    #[command(
        after_help = "Examples:\n  fermata config get\n  fermata config get sequencer.stop_deadline_ms log.filter"
    )]
    Get(GetArgs),
    /// Set hot keys of a running node, all of them or none. They last until the process ends: what is to last longer
    /// belongs into the file.
    #[command(after_help = "Examples:\n  \
        fermata config set log.filter=debug\n  \
        fermata config set publisher.tip_cap_gwei=40 publisher.tip_floor_gwei=2 --reason 'L1 is busy'\n\n\
        Exit code 30: a key or value is not valid, and nothing was set. sequencer/docs/configuration.md tells which keys are hot.")]
    Set(SetArgs),
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

/// Which keys.
#[derive(Args, Clone, Debug)]
pub struct GetArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Only these keys.
    keys: Vec<String>,
}

/// Which keys, and what to.
#[derive(Args, Clone, Debug)]
pub struct SetArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// A key and its new value.
    #[arg(required = true, value_name = "KEY=VALUE", value_parser = parse_set)]
    keys: Vec<(String, String)>,
    /// Why, for the next person who wonders.
    #[arg(long)]
    reason: Option<String>,
}

impl ConfigCommand {
    /// Does it, and gives the exit code.
    pub async fn run(&self, console: &mut Console) -> u8 {
        let (form, done) = match self {
            Self::Show(args) => return show_config(args, &args.node.sources(), console),
            Self::Get(args) => (args.common.form(), args.run(console).await),
            Self::Set(args) => (args.common.form(), args.run(console).await),
        };
        done.map_or_else(|failure| failure.end(console, form), |()| 0)
    }
}

impl GetArgs {
    async fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let unknown = self.keys.iter().find(|key| Key::find(key).is_none());
        if let Some(key) = unknown {
            let nearest = Key::nearest(key).map_or_else(String::new, |key| format!("; did you mean `{}`?", key.path));
            let message = format!("there is no key `{key}`{nearest}");
            return Err(Failure { reason: Reason::ConfigInvalid, message, hint: None });
        }
        let mut keys: Vec<Shown> =
            self.common.target.client()?.call("admin_config", (ConfigParams::default(),)).await?;
        keys.retain(|shown| self.keys.is_empty() || self.keys.contains(&shown.key));
        tell(console, self.common.form(), &keys, |keys| with_origins(keys))
    }
}

impl SetArgs {
    async fn run(&self, console: &mut Console) -> Result<(), Failure> {
        let set = self.keys.iter().map(|(key, value)| (key.clone(), Value::from(value.clone()))).collect();
        let params = ConfigParams { set: Some(set), reason: self.reason.clone(), by: Some(whoami()) };
        let outcome: SetOutcome = self.common.target.client()?.call("admin_config", (params,)).await?;
        tell(console, self.common.form(), &outcome, set_outcome)
    }
}

fn set_outcome(outcome: &SetOutcome) -> String {
    let mut lines = Vec::new();
    if !outcome.applied.is_empty() {
        lines.push(format!("set until the process ends: {}", outcome.applied.join(", ")));
    }
    if !outcome.needs_restart.is_empty() {
        let keys = outcome.needs_restart.join(", ");
        lines.push(format!("not set, takes a restart: {keys}; change the file, then restart the process"));
    }
    lines.join("\n")
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
    // Standard output holds the keys; what is wrong with them is for people.
    Failure::from(error).end(console, Form::Human)
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
