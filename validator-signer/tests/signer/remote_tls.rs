//! Who is let in to a remote signer, and which signer is believed.

use fermata_validator_signer::{RemoteError, RemoteKeys, RemoteSettings, SignerError};

use crate::fake_signer::{Acquainted, Authority, FakeSigner, write};
use crate::support::key;

async fn assert_strangers(settings: &RemoteSettings, signer: &FakeSigner) {
    let refused = RemoteKeys::connect(settings).await.unwrap_err();
    assert!(matches!(refused, RemoteError::Unreachable { .. }), "{refused:?}");
    assert!(refused.to_string().contains("certificates"));
    assert_eq!(signer.requests(), 0, "nothing is asked of a stranger");
}

#[tokio::test]
async fn both_sides_know_each_other_by_their_certificates() {
    let Acquainted { signer, settings, dir: _dir, .. } = Acquainted::new().await;
    RemoteKeys::connect(&settings).await.unwrap();
    assert_eq!(signer.requests(), 1);
}

#[tokio::test]
async fn a_signer_of_another_authority_or_name_or_time_is_not_believed() {
    let Acquainted { settings, authority, dir: _dir, .. } = Acquainted::new().await;
    let certificates = [
        Authority::new().issue("127.0.0.1", 4000),
        authority.issue("10.0.0.1", 4000),
        authority.issue("127.0.0.1", 2020),
    ];
    for certificate in certificates {
        let signer = FakeSigner::tls(&certificate, &authority).await;
        let settings = RemoteSettings { url: signer.url.parse().unwrap(), ..settings.clone() };
        assert_strangers(&settings, &signer).await;
    }
}

#[tokio::test]
async fn an_authority_of_our_own_goes_instead_of_those_the_machine_trusts_and_not_beside_them() {
    let Acquainted { signer, settings, dir: _dir, .. } = Acquainted::new().await;
    assert_strangers(&RemoteSettings { ca_file: None, ..settings }, &signer).await;
}

#[tokio::test]
async fn a_client_without_a_certificate_or_with_one_of_another_authority_is_not_let_in() {
    let Acquainted { signer, settings, authority, dir: _dir, .. } = Acquainted::new().await;
    assert_strangers(&RemoteSettings { client_certificate: None, ..settings.clone() }, &signer).await;
    let dir = tempfile::tempdir().unwrap();
    for issued in [Authority::new().issue("validator", 4000), authority.issue("validator", 2020)] {
        let client_certificate = Some(issued.write(dir.path()));
        assert_strangers(&RemoteSettings { client_certificate, ..settings.clone() }, &signer).await;
    }
}

#[tokio::test]
async fn files_that_hold_no_certificate_or_key_are_named() {
    let Acquainted { settings, dir, authority, .. } = Acquainted::new().await;
    let good = settings.client_certificate.clone().unwrap();
    let empty = write(dir.path(), "empty.pem", "");
    let spoilt = write(dir.path(), "spoilt.pem", "-----BEGIN PRIVATE KEY-----\nc2VzYW1l\n-----END PRIVATE KEY-----\n");
    let missing = dir.path().join("missing.pem");

    for path in [&empty, &spoilt] {
        let refused = RemoteKeys::connect(&RemoteSettings { ca_file: Some(path.clone()), ..settings.clone() }).await;
        assert!(matches!(refused, Err(RemoteError::BadPem { path: named, .. }) if named == *path));
    }
    let refused = RemoteKeys::connect(&RemoteSettings { ca_file: Some(missing.clone()), ..settings.clone() }).await;
    assert!(matches!(refused, Err(RemoteError::Unreadable { path, .. }) if path == missing));

    let mut bad = good.clone();
    bad.certificate.clone_from(&empty);
    let refused = RemoteKeys::connect(&RemoteSettings { client_certificate: Some(bad), ..settings.clone() }).await;
    assert!(matches!(refused, Err(RemoteError::BadPem { path, what: "certificate" }) if path == empty));
    for key in [&empty, &spoilt] {
        let mut bad = good.clone();
        bad.key.clone_from(key);
        let refused = RemoteKeys::connect(&RemoteSettings { client_certificate: Some(bad), ..settings.clone() }).await;
        let refused = SignerError::from(refused.unwrap_err());
        assert!(!format!("{refused} {refused:?}").contains("c2VzYW1l"));
        let named = matches!(&refused, SignerError::Remote(RemoteError::BadPem { path, .. }) if path == key);
        let unusable = matches!(&refused, SignerError::Remote(RemoteError::BadTls { .. }));
        assert!(named || unusable && *key == spoilt, "{refused:?}");
    }

    let other = tempfile::tempdir().unwrap();
    let mut unlike = good;
    unlike.key = authority.issue("validator", 4000).write(other.path()).key;
    let refused = RemoteKeys::connect(&RemoteSettings { client_certificate: Some(unlike), ..settings }).await;
    assert!(matches!(refused, Err(RemoteError::BadTls { .. })), "{refused:?}");
}

#[tokio::test]
async fn what_a_remote_key_shows_is_no_credential() {
    let Acquainted { signer: _signer, settings, dir: _dir, .. } = Acquainted::new().await;
    let url = format!("{}/token/sesame", settings.url);
    let settings = RemoteSettings { url: url.parse().unwrap(), ..settings };
    let keys = RemoteKeys::connect(&settings).await.unwrap();
    let shown = format!("{keys:?} {settings:?}");
    assert!(shown.contains(&format!("{:?}", key(0).address())), "{shown}");
    assert!(!shown.contains("sesame") && !shown.contains("PRIVATE"), "{shown}");
}
