//! The two NVMe admin orders an erase needs: identify and format. Layouts: NVM Express base specification 1.4.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

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

/// Bytes of every identify answer.
const IDENTIFY_BYTES: usize = 4096;
/// Longest a format may take. Crypto erase takes seconds; overwriting a large namespace may take the better part of it.
const FORMAT_MS: u32 = 4 * 3600 * 1000;

/// What a controller says about erasing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controller {
    /// The Format NVM order exists.
    pub can_format: bool,
    /// A format changes all namespaces, not only the one it names.
    pub format_hits_all: bool,
    /// A secure erase as part of a format erases all namespaces.
    pub erase_hits_all: bool,
    /// Erasing by throwing the key away is possible.
    pub crypto_erase: bool,
}

impl Controller {
    /// Reads OACS (bytes 256-257) and FNA (byte 524) of an identify-controller answer.
    pub fn parse(answer: &[u8; IDENTIFY_BYTES]) -> Self {
        let oacs = u16::from_le_bytes([answer[256], answer[257]]);
        let fna = answer[524];
        Self {
            can_format: oacs & 1 << 1 != 0,
            format_hits_all: fna & 1 << 0 != 0,
            erase_hits_all: fna & 1 << 1 != 0,
            crypto_erase: fna & 1 << 2 != 0,
        }
    }
}

/// How a namespace is formatted now; a format must ask for the same again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespace {
    flbas: u8,
    protection: u8,
}

impl Namespace {
    /// Reads FLBAS (byte 26) and DPS (byte 29) of an identify-namespace answer.
    pub fn parse(answer: &[u8; IDENTIFY_BYTES]) -> Self {
        Self { flbas: answer[26], protection: answer[29] }
    }

    /// The format order that keeps block size and protection and erases: with `crypto` by the key, else the user data.
    pub fn format_command(self, namespace: u32, crypto: bool) -> AdminCommand {
        let block_format = u32::from(self.flbas & 0x0f);
        let block_format_high = u32::from(self.flbas >> 5 & 0b11);
        let metadata_in_line = u32::from(self.flbas >> 4 & 1);
        let protection = u32::from(self.protection & 0b111);
        let protection_first = u32::from(self.protection >> 3 & 1);
        let erase = if crypto { 2 } else { 1 };
        AdminCommand {
            opcode: 0x80,
            namespace,
            cdw10: block_format
                | metadata_in_line << 4
                | protection << 5
                | protection_first << 8
                | erase << 9
                | block_format_high << 12,
            timeout_ms: FORMAT_MS,
            ..Default::default()
        }
    }
}

/// An open namespace (`/dev/nvme0n1`) that takes admin orders.
#[derive(Debug)]
pub struct NvmeNamespace<'a> {
    file: &'a File,
    id: u32,
}

impl<'a> NvmeNamespace<'a> {
    /// Asks the kernel for the namespace behind an open block device.
    ///
    /// # Errors
    /// `ENOTTY` when it is no NVMe namespace.
    pub fn of(file: &'a File) -> io::Result<Self> {
        // SAFETY: the descriptor is open; the order takes no argument and returns the number.
        let id = unsafe { order::namespace(file.as_raw_fd())? };
        Ok(Self { file, id: u32::try_from(id).map_err(io::Error::other)? })
    }

    fn identify(&self, what: u32, namespace: u32) -> io::Result<[u8; IDENTIFY_BYTES]> {
        let mut answer = [0; IDENTIFY_BYTES];
        let mut command = AdminCommand {
            opcode: 0x06,
            namespace,
            data: answer.as_mut_ptr().expose_provenance() as u64,
            data_length: IDENTIFY_BYTES as u32,
            cdw10: what,
            ..Default::default()
        };
        self.run(&mut command)?;
        Ok(answer)
    }

    /// What the controller can do.
    ///
    /// # Errors
    /// As the kernel or the device answers.
    pub fn controller(&self) -> io::Result<Controller> {
        self.identify(1, 0).map(|answer| Controller::parse(&answer))
    }

    /// Erases the namespace (and others, if [`Controller`] says so), keeping its block size. Blocks until done.
    ///
    /// # Errors
    /// As the kernel or the device answers.
    pub fn format(&self, crypto: bool) -> io::Result<()> {
        let now = self.identify(0, self.id).map(|answer| Namespace::parse(&answer))?;
        self.run(&mut now.format_command(self.id, crypto))
    }

    fn run(&self, command: &mut AdminCommand) -> io::Result<()> {
        // SAFETY: the descriptor is open and `command` has the kernel's layout; its data pointer, if any, is to a buffer
        // of `data_length` bytes that outlives this call.
        match unsafe { order::admin(self.file.as_raw_fd(), command)? } {
            0 => Ok(()),
            status => Err(io::Error::other(format!("the NVMe device answered with status {status:#x}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AdminCommand, Controller, IDENTIFY_BYTES, Namespace};

    #[test]
    fn the_kernels_structure_is_72_bytes() {
        assert_eq!(size_of::<AdminCommand>(), 72);
        assert_eq!(std::mem::offset_of!(AdminCommand, data), 24);
        assert_eq!(std::mem::offset_of!(AdminCommand, cdw10), 40);
    }

    #[test]
    fn erase_bits_are_read_where_the_specification_puts_them() {
        let mut answer = [0; IDENTIFY_BYTES];
        assert!(!Controller::parse(&answer).can_format);
        answer[256] = 0b0010;
        answer[524] = 0b101;
        let controller = Controller::parse(&answer);
        let expected =
            Controller { can_format: true, format_hits_all: true, erase_hits_all: false, crypto_erase: true };
        assert_eq!(controller, expected);
    }

    #[test]
    fn a_format_keeps_block_size_metadata_place_and_protection() {
        let mut answer = [0; IDENTIFY_BYTES];
        answer[26] = 0b0011_0010; // format 2, extended data, upper bits 01
        answer[29] = 0b1001; // type 1, first bytes
        let command = Namespace::parse(&answer).format_command(3, true);
        assert_eq!((command.opcode, command.namespace), (0x80, 3));
        assert_eq!(command.cdw10, 2 | 1 << 4 | 1 << 5 | 1 << 8 | 2 << 9 | 1 << 12);
        let plain = Namespace::parse(&[0; IDENTIFY_BYTES]).format_command(1, false);
        assert_eq!(plain.cdw10, 1 << 9);
    }

    #[test]
    fn a_plain_file_is_no_namespace() {
        let file = tempfile::tempfile().unwrap();
        assert!(super::NvmeNamespace::of(&file).is_err());
    }
}
