//! Whole Ethernet frames of one EtherType, as network interfaces receive them (packet(7)). Needs root.

use nix::libc::{self, c_int};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Longest frame looked at; the rest of a longer one is dropped.
const MAX_FRAME: usize = 1600;

/// A socket on one interface.
#[derive(Debug)]
pub struct FrameSocket {
    fd: OwnedFd,
}

impl FrameSocket {
    /// Listens on `interface` for frames of `ethertype`, sent to this machine, to everybody, or to one of `groups`.
    ///
    /// The interface hears everything while the socket is open (some adapters do not know these groups); the kernel
    /// counts the listeners, so it ends with the socket, even when the process is killed.
    ///
    /// # Errors
    /// No such interface, or no permission.
    pub fn open(interface: &str, ethertype: u16, groups: &[[u8; 6]]) -> io::Result<FrameSocket> {
        let index = c_int::try_from(nix::net::if_::if_nametoindex(interface)?).map_err(io::Error::other)?;
        // Protocol 0 at first: nothing arrives before the socket is bound to its interface.
        // SAFETY: no pointers; a descriptor that is returned belongs to nobody else.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just opened and is owned by nobody else.
        let socket = FrameSocket { fd: unsafe { OwnedFd::from_raw_fd(fd) } };
        // SAFETY: sockaddr_ll is plain data for which all zeroes is valid.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = ethertype.to_be();
        address.sll_ifindex = index;
        // SAFETY: the pointer is to a whole sockaddr_ll and its size is given.
        let bound = unsafe { libc::bind(fd, (&raw const address).cast(), size_of::<libc::sockaddr_ll>() as u32) };
        if bound < 0 {
            return Err(io::Error::last_os_error());
        }
        for group in groups {
            socket.join(index, libc::PACKET_MR_MULTICAST, group)?;
        }
        socket.join(index, libc::PACKET_MR_PROMISC, &[])?;
        Ok(socket)
    }

    fn join(&self, index: c_int, kind: c_int, group: &[u8]) -> io::Result<()> {
        // SAFETY: packet_mreq is plain data for which all zeroes is valid.
        let mut order: libc::packet_mreq = unsafe { std::mem::zeroed() };
        order.mr_ifindex = index;
        order.mr_type = kind as u16;
        order.mr_alen = group.len().min(8) as u16;
        order.mr_address.iter_mut().zip(group).for_each(|(place, byte)| *place = *byte);
        // SAFETY: the pointer is to a whole packet_mreq and its size is given.
        let done = unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_ADD_MEMBERSHIP,
                (&raw const order).cast(),
                size_of::<libc::packet_mreq>() as u32,
            )
        };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Sends one whole frame: tests play the switch.
    ///
    /// # Errors
    /// As from `send(2)`.
    #[cfg(test)]
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        nix::sys::socket::send(self.fd.as_raw_fd(), frame, nix::sys::socket::MsgFlags::empty())?;
        Ok(())
    }

    /// The next frame, with its Ethernet header; `None` when there is none now.
    ///
    /// # Errors
    /// The interface went down or away.
    pub fn receive(&self) -> io::Result<Option<Vec<u8>>> {
        let mut frame = vec![0u8; MAX_FRAME];
        match nix::sys::socket::recv(self.fd.as_raw_fd(), &mut frame, nix::sys::socket::MsgFlags::MSG_DONTWAIT) {
            Ok(length) => {
                frame.truncate(length);
                Ok(Some(frame))
            }
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Waits until frames are there, or until `deadline`: the places of the sockets that have something.
///
/// # Errors
/// As from `poll(2)`.
pub fn wait(sockets: &[&FrameSocket], deadline: Instant) -> io::Result<Vec<usize>> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut asked: Vec<PollFd> =
            sockets.iter().map(|socket| PollFd::new(socket.fd.as_fd(), PollFlags::POLLIN)).collect();
        // One more than the whole milliseconds: not a busy loop at the end.
        let time = if left.is_zero() { Duration::ZERO } else { left + Duration::from_millis(1) };
        match poll(&mut asked, PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX)) {
            Err(nix::errno::Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(0) if !left.is_zero() => continue,
            Ok(_) => {}
        }
        let news = |at: &usize| asked.get(*at).and_then(PollFd::revents).is_some_and(|events| !events.is_empty());
        return Ok((0..sockets.len()).filter(news).collect());
    }
}
