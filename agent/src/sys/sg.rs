//! SCSI commands to a block device, by the kernel's SG_IO (`scsi/sg.h`, version 3).

use super::orders::{Data, ScsiReply};
use nix::libc::{c_int, c_uchar, c_uint, c_ushort, c_void};
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

/// More sense data than this no device of ours sends.
const SENSE_BYTES: u8 = 64;
/// Longest command descriptor block.
const COMMAND_BYTES: usize = 32;
/// Most data of one command: identify blocks, pages and parameter lists are smaller.
const DATA_BYTES: usize = 64 << 10;
/// `DID_TIME_OUT` and `DID_ABORT` of the kernel's host status.
const HOST_TIME_OUT: [c_ushort; 2] = [3, 5];

/// `struct sg_io_hdr`.
#[repr(C)]
struct Header {
    interface: c_int,
    direction: c_int,
    command_length: c_uchar,
    sense_length: c_uchar,
    pieces: c_ushort,
    data_length: c_uint,
    data: *mut c_void,
    command: *const c_uchar,
    sense: *mut c_uchar,
    timeout_ms: c_uint,
    flags: c_uint,
    pack_id: c_int,
    user: *mut c_void,
    status: c_uchar,
    masked_status: c_uchar,
    message_status: c_uchar,
    sense_written: c_uchar,
    host_status: c_ushort,
    driver_status: c_ushort,
    left: c_int,
    duration_ms: c_uint,
    info: c_uint,
}

const _: () = assert!(size_of::<Header>() == if cfg!(target_pointer_width = "64") { 88 } else { 64 });

mod order {
    nix::ioctl_readwrite_bad!(sg_io, 0x2285, super::Header);
}

/// Sends one command and waits for its end.
///
/// # Errors
/// The kernel's refusal (`ENOTTY`: no SCSI device), `TimedOut`, or what the adapter reports.
pub fn send(fd: RawFd, command: &[u8], data: Data<'_>, time: Duration) -> io::Result<ScsiReply> {
    let (direction, pointer, length) = match data {
        Data::None => (-1, std::ptr::null_mut(), 0),
        Data::Out(bytes) => (-2, bytes.as_ptr().cast_mut(), bytes.len()),
        Data::In(bytes) => (-3, bytes.as_mut_ptr(), bytes.len()),
    };
    if command.len() > COMMAND_BYTES || length > DATA_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a SCSI command longer than any of ours"));
    }
    let mut sense = [0; SENSE_BYTES as usize];
    let mut header = Header {
        interface: c_int::from(b'S'),
        direction,
        command_length: command.len() as u8, // at most 32
        sense_length: SENSE_BYTES,
        pieces: 0,
        data_length: length as c_uint, // at most 64 KiB
        data: pointer.cast(),
        command: command.as_ptr(),
        sense: sense.as_mut_ptr(),
        timeout_ms: c_uint::try_from(time.as_millis()).unwrap_or(c_uint::MAX),
        flags: 0,
        pack_id: 0,
        user: std::ptr::null_mut(),
        status: 0,
        masked_status: 0,
        message_status: 0,
        sense_written: 0,
        host_status: 0,
        driver_status: 0,
        left: 0,
        duration_ms: 0,
        info: 0,
    };
    // SAFETY: the descriptor is open; the header has the kernel's layout; command, sense and data point to buffers of the
    // lengths given that outlive the call; with direction -2 the kernel only reads the data.
    unsafe { order::sg_io(fd, &mut header)? };
    let written = usize::from(header.sense_written.min(SENSE_BYTES));
    if HOST_TIME_OUT.contains(&header.host_status) {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "the device did not end the command in its time"));
    }
    // The low half of the driver's status says only that there is sense data (8).
    if header.host_status != 0 || (header.driver_status & 7 != 0 && written == 0) {
        return Err(io::Error::other(format!(
            "the adapter gave up: host status {:#x}, driver status {:#x}",
            header.host_status, header.driver_status
        )));
    }
    let left = usize::try_from(header.left).unwrap_or(0);
    Ok(ScsiReply { status: header.status, sense: sense[..written].to_vec(), transferred: length.saturating_sub(left) })
}
