//! PostgreSQL servers of the tests' own: real ones, each in a directory that vanishes, ended with their owner.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use fermata_validator_signer::DatabaseUrl;
use tempfile::TempDir;

/// The server refuses to run as root; then it runs as the user that owns nothing.
const NOBODY: u32 = 65_534;
const GENEROUS: Duration = Duration::from_secs(60);

/// Starts the server, waits until its owner goes, and ends it. All that it started ends with it, however the owner went.
const KEEPER: &str = r#"
    "$1" -D "$2" -p "$3" -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=50 \
        -c shared_buffers=16MB -c autovacuum_naptime=1s $4 >&2 &
    server=$!
    cat > /dev/null
    kill -INT $server 2> /dev/null
    wait $server
    [ "$5" = keep ] || rm -rf "$2"
"#;

/// A server that is up.
struct Running {
    keeper: Child,
    stdin: Option<ChildStdin>,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// A server with data of its own.
pub(crate) struct Server {
    _dir: TempDir,
    data: PathBuf,
    running: Option<Running>,
    /// The port stays over restarts.
    port: u16,
}

impl Server {
    /// A server with an empty database, up.
    pub(crate) fn start() -> Self {
        Self::start_with("", "keep")
    }

    /// The same with more settings on its command line.
    pub(crate) fn start_with(settings: &str, afterwards: &str) -> Self {
        let (dir, data) = data_dir();
        let made = unprivileged(&tool("initdb"))
            .arg("-D")
            .arg(&data)
            .args(["-U", "fermata", "-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8"])
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success(), "initdb: {made}");
        Self::over(dir, data, settings, afterwards)
    }

    /// The same, for clients who speak TLS to it as well: with this certificate and its key, as PEM.
    pub(crate) fn start_tls(certificate: &str, key: &str) -> Self {
        let mut server = Self::start();
        server.down();
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = server.data.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            give_away(&path);
        }
        server.up("-c ssl=on");
        server
    }

    fn over(dir: TempDir, data: PathBuf, settings: &str, afterwards: &str) -> Self {
        let mut server = Self { _dir: dir, data, running: None, port: 0 };
        // Somebody else may take the port that was free a moment ago.
        for _ in 0..20 {
            server.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if server.try_up(settings, afterwards) {
                return server;
            }
        }
        panic!("no port for a server");
    }

    /// Up again on the same port, with more settings on its command line.
    pub(crate) fn up(&mut self, settings: &str) {
        // What a killed server leaves in shared memory goes with the last of its processes.
        for _ in 0..200 {
            if self.try_up(settings, "keep") {
                return;
            }
            std::thread::yield_now();
        }
        panic!("the server does not come up again");
    }

    fn try_up(&mut self, settings: &str, afterwards: &str) -> bool {
        let mut command = unprivileged(Path::new("/bin/sh"));
        command.args(["-c", KEEPER, "keeper"]).arg(tool("postgres")).arg(&self.data).arg(self.port.to_string());
        let mut keeper = command
            .args([settings, afterwards])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (says, heard) = channel();
        let log = BufReader::new(keeper.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let _ = says.send(line);
            }
        });
        let stdin = keeper.stdin.take();
        let running = Running { keeper, stdin };
        if is_ready(&heard) {
            self.running = Some(running);
            return true;
        }
        false
    }

    /// Ends in order; what is open is cut.
    pub(crate) fn down(&mut self) {
        self.running = None;
    }

    /// Kills every process of the server at once.
    pub(crate) fn kill(&mut self) {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let all = std::iter::once(pid.as_str()).chain(children.split_whitespace());
        let killed =
            Command::new("/bin/sh").args(["-c", "kill -9 \"$@\" 2> /dev/null; true", "kill"]).args(all).status();
        assert!(killed.unwrap().success());
        self.running = None;
    }

    /// Stops every process of the server where it is, or lets them go on.
    pub(crate) fn freeze(&self, signal: &str) {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let all = std::iter::once(pid.as_str()).chain(children.split_whitespace());
        let sent = Command::new("/bin/sh").args(["-c", "kill \"$@\"", "kill", signal]).args(all).status();
        assert!(sent.unwrap().success());
    }

    fn pid(&self) -> String {
        let text = fs::read_to_string(self.data.join("postmaster.pid")).unwrap();
        text.lines().next().unwrap().to_owned()
    }

    /// A copy of the data of a server that is down: the backup that somebody restores.
    pub(crate) fn copy(&self) -> Server {
        assert!(self.running.is_none());
        let (dir, data) = data_dir();
        let copied = unprivileged(Path::new("/bin/cp")).arg("-a").arg(&self.data).arg(&data).status().unwrap();
        assert!(copied.success());
        Server { _dir: dir, data, running: None, port: self.port }
    }

    /// The copy becomes a standby that waits to be promoted: with the file, a start begins a new timeline.
    pub(crate) fn make_recoverable(&self) {
        let signal = self.data.join("recovery.signal");
        fs::write(&signal, "").unwrap();
        give_away(&signal);
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> DatabaseUrl {
        url(self.port)
    }

    /// Sends a statement by the server's own client, beside whatever a store does.
    pub(crate) fn sql(&self, statements: &str) -> String {
        sql(self.port, statements)
    }
}

fn sql(port: u16, statements: &str) -> String {
    let output = Command::new(tool("psql"))
        .args(["-h", "127.0.0.1", "-U", "fermata", "-d", "postgres", "-qAtX", "-v", "ON_ERROR_STOP=1", "-p"])
        .arg(port.to_string())
        .args(["-c", statements])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(crate) fn url(port: u16) -> DatabaseUrl {
    format!("postgres://fermata@127.0.0.1:{port}/postgres").parse().unwrap()
}

/// Whether the server came up; false when it ended before.
fn is_ready(heard: &Receiver<String>) -> bool {
    let mut said = Vec::new();
    loop {
        match heard.recv_timeout(GENEROUS) {
            Ok(line) if line.contains("ready to accept connections") => return true,
            // A client that is too early is told FATAL too.
            Ok(line)
                if line.contains("could not bind") || line.contains("lock file") || line.contains("pre-existing") =>
            {
                return false;
            }
            Ok(line) => said.push(line),
            Err(_) => panic!("the server says nothing more: {said:?}"),
        }
    }
}

fn data_dir() -> (TempDir, PathBuf) {
    let dir = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap();
    give_away(dir.path());
    let data = dir.path().join("data");
    (dir, data)
}

fn am_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn give_away(path: &Path) {
    if am_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

fn unprivileged(program: &Path) -> Command {
    if !am_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let nobody = NOBODY.to_string();
    command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups", "--"]).arg(program).current_dir("/");
    command
}

/// A program of the server: on the path, or where Debian puts it.
fn tool(name: &str) -> PathBuf {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&on_path).collect();
    if let Ok(versions) = fs::read_dir("/usr/lib/postgresql") {
        places.extend(versions.filter_map(Result::ok).map(|version| version.path().join("bin")));
    }
    let found = places.iter().map(|place| place.join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is missing; install PostgreSQL (Debian: apt-get install postgresql)"))
}
