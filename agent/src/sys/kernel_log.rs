//! The kernel's messages (`dmesg`). May need root, as `kernel.dmesg_restrict` says.

use nix::errno::Errno;
use nix::libc;
use std::io;

/// Actions of `syslog(2)`.
const READ_ALL: libc::c_int = 3;
const SIZE_OF_BUFFER: libc::c_int = 10;

/// The newest messages, at most `limit` bytes.
///
/// # Errors
/// `EPERM` for a user who may not see them.
pub fn read(limit: usize) -> io::Result<Vec<u8>> {
    // SAFETY: this action takes no buffer.
    let size = unsafe { libc::klogctl(SIZE_OF_BUFFER, std::ptr::null_mut(), 0) };
    let size = usize::try_from(size).map_err(|_| Errno::last())?.min(limit).min(16 << 20);
    let mut bytes = vec![0u8; size];
    let length = libc::c_int::try_from(size).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: the buffer has exactly `length` bytes.
    let read = unsafe { libc::klogctl(READ_ALL, bytes.as_mut_ptr().cast(), length) };
    let read = usize::try_from(read).map_err(|_| Errno::last())?;
    bytes.truncate(read);
    Ok(bytes)
}
