//! Child processes of this test binary, and what they are started for.

use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fermata_validator_signer::{
    Interchange, NotSafe, PostgresOptions, PostgresProtection, Protection, Safe, Scan, Sentinel, SignerError,
    SlashingProtection, StoreOptions, ValidatorSigner, answer_scan,
};

use crate::postgres::server::running::url;
use crate::support::{DOMAIN, Manner, RecordingKeys, attestation, digest, open, small};

const ROLE: &str = "FERMATA_TEST_ROLE";
const STORE: &str = "FERMATA_TEST_STORE";
/// The slot a child begins at.
pub(crate) const FROM: &str = "FERMATA_TEST_FROM";
/// The digest a child would like to sign, as a byte.
pub(crate) const DIGEST: &str = "FERMATA_TEST_DIGEST";

/// The port of the server that a child's shared store lies on; its schema is the path of the store.
pub(crate) const PORT: &str = "FERMATA_TEST_PORT";
/// The name of a child among the nodes that share a store.
pub(crate) const NODE: &str = "FERMATA_TEST_NODE";

/// What a child process is started for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// Sign one attestation, of digest 1 in slot 1.
    SignOnce,
    /// Sign attestations of validators 0 to 7 in slot after slot, of its own digest where none is on record; say each digest
    /// before its key is asked, and each slot that is signed.
    SignForEver,
    /// The same over a shared store.
    SignForEverShared,
    /// Sign one attestation over a shared store, of digest 1 in slot 1, with a key that is asked and never answers.
    SignSharedSilently,
    /// Pin attestations slot after slot and say each slot, with an anchor beside the store.
    PinAnchored,
    /// Hold the store until killed.
    Hold,
    /// Ask for a duty, and thrice more; open the store again, and ask once more.
    GoOnAfterFailures,
    /// Fill the disk the store is on, and go on once there is room.
    FillTheDisk,
    /// The same, with payloads as large as may be.
    FillTheDiskWithPayloads,
    /// Use a store whose file system was made read-only.
    ReadOnly,
    /// Import the file beside the store, and say so, or what to do about the failure.
    Import,
}

impl Role {
    const ALL: [Self; 11] = [
        Self::SignOnce,
        Self::SignForEver,
        Self::SignForEverShared,
        Self::SignSharedSilently,
        Self::PinAnchored,
        Self::Hold,
        Self::GoOnAfterFailures,
        Self::FillTheDisk,
        Self::FillTheDiskWithPayloads,
        Self::ReadOnly,
        Self::Import,
    ];
}

/// A child process of this test binary, ended with its owner.
pub(crate) struct Started {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Started {
    pub(crate) fn new(role: Role, store: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(body("the_body_of_a_child")).stderr(Stdio::null());
        Self::begin(command, role, store, environment)
    }

    /// A child that has a file system of `mib` mebibytes of its own mounted at `mount`, whose store is in it. The mount is
    /// seen by it alone and ends with it.
    pub(crate) fn on_a_small_disk(role: Role, mount: &Path, mib: u32) -> Self {
        let mut command = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        let script = format!("mount -t tmpfs -o size={mib}m none \"$0\" && exec \"$@\"");
        command.args(["--mount", "sh", "-c", &script]).arg(mount).arg(std::env::current_exe().unwrap());
        command.args(body("the_body_of_a_child"));
        Self::begin(command, role, &mount.join("signing"), &[])
    }

    fn begin(mut command: Command, role: Role, store: &Path, environment: &[(&str, &str)]) -> Self {
        command.env(ROLE, format!("{role:?}")).env(STORE, store).envs(environment.iter().copied());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next thing the child said to us; the test harness says things too.
    pub(crate) fn said(&mut self) -> Option<String> {
        self.lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("child: ").map(|(_, said)| said.to_owned()))
    }

