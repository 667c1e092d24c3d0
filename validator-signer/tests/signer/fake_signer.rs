//! A remote signer in this process, over TLS or not, which behaves as it is told; and the authority that vouches for it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy::dyn_abi::TypedData;
use alloy::primitives::{Address, B256, Signature, eip191_hash_message, hex};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use fermata_validator_signer::{ClientCertificate, RemoteSettings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::support::key;

/// How the signer behaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Manner {
    Honest,
    /// Takes the request and says nothing.
    Hang,
    /// Signs with a key that is not the one asked for.
    Foreign,
    /// Ends the connection before it answers, so many times; then it is honest.
    CutBefore(usize),
    /// Ends the connection in the middle of its answer.
    CutWithin,
    /// Sends bytes without end.
    Endless,
    /// Answers with this status, these headers and this body.
    Says(u16, &'static str, String),
}

#[derive(Debug)]
struct State {
    keys: Vec<PrivateKeySigner>,
    manner: Manner,
    seen: Vec<Value>,
}

/// A signer that ends with the test.
#[derive(Debug)]
pub(crate) struct FakeSigner {
    pub(crate) url: String,
    /// A signature takes one of these and gives it back: a test that holds them all holds the signer.
    pub(crate) turn: Arc<Semaphore>,
    state: Arc<Mutex<State>>,
    _end: DropGuard,
}

impl FakeSigner {
    /// A signer with keys 0 and 1, without TLS.
    pub(crate) async fn plain() -> Self {
        Self::start(None).await
    }

    /// A signer with keys 0 and 1, which shows `certificate` and lets in whom `clients` vouches for.
    pub(crate) async fn tls(certificate: &Issued, clients: &Authority) -> Self {
        Self::start(Some(TlsAcceptor::from(Arc::new(tls_config(certificate, clients))))).await
    }

    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let keys = vec![key(0), key(1)];
        let state = Arc::new(Mutex::new(State { keys, manner: Manner::Honest, seen: Vec::new() }));
        let (end, turn) = (CancellationToken::new(), Arc::new(Semaphore::new(1)));
        let connections = TaskTracker::new();
        let served = Served { state: Arc::clone(&state), turn: Arc::clone(&turn) };
        let accepting = accept(listener, tls, served, connections.clone());
        let ended = end.clone();
        connections.spawn(async move { ended.run_until_cancelled(accepting).await });
        Self { url, turn, state, _end: end.drop_guard() }
    }

    pub(crate) fn behave(&self, manner: Manner) {
        self.state.lock().unwrap().manner = manner;
    }

    pub(crate) fn hold_keys(&self, keys: Vec<PrivateKeySigner>) {
        self.state.lock().unwrap().keys = keys;
    }

    /// The requests for signatures so far, in order.
    pub(crate) fn asked(&self) -> Vec<Value> {
        let state = self.state.lock().unwrap();
        state.seen.iter().filter(|request| request["method"] != "eth_accounts").cloned().collect()
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.state.lock().unwrap().seen.len()
    }

    pub(crate) fn settings(&self) -> RemoteSettings {
        RemoteSettings {
            url: self.url.parse().unwrap(),
            ca_file: None,
            client_certificate: None,
            timeout: Duration::from_secs(20),
            addresses: Vec::new(),
        }
    }
}

fn tls_config(certificate: &Issued, clients: &Authority) -> ServerConfig {
    let provider = Arc::new(default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(clients.issuer.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let key = PrivateKeyDer::try_from(certificate.key.serialize_der()).unwrap();
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.certificate.der().clone()], key)
        .unwrap()
}

#[derive(Clone)]
struct Served {
    state: Arc<Mutex<State>>,
    turn: Arc<Semaphore>,
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, served: Served, connections: TaskTracker) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (tls, served) = (tls.clone(), served.clone());
        // A client that goes away is no failure of the signer.
        connections.spawn(async move { connection(stream, tls, served).await.ok() });
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, served: Served) -> std::io::Result<()> {
    match tls {
        Some(tls) => served.answer(tls.accept(stream).await?).await,
        None => served.answer(stream).await,
    }
}

