//! The BMC inside this machine, by the kernel's IPMI device: one request, one answer, bounded time. Needs root.

use nix::errno::Errno;
use nix::libc::{c_int, c_long, c_short, c_uchar, c_uint, c_ushort};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Largest answer of the kernel's message handler.
const MAX_MESSAGE: usize = 272;
/// Address of the BMC itself, from `linux/ipmi.h`.
const SYSTEM_INTERFACE: c_int = 0x0c;
const BMC_CHANNEL: c_short = 0x0f;
const RESPONSE: c_int = 1;

#[repr(C)]
struct SystemAddress {
    kind: c_int,
    channel: c_short,
    lun: c_uchar,
}

#[repr(C)]
struct Message {
    function: c_uchar,
    command: c_uchar,
    length: c_ushort,
    data: *mut c_uchar,
}

/// `struct ipmi_req`.
#[repr(C)]
struct Request {
    address: *mut SystemAddress,
    address_length: c_uint,
    id: c_long,
    message: Message,
}

/// `struct ipmi_recv`.
#[repr(C)]
struct Received {
    kind: c_int,
    address: *mut [u8; 32],
    address_length: c_uint,
    id: c_long,
    message: Message,
}

/// `IPMICTL_SEND_COMMAND` and `IPMICTL_RECEIVE_MSG_TRUNC`.
mod order {
    use super::{Received, Request};
    nix::ioctl_read!(send_command, b'i', 13, Request);
    nix::ioctl_readwrite!(receive_message, b'i', 11, Received);
}

/// A BMC that can be asked; tests answer for one.
pub trait InBandBmc {
    /// Sends one request; the answer begins with the completion code.
    ///
    /// # Errors
    /// Time-out (`TimedOut`) or the kernel's refusal.
    fn ask(&mut self, function: u8, command: u8, data: &[u8]) -> io::Result<Vec<u8>>;
}

/// The open device.
#[derive(Debug)]
pub struct IpmiDevice {
    file: File,
    time: Duration,
    next: c_long,
}

impl IpmiDevice {
    /// Opens a device such as `/dev/ipmi0`; each later request may take `time`.
    ///
    /// # Errors
    /// As from `open(2)`.
    pub fn open(path: &Path, time: Duration) -> io::Result<IpmiDevice> {
        let file = File::options().read(true).write(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
        Ok(IpmiDevice { file, time, next: 1 })
    }

    fn send(&mut self, function: u8, command: u8, data: &[u8]) -> io::Result<c_long> {
        let id = self.next;
        self.next += 1;
        let mut bytes = data.to_vec();
        let length = c_ushort::try_from(bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut address = SystemAddress { kind: SYSTEM_INTERFACE, channel: BMC_CHANNEL, lun: 0 };
        let mut request = Request {
            address: &raw mut address,
            address_length: size_of::<SystemAddress>() as c_uint,
            id,
            message: Message { function, command, length, data: bytes.as_mut_ptr() },
        };
        // SAFETY: the request and what it points at live until the call returns; the kernel copies all of it.
        unsafe { order::send_command(self.file.as_raw_fd(), &raw mut request) }?;
        Ok(id)
    }

    fn receive(&mut self) -> io::Result<(c_int, c_long, Vec<u8>)> {
        let mut bytes = [0u8; MAX_MESSAGE];
        let mut address = [0u8; 32];
        let mut received = Received {
            kind: 0,
            address: &raw mut address,
            address_length: address.len() as c_uint,
            id: 0,
            message: Message { function: 0, command: 0, length: MAX_MESSAGE as c_ushort, data: bytes.as_mut_ptr() },
        };
        // SAFETY: both buffers live until the call returns and their lengths are given; longer answers are cut.
        match unsafe { order::receive_message(self.file.as_raw_fd(), &raw mut received) } {
            Ok(_) | Err(Errno::EMSGSIZE) => {}
            Err(errno) => return Err(errno.into()),
        }
        let length = usize::from(received.message.length).min(bytes.len());
        Ok((received.kind, received.id, bytes.get(..length).unwrap_or_default().to_vec()))
    }
}

impl InBandBmc for IpmiDevice {
    fn ask(&mut self, function: u8, command: u8, data: &[u8]) -> io::Result<Vec<u8>> {
        let id = self.send(function, command, data)?;
        let deadline = Instant::now() + self.time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the BMC did not answer in time"));
            }
            let wait = PollTimeout::try_from(left.as_millis().saturating_add(1)).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)], wait) {
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) => {}
                Err(errno) => return Err(errno.into()),
            }
            match self.receive() {
                // Answers to requests that we gave up earlier, and events, are not ours.
                Ok((RESPONSE, answered, bytes)) if answered == id => return Ok(bytes),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}
