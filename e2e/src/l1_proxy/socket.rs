//! A client's connection, which may end with a reset.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The order to end a connection with a reset, for whoever no longer holds the connection itself.
#[derive(Clone, Debug, Default)]
pub(super) struct ResetOrder(Arc<AtomicBool>);

impl ResetOrder {
    pub(super) fn give(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_given(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A connection. Dropped, it is reset where that was ordered, else it ends.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    reset: ResetOrder,
}

impl Socket {
    pub(super) const fn new(stream: TcpStream, reset: ResetOrder) -> Self {
        Self { stream, reset }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.reset.is_given() {
            // Where the option cannot be set, the connection is gone already.
            drop(self.stream.set_zero_linger());
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reset.is_given() {
            // A FIN now would come before the reset.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
