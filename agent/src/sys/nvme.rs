//! NVMe admin commands, by the kernel's pass-through. What they mean is known to `disk::nvme`.

use super::orders::{AdminOrder, AdminReply};
use std::io;
use std::os::fd::RawFd;

/// Most data of one command: identify answers and log pages are smaller.
const DATA_BYTES: usize = 64 << 10;

/// `struct nvme_passthru_cmd` of `linux/nvme_ioctl.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdminCommand {
    opcode: u8,
    flags: u8,
    reserved: u16,
    namespace: u32,
    cdw2: u32,
    cdw3: u32,
    metadata: u64,
    data: u64,
    metadata_length: u32,
    data_length: u32,
    cdw10: u32,
    cdw11: u32,
    cdw12: u32,
    cdw13: u32,
    cdw14: u32,
    cdw15: u32,
    timeout_ms: u32,
    result: u32,
}

mod order {
    nix::ioctl_none_bad!(namespace, nix::request_code_none!(b'N', 0x40));
    nix::ioctl_readwrite!(admin, b'N', 0x41, super::AdminCommand);
}

/// Number of the namespace behind an open block device.
///
/// # Errors
/// `ENOTTY` when it is no NVMe namespace.
pub fn namespace(fd: RawFd) -> io::Result<u32> {
    // SAFETY: the order takes no argument and returns the number; a bad descriptor is an error.
    let id = unsafe { order::namespace(fd)? };
    u32::try_from(id).map_err(io::Error::other)
}

/// Sends one command and waits for its end. The orders of ours that have data read it from the device.
///
/// # Errors
/// As the kernel answers; `EINTR`-like errors of a command that ran out of time, too.
pub fn send(fd: RawFd, order: &AdminOrder, data: &mut [u8]) -> io::Result<AdminReply> {
    if data.len() > DATA_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an NVMe command longer than any of ours"));
    }
    let mut command = AdminCommand {
        opcode: order.opcode,
        namespace: order.namespace,
        data: if data.is_empty() { 0 } else { data.as_mut_ptr().expose_provenance() as u64 },
        data_length: data.len() as u32, // at most 64 KiB
        cdw10: order.cdw10,
        cdw11: order.cdw11,
        timeout_ms: u32::try_from(order.time.as_millis()).unwrap_or(u32::MAX),
        ..Default::default()
    };
    // SAFETY: the descriptor is open and `command` has the kernel's layout; its data pointer, if any, is to a buffer of
    // `data_length` bytes that outlives this call.
    let status = unsafe { order::admin(fd, &mut command)? };
    // Bits above the code tell of retries; the type and the code are eleven bits.
    Ok(AdminReply { status: (status & 0x7ff) as u16, result: command.result })
}

#[cfg(test)]
mod tests {
    use super::AdminCommand;

    #[test]
    fn the_kernels_structure_is_72_bytes() {
        assert_eq!(size_of::<AdminCommand>(), 72);
        assert_eq!(std::mem::offset_of!(AdminCommand, data), 24);
        assert_eq!(std::mem::offset_of!(AdminCommand, cdw10), 40);
    }
}
