//! The pipes of a running child, pumped by one thread until it ends or its time is up.

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use std::time::Instant;

/// Gets lines as they come.
pub type LineListener = Box<dyn FnMut(&[u8]) + Send>;

/// Longest line that a listener gets whole.
const MAX_LINE: usize = 4096;

/// One output being read.
struct Sink<R> {
    pipe: Option<R>,
    kept: Vec<u8>,
    limit: usize,
    dropped: bool,
    lines: Option<(LineListener, Vec<u8>)>,
}

impl<R> Sink<R> {
    fn new(pipe: Option<R>, limit: usize) -> Self {
        Sink { pipe, kept: vec![], limit, dropped: false, lines: None }
    }

    /// Hands on what ends with a line break; a line that is too long goes in parts.
    fn tell(&mut self, chunk: &[u8]) {
        let Some((listener, begun)) = &mut self.lines else { return };
        for &byte in chunk {
            if byte == b'\n' || begun.len() >= MAX_LINE {
                listener(begun);
                begun.clear();
            }
            if byte != b'\n' {
                begun.push(byte);
            }
        }
    }
}

impl<R: Read> Sink<R> {
    /// Takes what is there now: at most what the largest pipe holds, or a talker would keep us here past the deadline.
    fn drain(&mut self) -> io::Result<()> {
        let mut buffer = [0u8; 16 * 1024];
        for _ in 0..64 {
            let Some(pipe) = self.pipe.as_mut() else { break };
            match pipe.read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(read) => {
                    let chunk = buffer.get(..read).unwrap_or_default();
                    self.tell(buffer.get(..read).unwrap_or_default());
                    let room = self.limit.saturating_sub(self.kept.len());
                    self.dropped |= chunk.len() > room;
                    self.kept.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The child's ends: its process handle, two outputs, and what is still to be written.
pub struct Pipes {
    handle: OwnedFd,
    out: Sink<ChildStdout>,
    err: Sink<ChildStderr>,
    stdin: Option<ChildStdin>,
    input: Vec<u8>,
    written: usize,
}

impl Pipes {
    /// Takes the pipes from the child and makes them not block.
    ///
    /// # Errors
    /// The kernel has no process handles (before 5.3) or no descriptors left.
    pub fn new(child: &mut Child, input: Vec<u8>, limit: usize) -> io::Result<Pipes> {
        let handle = pidfd(child)?;
        let (out, err, stdin) = (child.stdout.take(), child.stderr.take(), child.stdin.take());
        for fd in [out.as_ref().map(AsFd::as_fd), err.as_ref().map(AsFd::as_fd), stdin.as_ref().map(AsFd::as_fd)] {
            fd.map(not_blocking).transpose()?;
        }
        Ok(Pipes { handle, out: Sink::new(out, limit), err: Sink::new(err, limit), stdin, input, written: 0 })
    }

    /// Lets somebody hear the lines of standard error.
    pub fn listen(&mut self, listener: Option<LineListener>) {
        self.err.lines = listener.map(|listener| (listener, Vec::new()));
    }

    /// Moves bytes until the child ends (true) or time is up (false).
    ///
    /// # Errors
    /// Reading failed.
    pub fn pump(&mut self, deadline: Instant) -> io::Result<bool> {
        loop {
            let mut fds = vec![PollFd::new(self.handle.as_fd(), PollFlags::POLLIN)];
            fds.extend(self.out.pipe.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
            fds.extend(self.err.pipe.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
            fds.extend(self.stdin.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLOUT)));
            match poll(&mut fds, timeout(deadline)) {
                Ok(0) if Instant::now() >= deadline => return Ok(false),
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            let ended = fds.first().and_then(PollFd::any).unwrap_or(false);
            self.out.drain()?;
            self.err.drain()?;
            self.feed();
            if ended {
                // Grandchildren may keep the pipes open; what the child itself said is in them by now.
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false); // a program that never stops talking
            }
        }
    }

    /// Writes some input; a child that closed its end does not want the rest.
    fn feed(&mut self) {
        while let Some(pipe) = self.stdin.as_mut() {
            match pipe.write(self.input.get(self.written..).unwrap_or_default()) {
                Ok(0) => self.stdin = None,
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.stdin = None,
            }
        }
    }
}

/// What is left until `deadline`, as `poll` wants it.
pub fn timeout(deadline: Instant) -> PollTimeout {
    let left = deadline.saturating_duration_since(Instant::now()).as_millis().saturating_add(1);
    PollTimeout::try_from(left.min(60_000)).unwrap_or(PollTimeout::MAX)
}

fn not_blocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// A handle that becomes readable when the child ends; nothing else tells it together with pipes.
pub fn pidfd(child: &Child) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two integers and touches no memory of ours.
    let fd = unsafe { nix::libc::syscall(nix::libc::SYS_pidfd_open, child.id(), 0) };
    let fd = i32::try_from(fd).ok().filter(|&fd| fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

impl Pipes {
    /// What was kept of both outputs, and whether some was dropped.
    pub fn into_outputs(self) -> (Vec<u8>, Vec<u8>, bool) {
        let dropped = self.out.dropped || self.err.dropped;
        (self.out.kept, self.err.kept, dropped)
    }
}
