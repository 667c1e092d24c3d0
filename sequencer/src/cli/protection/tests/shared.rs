//! The store that nodes share, made and accepted from the command line.

mod both;
mod moving;

use super::*;
use crate::postgres_server::Server;

/// A configuration that names the server's database.
fn config(dir: &Path, port: u16) -> PathBuf {
    let keys = "mnemonic = \"test test test test test test test test test test test junk\"\n";
    let protection = format!(
        "[validator.protection]\npostgres = \"postgres://fermata:hunter2@127.0.0.1:{port}/postgres\"\nnode = \"a\"\n"
    );
    let text = format!(
        "data_dir = \"data\"\n[l1]\nrpc_url = \"http://127.0.0.1:9\"\nchain_id = 7\nrollup_address = \"{ROLLUP}\"\n\
         blobs = \"anvil\"\n[validator]\n{keys}{protection}[publisher]\n{keys}[execution]\nchain_id = 7\n"
    );
    let file = dir.join("fermata.toml");
    std::fs::write(&file, text).expect("written");
    std::fs::create_dir_all(dir.join("data")).expect("made");
    file
}

/// What the store in the database says to a payload.
fn asked(file: &Path, slot: u64) -> Result<String, SignerError> {
    let config = NodeConfig::load(&crate::config::Sources { file: Some(file.to_owned()), ..Default::default() });
    let config = config.expect("valid");
    let shared = config.protection.shared.expect("it is configured");
    let options = shared.options(crate::data_dir::shared_anchor(&config.data_dir));
    let domain = Domain { l1_chain_id: 7, rollup: ROLLUP.parse().expect("an address") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = fermata_validator_signer::PostgresProtection::open(&shared.database, domain, options).await?;
        let duty = Duty { validator: Address::repeat_byte(1), slot: Slot(slot), kind: DutyKind::Attestation };
        let answer = fermata_validator_signer::Protection::reserve(&store, duty, B256::repeat_byte(1)).await;
        fermata_validator_signer::Protection::close(&store).await;
        Ok(format!("{:?}", answer?))
    })
}

#[test]
fn a_shared_store_is_made_once_and_no_message_tells_the_password() {
    let (dir, server) = (tempfile::tempdir().expect("a directory"), Server::start());
    let file = config(dir.path(), server.port());
    assert!(matches!(asked(&file, 1), Err(SignerError::NotInitialised { .. })));
    let (exit, told) = run(&["init-shared", "--config", text(&file)]);
    assert!(exit == 0 && told.contains("made the schema fermata_signer") && told.contains("on L1 chain 7"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
    assert!(asked(&file, 1).is_ok_and(|answer| answer.contains("Granted")));
    let (exit, told) = run(&["init-shared", "--config", text(&file), "--json"]);
    assert!(exit != 0 && !told.contains("hunter2"), "{told}");
    assert!(asked(&file, 1).is_ok_and(|answer| answer.contains("Resume")), "it is left as it is");
}

#[test]
fn a_database_that_was_replaced_is_refused_until_it_is_accepted_under_a_mark() {
    let (dir, server) = (tempfile::tempdir().expect("a directory"), Server::start());
    let file = config(dir.path(), server.port());
    assert_eq!(run(&["init-shared", "--config", text(&file)]).0, 0);
    assert!(asked(&file, 1).is_ok());

    // Somebody else's server comes to stand where the first one was.
    let other = Server::start();
    let file = config(dir.path(), other.port());
    let whose = tempfile::tempdir().expect("a directory");
    let elsewhere = config(whose.path(), other.port());
    assert_eq!(run(&["init-shared", "--config", text(&elsewhere)]).0, 0);
    let refused = asked(&file, 2);
    assert!(matches!(refused, Err(SignerError::StaleServer { .. })), "{refused:?}");
    let (exit, told) = run(&["accept-shared", "--config", text(&file), "--refuse-through", "90"]);
    assert!(exit == 0 && told.contains("every slot up to 90 is refused"), "{exit}: {told}");
    let low = asked(&file, 90);
    assert!(matches!(&low, Err(SignerError::NotSafe(_))), "{low:?}");
    assert!(asked(&file, 91).is_ok_and(|answer| answer.contains("Granted")));
}

#[test]
fn a_configuration_without_a_database_is_told_what_to_set() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = config(dir.path(), 9);
    let text_of = std::fs::read_to_string(&file).expect("it was written");
    let (before, _) = text_of.split_once("[validator.protection]").expect("it is there");
    let (_, after) = text_of.split_once("[publisher]").expect("it is there");
    std::fs::write(&file, format!("{before}[publisher]{after}")).expect("written");
    let (exit, told) = run(&["init-shared", "--config", text(&file)]);
    assert!(exit == 30 && told.contains("validator.protection.postgres"), "{exit}: {told}");
}
