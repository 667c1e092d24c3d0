//! Whether the schema in the database is a store, and which; and making one.

use alloy::primitives::{Address, FixedBytes};
use alloy::signers::k256::elliptic_curve::rand_core::{OsRng, RngCore as _};
use tokio_postgres::Client;

use super::anchor::ServerState;
use super::link::Fault;
use super::session::ServerError;
use super::statements::{FIRST_ROW, PRESENT, SCHEMA_VERSION, UNLIMITED, create};
use crate::Domain;

/// What stands in the way of opening a store, or of making one.
#[derive(Debug)]
pub(super) enum Misfit {
    Fault(Fault),
    Server(ServerError),
}

impl From<tokio_postgres::Error> for Misfit {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error.into())
    }
}

/// Makes the tables of an empty store for `domain`, all or nothing. An existing schema is left as it is, whatever it holds.
pub(super) async fn create_store(client: &mut Client, schema: &str, domain: Domain) -> Result<(), Misfit> {
    let transaction = client.transaction().await?;
    // Tables are made once; no duty waits for them.
    transaction.batch_execute(UNLIMITED).await?;
    let present: bool = transaction.query_one(PRESENT, &[&schema]).await?.try_get(0)?;
    if present {
        return Err(Misfit::Fault(Fault::Present));
    }
    transaction.batch_execute(&create(schema)).await?;
    let mut store_id = [0; 16];
    OsRng.fill_bytes(&mut store_id);
    transaction
        .execute(
            FIRST_ROW,
            &[&SCHEMA_VERSION, &store_id.as_slice(), &domain.l1_chain_id.to_string(), &domain.rollup.as_slice()],
        )
        .await?;
    Ok(transaction.commit().await?)
}

/// Checks that the schema is a store that this program reads, for `wanted`, and that it is on the server `on` which it was
/// accepted on, if that matters; gives its identity.
pub(super) async fn check_store(
    client: &Client,
    schema: &str,
    (wanted, on): (Domain, Option<&ServerState>),
) -> Result<FixedBytes<16>, Misfit> {
    let row = client.query_one(PRESENT, &[&schema]).await?;
    let (has_schema, has_store): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
    match (has_schema, has_store) {
        (false, _) => return Err(Misfit::Fault(Fault::Absent)),
        (true, false) => return Err(damaged("its table `store` is missing")),
        (true, true) => {}
    }
    // Alone, before all else: another version may have other columns.
    let Some(row) = client.query_opt("SELECT schema_version FROM store", &[]).await? else {
        return Err(damaged("its table `store` is empty"));
    };
    let found: i32 = row.try_get(0)?;
    if found != SCHEMA_VERSION {
        return Err(Misfit::Fault(Fault::Version(u32::try_from(found).unwrap_or_default())));
    }
    let columns = "SELECT store_id, l1_chain_id, rollup, system_identifier, timeline FROM store";
    let row = client.query_one(columns, &[]).await?;
    let (id, chain, rollup): (&[u8], &str, &[u8]) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let l1_chain_id = chain.parse().map_err(|_| damaged(&format!("its chain id is {chain:?}")))?;
    let rollup = Address::try_from(rollup).map_err(|_| damaged("its rollup is no address"))?;
    let found = Domain { l1_chain_id, rollup };
    if found != wanted {
        return Err(Misfit::Fault(Fault::OtherDomain { found, wanted }));
    }
    let accepted: (i64, i64) = (row.try_get(3)?, row.try_get(4)?);
    if let Some(on) = on.filter(|on| (on.system, on.timeline) != accepted) {
        let (system, timeline) = accepted;
        let (found, at) = (on.system, on.timeline);
        let what = format!("it is server {found} on timeline {at}, and the store is of {system} on {timeline}");
        return Err(Misfit::Fault(Fault::Stale(what)));
    }
    FixedBytes::try_from(id).map_err(|_| damaged("its id has a wrong length"))
}

fn damaged(what: &str) -> Misfit {
    Misfit::Fault(Fault::Damaged(what.to_owned()))
}
