//! A port that leads to an anvil for as long as somebody has it.
//!
//! Who was told of the port reaches the anvil through it alone. So when the door is closed nobody who still holds the
//! address can speak to the anvil any more, and it may serve somebody else; when another process takes the anvil's
//! place, the port stays; and while the door is shut, several cheats in a row are one step for everybody outside.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fermata_primitives::{Clock, SystemClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a door that is being shut waits for answers that are under way.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// Until the next connection is tried to be taken after one could not be.
const AFTER_A_REFUSAL: Duration = Duration::from_millis(50);
/// Bytes carried at once: half a blob.
const CHUNK: usize = 64 * 1024;

/// A port that leads to an anvil; dropped, it is closed, and so is every connection through it.
#[derive(Debug)]
pub(crate) struct Door {
    address: SocketAddr,
    way: Arc<Way>,
}

/// What the connections through a door share.
#[derive(Debug)]
struct Way {
    target: Mutex<SocketAddr>,
    traffic: watch::Sender<Traffic>,
    /// Ends the connections there are; another takes its place when the door leads elsewhere.
    connections: Mutex<CancellationToken>,
    closed: CancellationToken,
    tasks: TaskTracker,
}

/// Who passes through a door.
#[derive(Clone, Copy, Debug, Default)]
struct Traffic {
    /// How often it is shut.
    shut: usize,
    /// Connections whose request is not answered yet.
    asking: usize,
}

/// While this lives, no request passes.
#[derive(Debug)]
#[must_use = "the door opens when this is dropped"]
pub(crate) struct Shut {
    way: Arc<Way>,
}

impl Drop for Shut {
    fn drop(&mut self) {
        self.way.traffic.send_modify(|traffic| traffic.shut -= 1);
    }
}

/// To shut a door without having it.
#[derive(Clone, Debug)]
pub(crate) struct DoorHandle {
    way: Arc<Way>,
}

impl DoorHandle {
    /// Lets no further request pass. Those under way are answered or not.
    pub(crate) fn bar(&self) -> Shut {
        self.way.traffic.send_modify(|traffic| traffic.shut += 1);
        Shut { way: self.way.clone() }
    }

    /// Lets no further request pass, and waits until those under way are answered; for two seconds at most, since one may
    /// wait for what the caller is about to do.
    pub(crate) async fn shut(&self) -> Shut {
        let shut = self.bar();
        let mut traffic = self.way.traffic.subscribe();
        tokio::select! {
            // An error means that the door is gone, and all traffic with it.
            _ = traffic.wait_for(|traffic| traffic.asking == 0) => {}
            () = SystemClock.sleep(ANSWERS_WITHIN) => tracing::debug!("a request outlasts the shutting of its door"),
        }
        shut
    }
}

impl Door {
    /// Opens a port, on the runtime this is called in, that leads to `target`.
    pub(crate) async fn open(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let closed = CancellationToken::new();
        let way = Arc::new(Way {
            target: Mutex::new(target),
            traffic: watch::Sender::default(),
            connections: Mutex::new(closed.child_token()),
            closed: closed.clone(),
            tasks: TaskTracker::new(),
        });
        way.tasks.spawn(closed.run_until_cancelled_owned(way.clone().welcome(listener)));
        Ok(Self { address, way })
    }

    /// Where it is.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// To shut it from elsewhere.
    pub(crate) fn handle(&self) -> DoorHandle {
        DoorHandle { way: self.way.clone() }
    }

    /// From now on leads to `target`. Connections there were are closed.
    pub(crate) fn lead_to(&self, target: SocketAddr) {
        *self.way.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
        self.way.end_connections();
    }

    /// Lets nobody in any more, waits for answers under way, and ends every connection.
    pub(crate) async fn close(self) {
        let shut = self.handle().shut().await;
        self.way.end();
        self.way.tasks.close();
        self.way.tasks.wait().await;
        drop(shut);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.way.end();
    }
}

impl Way {
    fn end(&self) {
        self.closed.cancel();
        self.end_connections();
    }

