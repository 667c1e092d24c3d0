//! One connection to the server, made as it must be and checked to be so.

use std::sync::{Arc, LazyLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::anchor::ServerState;
use super::options::{DatabaseUrl, PostgresOptions};
use super::statements::{DURABILITY, IDENTITY, SETTINGS, Statements};

/// Why the server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServerError {
    /// The connection broke, or the server could not go on just now. What was asked may have happened.
    #[error("{0}")]
    Passing(String),
    /// The server answers, and it will answer the same again: it is set up wrongly, or its tables are not ours.
    #[error("{0}")]
    Lasting(String),
}

impl From<tokio_postgres::Error> for ServerError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            return Self::Passing(chain(&error));
        };
        let class = said.code().code().get(..2).unwrap_or_default();
        let text = said.to_string();
        // 08 connections, 25 states of a transaction, 40 rollbacks, 53 resources, 55 locks, 57 an operator or a time limit,
        // 58 the system around it.
        match class {
            "08" | "25" | "40" | "53" | "55" | "57" | "58" => Self::Passing(text),
            _ => Self::Lasting(text),
        }
    }
}

/// The database holds what no store writes.
pub(super) fn damage(what: &str) -> ServerError {
    ServerError::Lasting(format!("it holds what was never written: {what}"))
}

/// The whole chain of causes in one line; the outermost alone says little ("error connecting to server").
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A connection of which all is verified.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) statements: Statements,
}

/// Whom the machine trusts, read once. A machine without certificates trusts nobody; a connection that needs one then says
/// so.
static OF_MACHINE: LazyLock<RootCertStore> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
});

/// What connections are made from.
#[derive(Clone)]
pub(super) struct Connector {
    url: DatabaseUrl,
    schema: String,
    node: String,
    tls: MakeRustlsConnect,
    /// Holds the tasks that read from the connections.
    tasks: TaskTracker,
}

impl Connector {
    /// # Errors
    /// What is wrong with the certificates.
    pub(super) fn new(url: &DatabaseUrl, options: &PostgresOptions) -> Result<Self, String> {
        let tls = MakeRustlsConnect::new(tls_config(options)?);
        let (schema, node) = (options.schema.clone(), options.node.clone());
        Ok(Self { url: url.clone(), schema, node, tls, tasks: TaskTracker::new() })
    }

    /// Waits until the reader of the last connection has ended; all clients are dropped before.
    pub(super) async fn close(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// A connection to the server that takes writes, with its settings made, and what the server says of itself. Not
    /// prepared: the tables may not be there yet.
    ///
    /// # Errors
    /// [`ServerError::Lasting`] when the server would not keep what it confirms.
    pub(super) async fn connect(&self) -> Result<(Client, ServerState), ServerError> {
        let (client, connection) = self.url.connection(&self.node).connect(self.tls.clone()).await.map_err(refused)?;
        self.tasks.spawn(async move {
            if let Err(error) = connection.await {
                debug!(error = chain(&error), "the connection to the signing database ended");
            }
        });
        client.batch_execute(SETTINGS).await?;
        client.batch_execute(&format!("SET search_path = {}", self.schema)).await?;
        let row = client.query_one(DURABILITY, &[]).await?;
        let (syncs, recovers): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
        if !syncs {
            return Err(ServerError::Lasting("it runs with fsync = off and forgets in a crash; set it on".to_owned()));
        }
        if recovers {
            return Err(ServerError::Passing("it is a standby and takes no writes".to_owned()));
        }
        let row = client.query_one(IDENTITY, &[]).await?;
        let sighting = ServerState { system: row.try_get(0)?, timeline: row.try_get(1)?, flushed: row.try_get(2)? };
        Ok((client, sighting))
    }
}

/// Passwords and databases that a server refuses do not come right by asking again; a server that starts up does.
fn refused(error: tokio_postgres::Error) -> ServerError {
    let wrong =
        [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION, SqlState::INVALID_CATALOG_NAME];
    match error.code() {
        Some(code) if wrong.contains(code) => ServerError::Lasting(chain(&error)),
        Some(_) | None => ServerError::from(error),
    }
}

fn tls_config(options: &PostgresOptions) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(trusted(options)?).with_no_client_auth())
}

fn trusted(options: &PostgresOptions) -> Result<RootCertStore, String> {
    let Some(file) = &options.ca_file else { return Ok(OF_MACHINE.clone()) };
    let mut roots = RootCertStore::empty();
    let unreadable = |error: &dyn std::fmt::Display| format!("{} holds no certificates: {error}", file.display());
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| unreadable(&error))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unreadable(&error))?;
        roots.add(certificate).map_err(|error| unreadable(&error))?;
    }
    if roots.is_empty() { Err(unreadable(&"it has none")) } else { Ok(roots) }
}
