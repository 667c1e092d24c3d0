//! The port: open, closed, or open for those who are there.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::http;
use super::socket::{ResetOrder, Socket};
use super::way::Way;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;

/// What becomes of who connects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Door {
    Open,
    /// Nobody listens, and connections there were have ended.
    Refusing,
    /// Who connects is reset; connections there are go on.
    ResettingNewcomers,
}

/// Keeps the port as the rules want it.
#[derive(Debug)]
pub(super) struct Doorkeeper {
    pub(super) wanted: watch::Receiver<Door>,
    /// How the port is.
    pub(super) is: watch::Sender<Door>,
    pub(super) way: Arc<Way>,
    pub(super) tasks: TaskTracker,
    pub(super) ended: CancellationToken,
}

impl Doorkeeper {
    /// Until the proxy ends. An error is the port's, which somebody else has taken.
    pub(super) async fn keep(mut self, mut listener: TcpListener) -> Result<()> {
        let address = listener.local_addr()?;
        loop {
            let connections = self.ended.child_token();
            self.listen(&listener, &connections).await?;
            connections.cancel();
            drop(listener);
            // Bound and not listening: who connects is refused, and nobody else gets the port.
            let reserved = reserve(address)?;
            self.is.send_replace(Door::Refusing);
            self.wanted.wait_for(|door| *door != Door::Refusing).await?;
            listener = reserved.listen(BACKLOG)?;
        }
    }

    /// Lets in who connects, until nobody is to be let in.
    async fn listen(&mut self, listener: &TcpListener, connections: &CancellationToken) -> Result<()> {
        loop {
            let door = *self.wanted.borrow_and_update();
            if door == Door::Refusing {
                return Ok(());
            }
            self.is.send_replace(door);
            tokio::select! {
                biased;
                changed = self.wanted.changed() => changed?,
                accepted = listener.accept() => {
                    let (stream, reset) = (accepted?.0, ResetOrder::default());
                    let socket = Socket::new(stream, reset.clone());
                    if door == Door::ResettingNewcomers {
                        reset.give();
                        continue;
                    }
                    let connection = http::serve(socket, Arc::clone(&self.way), reset);
                    self.tasks.spawn(connections.clone().run_until_cancelled_owned(connection));
                }
            }
        }
    }
}

fn reserve(address: SocketAddr) -> Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Else connections that have just ended would keep the port from being bound.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
