//! Who waits for an answer to leave: a command that ends the machine goes on when its own answer is with the kernel.

use crate::command::Commands;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The answers of one connection that were handed to it and are not flushed yet.
#[derive(Clone, Default)]
pub struct Departures(Arc<Mutex<Vec<(Commands, String)>>>);

impl Departures {
    /// The command `id` wants to hear when everything written so far has left.
    pub fn await_flush(&self, commands: Commands, id: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((commands, id));
    }

    /// The stream, watched: each flush of it tells those who wait; so does its end, since then nothing more will leave.
    pub fn watch<S>(&self, stream: S) -> Watched<S> {
        Watched { stream, departures: self.clone() }
    }

    fn tell(&self) {
        let waiting = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for (commands, id) in waiting {
            commands.answered(&id);
        }
    }
}

/// A stream whose flushes are noticed. Below TLS nothing is buffered (TCP_NODELAY): a flushed answer is on its way.
pub struct Watched<S> {
    stream: S,
    departures: Departures,
}

impl<S> Drop for Watched<S> {
    fn drop(&mut self) {
        self.departures.tell();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.departures.tell();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
