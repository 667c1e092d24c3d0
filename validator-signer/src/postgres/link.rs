//! The way to the store: connected when it is needed, and each time checked to be the same store, no younger than it was.

use alloy::primitives::FixedBytes;
use fermata_primitives::Slot;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use super::anchor::{Anchor, Memory, Sighting};
use super::judge::{Marks, Room};
use super::layout::{Misfit, check_store};
use super::options::{DatabaseUrl, PostgresOptions};
use super::session::{Connector, ServerError, Session};
use super::statements::Statements;
use crate::{Domain, SignerError};

/// Why there is no way to the store.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// Ask again: see [`ServerError::Passing`].
    #[error("{0}")]
    Passing(String),
    /// Ask an operator.
    #[error(transparent)]
    Lasting(SignerError),
}

/// A connector, the last session, and what is remembered of the store.
pub(super) struct Link {
    /// The server, the database and the schema, for messages.
    pub(super) name: String,
    pub(super) memory: Memory,
    pub(super) marks: Marks,
    connector: Connector,
    schema: String,
    domain: Domain,
    session: Option<Session>,
}

impl Link {
    /// # Errors
    /// [`SignerError::BadServer`], [`SignerError::Io`], [`SignerError::Damaged`].
    pub(super) fn new(url: &DatabaseUrl, domain: Domain, options: &PostgresOptions) -> Result<Self, SignerError> {
        let name = store_name(url, options);
        let memory = Memory::load(options.anchor.clone())?;
        let connector = Connector::new(url, options).map_err(|what| SignerError::BadServer { server: name.clone(), what })?;
        let (schema, marks) = (options.schema.clone(), Marks::default());
        Ok(Self { name, memory, marks, connector, schema, domain, session: None })
    }

    /// The open session, or a new one.
    ///
    /// # Errors
    /// [`Trouble`]; there is no session then.
    pub(super) async fn session(&mut self) -> Result<(&Session, &mut Marks, &mut Memory), Trouble> {
        let usable = self.session.take().filter(|session| !session.client.is_closed());
        let session = match usable {
            Some(session) => session,
            None => self.establish().await?,
        };
        Ok((self.session.insert(session), &mut self.marks, &mut self.memory))
    }

    /// Connects, and takes the server for granted once it is the one it was.
    async fn establish(&mut self) -> Result<Session, Trouble> {
        let (client, server) = self.connect().await?;
        let store_id = self.identify(&client).await?;
        self.memory
            .note(Anchor { store_id, server })
            .map_err(|what| Trouble::Lasting(SignerError::Stale { server: self.name.clone(), what }))?;
        let statements = Statements::prepare(&client).await.map_err(|error| self.trouble(error.into()))?;
        let session = Session { client, statements };
        self.marks = load_marks(&session).await.map_err(|error| self.trouble(error))?;
        Ok(session)
    }

    /// # Errors
    /// [`Trouble`].
    pub(super) async fn connect(&self) -> Result<(Client, Sighting), Trouble> {
        self.connector.connect().await.map_err(|error| self.trouble(error))
    }

    /// Which store it is.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(super) async fn identify(&self, client: &Client) -> Result<FixedBytes<16>, Trouble> {
        check_store(client, &self.schema, self.domain).await.map_err(|misfit| self.misfit(misfit))
    }

    /// The next use connects anew. Whatever was under way on the old connection may or may not happen.
    pub(super) fn drop_session(&mut self) {
        self.session = None;
    }

    /// Ends the connection and waits until it has ended.
    pub(super) async fn close(&mut self) {
        self.drop_session();
        self.connector.close().await;
    }

    pub(super) fn trouble(&self, error: ServerError) -> Trouble {
        match error {
            ServerError::Passing(reason) => Trouble::Passing(reason),
            ServerError::Lasting(what) => Trouble::Lasting(SignerError::BadServer { server: self.name.clone(), what }),
        }
    }

    pub(super) fn misfit(&self, misfit: Misfit) -> Trouble {
        let path = self.name.clone().into();
        let known = super::statements::SCHEMA_VERSION.unsigned_abs();
        Trouble::Lasting(match misfit {
            Misfit::Server(error) => return self.trouble(error),
            Misfit::Absent => SignerError::NotInitialised { path },
            Misfit::Present => SignerError::AlreadyInitialised { path },
            Misfit::Version(found) if found > known => SignerError::NewerSchema { path, found, known },
            Misfit::Version(found) => SignerError::OlderSchema { path, found, known },
            Misfit::OtherDomain(found) => SignerError::OtherDomain { path, found, wanted: self.domain },
            Misfit::Damaged(what) => SignerError::Damaged { path, what },
        })
    }
}

fn store_name(url: &DatabaseUrl, options: &PostgresOptions) -> String {
    format!("{url} (schema {})", options.schema)
}

/// All marks, as of one moment.
///
/// # Errors
/// [`ServerError`].
pub(super) async fn load_marks(session: &Session) -> Result<Marks, ServerError> {
    let nothing: [&(dyn ToSql + Sync); 0] = [];
    let rows = session.client.query(&session.statements.marks, &nothing).await?;
    let mut marks = Marks::default();
    for row in rows {
        marks.version = row.try_get(0)?;
        marks.floor = row.try_get::<_, Option<&[u8]>>(1)?.map(slot).transpose()?;
        if let Some(room) = row.try_get::<_, Option<&[u8]>>(2)? {
            let room = Room::try_from(room).map_err(|_| ServerError::Lasting("a mark has a key of no room".to_owned()))?;
            marks.low.insert(room, slot(row.try_get(3)?)?);
        }
    }
    Ok(marks)
}

fn slot(bytes: &[u8]) -> Result<Slot, ServerError> {
    let bytes = bytes.try_into().map_err(|_| ServerError::Lasting("a mark has a wrong length".to_owned()))?;
    Ok(Slot(u64::from_be_bytes(bytes)))
}
