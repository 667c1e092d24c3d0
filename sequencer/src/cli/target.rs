//! Which node a command talks to.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::client::AdminClient;
use crate::catalogue::Reason;
use crate::data_dir::{AdminToken, find_endpoint, find_socket, find_token};

/// Which node to talk to: found from its data directory, or named.
#[derive(Args, Clone, Debug)]
pub struct Target {
    /// The node's data directory: its socket, or endpoint and token, are found in it.
    #[arg(long, env = "FERMATA_DATA_DIR", default_value = "fermata-data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// URL of the admin RPC, instead of what is found in the data directory.
    #[arg(long, env = "FERMATA_ENDPOINT", value_name = "URL")]
    pub endpoint: Option<String>,
    /// The admin token, instead of the one in the data directory. Better in the environment than in the shell's history.
    #[arg(long, env = "FERMATA_TOKEN", hide_env_values = true, value_name = "TOKEN", value_parser = parse_token)]
    pub token: Option<AdminToken>,
}

impl Target {
    /// A caller of the node: over its socket where there is one and nothing else was named.
    ///
    /// # Errors
    /// [`Failure`] where endpoint or token is neither given nor found.
    pub fn client(&self) -> Result<AdminClient, Failure> {
        if self.endpoint.is_none()
            && self.token.is_none()
            && let Some(socket) = find_socket(&self.data_dir)
        {
            return AdminClient::at_socket(&socket);
        }
        let endpoint = self.endpoint.clone().map_or_else(|| find_endpoint(&self.data_dir), Ok)?;
        let token = self.token.clone().map_or_else(|| find_token(&self.data_dir), Ok);
        let token = token.map_err(|error| Failure {
            hint: Some("or give it with --token, or FERMATA_TOKEN in the environment".to_owned()),
            ..Failure::new(Reason::Unauthorized, &error)
        })?;
        AdminClient::new(&endpoint, &token)
    }
}

#[expect(clippy::unnecessary_wraps, reason = "clap's value parsers may fail")]
fn parse_token(text: &str) -> Result<AdminToken, String> {
    Ok(AdminToken::new(text.trim()))
}
