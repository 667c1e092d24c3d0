//! Ten connections, as the baselines have.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio_postgres::{Client, NoTls};
use tokio_util::task::TaskTracker;

use super::server;

const CONNECTIONS: usize = 10;

/// Connections that callers take in turn, each with what was prepared on it.
pub(crate) struct Pool<T> {
    free: Mutex<Vec<T>>,
    places: Semaphore,
    /// Holds the tasks that read from the connections; each ends with its client.
    _tasks: TaskTracker,
}

impl<T> Pool<T> {
    pub(crate) async fn new(schema: &str, prepare: impl AsyncFn(Client) -> T) -> Self {
        let (mut free, tasks) = (Vec::new(), TaskTracker::new());
        for _ in 0..CONNECTIONS {
            free.push(prepare(connect(schema, &tasks).await).await);
        }
        Self { free: Mutex::new(free), places: Semaphore::new(CONNECTIONS), _tasks: tasks }
    }

    /// Runs `work` on the next connection that is free.
    pub(crate) async fn with<O>(&self, work: impl AsyncFnOnce(&mut T) -> O) -> O {
        let _place = self.places.acquire().await.expect("it is never closed");
        let taken = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = taken.expect("there are as many as places");
        let outcome = work(&mut connection).await;
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        outcome
    }
}

/// A connection whose statements find the tables of `schema` first.
pub(crate) async fn connect(schema: &str, tasks: &TaskTracker) -> Client {
    let port = server::shared().port();
    let config = format!("host=127.0.0.1 port={port} user=fermata dbname=postgres");
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await.expect("the server is up");
    tasks.spawn(connection);
    client.batch_execute(&format!("SET search_path = {schema}")).await.expect("the schema is there");
    client
}

/// A new schema with these tables.
pub(crate) fn fresh(tables: &str) -> String {
    let schema = server::SharedPlace::on(server::shared().url()).schema;
    server::shared().sql(&format!("CREATE SCHEMA {schema}; SET search_path = {schema}; {tables}; ANALYZE;"));
    schema
}