    pub(crate) fn kill(&mut self) -> ExitStatus {
        self.child.kill().unwrap();
        self.wait()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The reader of a store as a child process of this test binary.
pub(crate) fn child_scan() -> Scan {
    let args = body("the_body_of_a_scan").map(Into::into).to_vec();
    Scan::Child { program: std::env::current_exe().unwrap(), args }
}

/// Options whose anchor lies beside the store.
pub(crate) fn anchored(store: &Path) -> StoreOptions {
    StoreOptions { sentinel: Sentinel { anchor: Some(anchor_of(store)), ..Sentinel::default() }, ..small() }
}

/// The file that a child imports into `store`.
pub(crate) fn file_for(store: &Path) -> PathBuf {
    store.with_extension("json")
}

pub(crate) fn anchor_of(store: &Path) -> PathBuf {
    store.with_extension("anchor")
}

fn body(of: &str) -> [String; 4] {
    [format!("children::{of}"), "--exact".to_owned(), "--ignored".to_owned(), "--nocapture".to_owned()]
}

#[test]
#[ignore = "no test: the body of the process that reads a store before it is opened"]
fn the_body_of_a_scan() {
    answer_scan().unwrap();
}

#[tokio::test]
#[ignore = "no test: the body of the child processes that the tests start"]
async fn the_body_of_a_child() {
    let role = std::env::var(ROLE).expect("started by a test");
    let role = Role::ALL.into_iter().find(|known| format!("{known:?}") == role).unwrap();
    let orders: Vec<_> = fermata_primitives::orders_from_environment().into_iter().collect();
    fermata_primitives::arm(&orders).unwrap();
    let store = PathBuf::from(std::env::var(STORE).unwrap());
    match role {
        Role::SignOnce => sign_once(&store).await,
        Role::SignForEver => sign_for_ever(Arc::new(say_open(&store))).await,
        Role::SignForEverShared => sign_for_ever(open_shared(&store).await).await,
        Role::SignSharedSilently => sign_shared_silently(&store).await,
        Role::PinAnchored => pin_anchored(&store).await,
        Role::Hold => {
            let _held = say_open(&store);
            std::future::pending::<()>().await;
        }
        Role::GoOnAfterFailures => go_on_after_failures(&store).await,
        Role::FillTheDisk => crate::full_disk::fill_the_disk(&store).await,
        Role::FillTheDiskWithPayloads => crate::full_disk::fill_the_disk_with_payloads(&store).await,
        Role::ReadOnly => crate::full_disk::open_read_only(&store),
        Role::Import => import(&store).await,
    }
}

fn say_open(store: &Path) -> SlashingProtection {
    let store = open(store).unwrap();
    println!("child: open");
    store
}

async fn sign_once(store: &Path) {
    let signer = ValidatorSigner::owning(Arc::new(say_open(store)), RecordingKeys::new());
    signer.start().unwrap();
    signer.sign(attestation(0, 1), digest(1)).await.unwrap();
    println!("child: signed");
    signer.close().await;
}

async fn open_shared(schema: &Path) -> Arc<dyn Protection> {
    let options = PostgresOptions {
        schema: schema.to_str().unwrap().to_owned(),
        takeover_after: Duration::from_millis(100),
        patience: Duration::from_secs(30),
        ..PostgresOptions::new(std::env::var(NODE).unwrap())
    };
    let port = u16::try_from(number(PORT)).unwrap();
    let store = PostgresProtection::open(&url(port), DOMAIN, options).await.unwrap();
    println!("child: open");
    Arc::new(store)
}

async fn sign_shared_silently(schema: &Path) {
    let keys = RecordingKeys::telling();
    keys.behave(0, Manner::Silent);
    let signer = ValidatorSigner::owning(open_shared(schema).await, keys);
    signer.start().unwrap();
    let answer = signer.sign(attestation(0, 1), digest(1)).await;
    panic!("the key answered: {answer:?}");
}

fn number(name: &str) -> u64 {
    std::env::var(name).unwrap().parse().unwrap()
}

async fn sign_for_ever(store: Arc<dyn Protection>) {
    let ours = digest(u8::try_from(number(DIGEST)).unwrap());
    let keys = RecordingKeys::telling();
    let signer = ValidatorSigner::owning(store, keys);
    signer.start().unwrap();
    for slot in number(FROM).. {
        let mut wanted: Vec<_> = (0..8).map(|validator| (attestation(validator, slot), ours)).collect();
        loop {
            let answers = signer.sign_many(&wanted).await;
            let mut refused = false;
            for (answer, wanted) in answers.iter().zip(&mut wanted) {
                match answer {
                    Ok(_) => {}
                    Err(SignerError::NotSafe(NotSafe::Conflict { on_record, .. })) => {
                        wanted.1 = *on_record;
                        refused = true;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            if !refused {
                break;
            }
        }
        println!("child: signed {slot}");
    }
}

async fn pin_anchored(store: &Path) {
    let store = SlashingProtection::open(store, DOMAIN, anchored(store)).unwrap();
    println!("child: open");
    for slot in 1.. {
        assert!(matches!(store.reserve(attestation(0, slot), digest(1)).await, Ok(Safe::Granted(_))));
        println!("child: {slot}");
    }
}

async fn import(dir: &Path) {
    let store = say_open(dir);
    let file = Interchange::parse(&std::fs::read(file_for(dir)).unwrap()).unwrap();
    match store.import(&file, crate::interchange::IMPORT).await {
        Ok(_) => println!("child: imported"),
        Err(error) => println!("child: failed, {:?}", error.next_step()),
    }
    store.close().await;
}

async fn go_on_after_failures(dir: &Path) {
    let store = say_open(dir);
    for slot in 1..=4 {
        match store.reserve(attestation(0, slot), digest(1)).await {
            Ok(_) => println!("child: granted"),
            Err(error) => println!("child: failed, {:?}", error.next_step()),
        }
    }
    store.close().await;
    let store = say_open(dir);
    let _ = store.reserve(attestation(0, 5), digest(1)).await.unwrap();
    println!("child: granted");
    store.close().await;
}
