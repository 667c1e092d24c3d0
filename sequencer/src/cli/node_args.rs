//! Flags that configure a node.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Setting, Sources};

/// The configuration of a node: a file, the environment, and flags over both.
#[derive(Args, Clone, Default, Debug)]
pub struct NodeArgs {
    /// TOML file with the configuration.
    #[arg(long, env = "FERMATA_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the node keeps its stores (data_dir).
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// JSON-RPC endpoint of L1 (l1.rpc_url).
    #[arg(long, value_name = "URL")]
    pub l1_rpc_url: Option<String>,
    /// The addresses.json of `fermata deploy` (l1.addresses_file).
    #[arg(long, value_name = "FILE")]
    pub addresses_file: Option<String>,
    /// Where the L2 JSON-RPC listens (rpc.listen).
    #[arg(long, value_name = "IP:PORT")]
    pub rpc_listen: Option<String>,
    /// Where the admin RPC listens (admin.listen).
    #[arg(long, value_name = "IP:PORT")]
    pub admin_listen: Option<String>,
    /// What is logged (log.filter).
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// Any other key, such as --set sequencer.start=never. May be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_set)]
    pub set: Vec<(String, String)>,
}

impl NodeArgs {
    /// The layers: these flags over the environment of this process over the file.
    #[must_use]
    pub fn sources(&self) -> Sources {
        let named = [
            ("data_dir", "--data-dir", &self.data_dir),
            ("l1.rpc_url", "--l1-rpc-url", &self.l1_rpc_url),
            ("l1.addresses_file", "--addresses-file", &self.addresses_file),
            ("rpc.listen", "--rpc-listen", &self.rpc_listen),
            ("admin.listen", "--admin-listen", &self.admin_listen),
            ("log.filter", "--log", &self.log),
        ];
        let named = named.into_iter().filter_map(|(key, flag, value)| Some(Setting::new(key, value.as_ref()?, flag)));
        let set = self.set.iter().map(|(key, value)| Setting::new(key, value, "--set"));
        let flags = set.chain(named).collect();
        Sources { file: self.config.clone(), flags, ..Sources::from_environment() }
    }
}

pub(super) fn parse_set(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as key=value, such as sequencer.start=never")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}
