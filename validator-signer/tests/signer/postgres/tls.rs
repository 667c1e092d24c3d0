//! A server that is known by its certificate.

use fermata_validator_signer::{DatabaseUrl, PostgresOptions, PostgresProtection, Protection as _, Safe, SignerError};

use super::server::{Server, SharedPlace};
use crate::fake_signer::{Authority, Issued};
use crate::support::{DOMAIN, attestation, digest};

/// A server with a certificate for `name`, and the way to it that takes nothing less than TLS.
fn known_as(authority: &Authority, name: &str) -> (Server, DatabaseUrl) {
    let Issued { certificate, key } = authority.issue(name, 4000);
    let server = Server::start_tls(&certificate.pem(), &key.serialize_pem());
    let url = format!("postgres://fermata@127.0.0.1:{}/postgres?sslmode=require", server.port());
    (server, url.parse().unwrap())
}

#[tokio::test]
async fn a_server_whose_certificate_is_vouched_for_is_spoken_to_in_tls_alone() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let (server, url) = known_as(&authority, "127.0.0.1");
    let place = SharedPlace::on(url.clone());
    let options = PostgresOptions { ca_file: Some(authority.write(dir.path())), ..place.options("a") };
    PostgresProtection::init(&url, DOMAIN, &options).await.unwrap();
    let store = PostgresProtection::open(&url, DOMAIN, options).await.unwrap();
    assert!(matches!(store.reserve(attestation(0, 1), digest(1)).await, Ok(Safe::Granted(_))));
    let unencrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                       WHERE NOT ssl AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    assert_eq!(server.sql(unencrypted), "0");
    store.close().await;
}

#[tokio::test]
async fn a_server_of_another_authority_or_name_and_one_without_tls_are_not_believed() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let ca_file = Some(authority.write(dir.path()));
    let (_stranger, of_stranger) = known_as(&Authority::new(), "127.0.0.1");
    let (_other, of_other) = known_as(&authority, "10.0.0.1");
    let plain = super::server::shared().port();
    let plain = format!("postgres://fermata@127.0.0.1:{plain}/postgres?sslmode=require").parse().unwrap();
    for url in [of_stranger, of_other, plain] {
        let place = SharedPlace::on(url);
        let options = PostgresOptions { ca_file: ca_file.clone(), ..place.options("a") };
        let refused = PostgresProtection::init(&place.url, DOMAIN, &options).await.unwrap_err();
        assert!(matches!(refused, SignerError::Unavailable { .. } | SignerError::BadServer { .. }), "{refused}");
    }
}