impl Served {
    /// One request a connection.
    async fn answer(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
        let request = read_request(&mut stream).await?;
        let manner = {
            let mut state = self.state.lock().unwrap();
            state.seen.push(request.clone());
            let manner = state.manner.clone();
            if let Manner::CutBefore(times) = &manner {
                state.manner = times.checked_sub(1).map_or(Manner::Honest, Manner::CutBefore);
            }
            manner
        };
        match manner {
            Manner::Honest | Manner::CutBefore(0) => respond(&mut stream, 200, "", &self.truth(&request).await).await,
            Manner::Foreign => respond(&mut stream, 200, "", &signed_by(&key(7), &request)).await,
            Manner::Says(status, headers, body) => respond(&mut stream, status, headers, &body).await,
            Manner::CutBefore(_) => Ok(()),
            Manner::CutWithin => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"jsonrpc\"").await?;
                stream.flush().await
            }
            Manner::Hang => std::future::pending().await,
            Manner::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
                loop {
                    stream.write_all(&[b"400\r\n".as_slice(), &[b'a'; 0x400], b"\r\n"].concat()).await?;
                }
            }
        }
    }

    async fn truth(&self, request: &Value) -> String {
        if request["method"] == "eth_accounts" {
            let state = self.state.lock().unwrap();
            let addresses: Vec<_> = state.keys.iter().map(PrivateKeySigner::address).collect();
            return json!({ "jsonrpc": "2.0", "id": request["id"], "result": addresses }).to_string();
        }
        let key = {
            let state = self.state.lock().unwrap();
            let asked: Address = serde_json::from_value(request["params"][0].clone()).unwrap();
            state.keys.iter().find(|key| key.address() == asked).cloned()
        };
        let _turn = self.turn.acquire().await.unwrap();
        let unknown = json!({ "code": -32000, "message": "No unlocked account matches the Sender" });
        key.map_or_else(
            || json!({ "jsonrpc": "2.0", "id": request["id"], "error": unknown }).to_string(),
            |key| signed_by(&key, request),
        )
    }
}

/// The answer of a signer that has `key` alone, and takes typed data as text alone.
fn signed_by(key: &PrivateKeySigner, request: &Value) -> String {
    let signed: &str = request["params"][1].as_str().unwrap_or_default();
    let hash = match request["method"].as_str() {
        Some("eth_sign") => eip191_hash_message(signed.parse::<B256>().unwrap()),
        Some("eth_signTypedData") => {
            let document: Value = serde_json::from_str(signed).unwrap();
            assert!(document["domain"]["chainId"].is_u64(), "{document}");
            serde_json::from_value::<TypedData>(document).unwrap().eip712_signing_hash().unwrap()
        }
        Some(_) | None => panic!("no signer is asked this: {request}"),
    };
    let signature: Signature = key.sign_hash_sync(&hash).unwrap();
    json!({ "jsonrpc": "2.0", "id": request["id"], "result": hex::encode_prefixed(signature.as_bytes()) }).to_string()
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Value> {
    let mut read = Vec::new();
    let head = loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut read).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let headers = String::from_utf8_lossy(&read[..head]).to_lowercase();
    let length = headers.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap();
    let length: usize = length.trim().parse().unwrap();
    while read.len() < head + length {
        if stream.read_buf(&mut read).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(serde_json::from_slice(&read[head..]).unwrap())
}

async fn respond(
    stream: &mut (impl AsyncWrite + Unpin),
    status: u16,
    headers: &str,
    body: &str,
) -> std::io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Said\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    stream.shutdown().await
}

/// Who vouches for certificates.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate, and the key that belongs to it.
pub(crate) struct Issued {
    pub(crate) certificate: rcgen::Certificate,
    pub(crate) key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    /// A certificate for `name`, which ends with the year `until`.
    pub(crate) fn issue(&self, name: &str, until: i32) -> Issued {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(until, 12, 31);
        let key = KeyPair::generate().unwrap();
        Issued { certificate: params.signed_by(&key, &self.issuer).unwrap(), key }
    }

    /// Writes the certificate into a directory.
    pub(crate) fn write(&self, dir: &Path) -> PathBuf {
        write(dir, "authority.pem", &self.issuer.pem())
    }
}

impl Issued {
    /// Writes certificate and key into a directory.
    pub(crate) fn write(&self, dir: &Path) -> ClientCertificate {
        ClientCertificate {
            certificate: write(dir, "certificate.pem", &self.certificate.pem()),
            key: write(dir, "key.pem", &self.key.serialize_pem()),
        }
    }
}

pub(crate) fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// A signer and a client that know each other, and the directory of their certificates.
pub(crate) struct Acquainted {
    pub(crate) signer: FakeSigner,
    pub(crate) settings: RemoteSettings,
    pub(crate) authority: Authority,
    pub(crate) dir: TempDir,
}

impl Acquainted {
    pub(crate) async fn new() -> Self {
        let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
        let signer = FakeSigner::tls(&authority.issue("127.0.0.1", 4000), &authority).await;
        let settings = RemoteSettings {
            ca_file: Some(authority.write(dir.path())),
            client_certificate: Some(authority.issue("validator", 4000).write(dir.path())),
            ..signer.settings()
        };
        Self { signer, settings, authority, dir }
    }
}
