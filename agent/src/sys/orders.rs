//! The way to a disk's own firmware: SCSI commands and NVMe admin commands, with bounded time and typed replies.
//!
//! What the orders mean is known to `disk::{ata, scsi, nvme}`; tests answer them with a device model.

use super::block::BlockDevice;
use super::{nvme, sg};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

/// Which language a device's firmware speaks, as far as its kernel name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `sda`: SCSI commands; behind them perhaps an ATA disk.
    Scsi,
    /// `nvme0n1`.
    Nvme,
    /// virtio, memory cards, arrays, maps, plain files: nothing is asked.
    None,
}

impl Dialect {
    /// By the kernel's name (`/dev/sda` or `sda`).
    pub fn of(path: &Path) -> Self {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is = |prefix: &str, then: fn(u8) -> bool| {
            name.strip_prefix(prefix).is_some_and(|rest| rest.bytes().next().is_some_and(then))
        };
        if is("nvme", |byte| byte.is_ascii_digit()) {
            Self::Nvme
        } else if is("sd", |byte| byte.is_ascii_lowercase()) {
            Self::Scsi
        } else {
            Self::None
        }
    }
}

/// The data of an order.
#[derive(Debug)]
pub enum Data<'a> {
    /// None goes either way.
    None,
    /// The device fills it, as far as it has something to say.
    In(&'a mut [u8]),
    /// The device takes it.
    Out(&'a [u8]),
}

/// What a SCSI command ended with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScsiReply {
    /// Status byte (SAM): 0 good, 2 check condition.
    pub status: u8,
    /// Sense data, as much as the device sent.
    pub sense: Vec<u8>,
    /// Bytes of data that really came; a device may send less than it was asked for.
    pub transferred: usize,
}

/// An NVMe admin command without its data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdminOrder {
    /// Which.
    pub opcode: u8,
    /// Namespace, 0 when it does not matter.
    pub namespace: u32,
    /// Command dwords 10 and 11; no order of ours needs more.
    pub cdw10: u32,
    /// See `cdw10`.
    pub cdw11: u32,
    /// Longest wait.
    pub time: Duration,
}

/// What an NVMe admin command ended with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdminReply {
    /// Status code type and code (NVMe base specification, status field); 0 is success.
    pub status: u16,
    /// Dword 0 of the completion.
    pub result: u32,
}

/// An open device that takes orders.
pub trait Orders {
    /// Sends a SCSI command.
    ///
    /// # Errors
    /// It did not get through: no such door, a hang (`TimedOut`), an adapter that gave up. A refusal by the device is a reply.
    fn scsi(&self, command: &[u8], data: Data<'_>, time: Duration) -> io::Result<ScsiReply>;

    /// Sends an NVMe admin command.
    ///
    /// # Errors
    /// As [`Orders::scsi`].
    fn admin(&self, order: &AdminOrder, data: &mut [u8]) -> io::Result<AdminReply>;

    /// The number of the NVMe namespace behind the device.
    ///
    /// # Errors
    /// `ENOTTY` when it is none.
    fn namespace(&self) -> io::Result<u32>;

    /// Waits between two questions about a long piece of work: firmware does not call back.
    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// Where devices' firmware is reached.
pub trait Bay: Sync {
    /// Which language is spoken.
    fn dialect(&self, path: &Path) -> Dialect;
    /// Takes orders for an open device.
    fn orders<'a>(&self, device: &'a BlockDevice) -> Box<dyn Orders + 'a>;
}

/// The real machine.
#[derive(Clone, Copy, Debug)]
pub struct Kernel;

impl Bay for Kernel {
    fn dialect(&self, path: &Path) -> Dialect {
        Dialect::of(path)
    }

    fn orders<'a>(&self, device: &'a BlockDevice) -> Box<dyn Orders + 'a> {
        Box::new(Door(device.file()))
    }
}

struct Door<'a>(&'a File);

impl Orders for Door<'_> {
    fn scsi(&self, command: &[u8], data: Data<'_>, time: Duration) -> io::Result<ScsiReply> {
        sg::send(self.0.as_raw_fd(), command, data, time)
    }

    fn admin(&self, order: &AdminOrder, data: &mut [u8]) -> io::Result<AdminReply> {
        nvme::send(self.0.as_raw_fd(), order, data)
    }

    fn namespace(&self) -> io::Result<u32> {
        nvme::namespace(self.0.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::{AdminOrder, Bay, Data, Dialect, Kernel};
    use crate::sys::block::{Access, BlockDevice};
    use std::path::Path;
    use std::time::Duration;

    #[test]
    fn names_tell_the_language() {
        for (name, dialect) in [
            ("/dev/sda", Dialect::Scsi),
            ("sdaa", Dialect::Scsi),
            ("/dev/nvme0n1", Dialect::Nvme),
            ("/dev/nvme-fabrics", Dialect::None),
            ("/dev/vda", Dialect::None),
            ("/dev/md0", Dialect::None),
            ("/dev/dm-0", Dialect::None),
            ("/tmp/sd", Dialect::None),
            ("/", Dialect::None),
        ] {
            assert_eq!(Dialect::of(Path::new(name)), dialect, "{name}");
        }
    }

    #[test]
    fn a_plain_file_takes_no_orders() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let device = BlockDevice::open(file.path(), Access::Read).unwrap();
        let orders = Kernel.orders(&device);
        assert!(orders.scsi(&[0; 6], Data::None, Duration::from_secs(1)).is_err());
        assert!(orders.admin(&AdminOrder::default(), &mut []).is_err());
        assert!(orders.namespace().is_err());
    }
}