    fn end_connections(&self) {
        // One who is let in while the door closes gets a token too: it is cancelled as well then.
        let next = self.closed.child_token();
        std::mem::replace(&mut *self.connections.lock().unwrap_or_else(PoisonError::into_inner), next).cancel();
    }

    fn target(&self) -> SocketAddr {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn welcome(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok((client, _)) = listener.accept().await else {
                // The process has no file left for it; the next one may find one.
                SystemClock.sleep(AFTER_A_REFUSAL).await;
                continue;
            };
            let end = self.connections.lock().unwrap_or_else(PoisonError::into_inner).clone();
            // One who cannot get through is told by the end of the connection, as by an anvil that is not there.
            self.tasks.spawn(end.run_until_cancelled_owned(self.clone().carry(client)));
        }
    }

    async fn carry(self: Arc<Self>, client: TcpStream) -> io::Result<()> {
        let anvil = TcpStream::connect(self.target()).await?;
        for stream in [&client, &anvil] {
            stream.set_nodelay(true)?;
        }
        let (from_client, to_client) = client.into_split();
        let (from_anvil, to_anvil) = anvil.into_split();
        let passage = Passage { asking: Mutex::new(false), way: self };
        tokio::select! {
            done = passage.carry(Carried::Questions, from_client, to_anvil) => done,
            done = passage.carry(Carried::Answers, from_anvil, to_client) => done,
        }
    }
}

/// One connection through a door. A request is over when the first of its answer comes: anvil has done then what was asked.
struct Passage {
    asking: Mutex<bool>,
    way: Arc<Way>,
}

#[derive(Clone, Copy)]
enum Carried {
    Questions,
    Answers,
}

impl Passage {
    async fn carry(&self, what: Carried, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
        let mut bytes = vec![0; CHUNK];
        loop {
            let read = from.read(&mut bytes).await?;
            if read == 0 {
                return Ok(());
            }
            match what {
                Carried::Questions => self.enter().await,
                Carried::Answers => self.answered(),
            }
            to.write_all(&bytes[..read]).await?;
        }
    }

    /// Waits until the door is open, where this is the beginning of a request; the rest of one always passes.
    async fn enter(&self) {
        let mut traffic = self.way.traffic.subscribe();
        while !*self.asking.lock().unwrap_or_else(PoisonError::into_inner) {
            let entered = self.way.traffic.send_if_modified(|traffic| {
                let open = traffic.shut == 0;
                traffic.asking += usize::from(open);
                open
            });
            if entered {
                *self.asking.lock().unwrap_or_else(PoisonError::into_inner) = true;
            } else if traffic.wait_for(|traffic| traffic.shut == 0).await.is_err() {
                return;
            }
        }
    }

    fn answered(&self) {
        if std::mem::take(&mut *self.asking.lock().unwrap_or_else(PoisonError::into_inner)) {
            self.way.traffic.send_modify(|traffic| traffic.asking -= 1);
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.answered();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One who takes every connection and never says a word.
    async fn silent() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        (listener, address)
    }

    #[tokio::test]
    async fn who_is_let_in_while_the_door_closes_does_not_hold_it_open() {
        let (_listener, target) = silent().await;
        let door = Door::open(target).await.expect("a door");
        door.way.end();
        // What `welcome`, polled once more, would give a client.
        let late = door.way.connections.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert!(late.is_cancelled(), "nobody would end it any more, and the door would wait for it");
        tokio::time::timeout(Duration::from_secs(10), door.close()).await.expect("the door closes");
    }

    #[tokio::test]
    async fn a_door_that_leads_elsewhere_lets_others_in() {
        let (_listener, target) = silent().await;
        let door = Door::open(target).await.expect("a door");
        let before = door.way.connections.lock().unwrap_or_else(PoisonError::into_inner).clone();
        door.lead_to(target);
        let after = door.way.connections.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert!(before.is_cancelled() && !after.is_cancelled());
    }
}
