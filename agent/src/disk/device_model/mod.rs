//! Disks of our own making, for tests: a plain file for the data, and firmware that answers SG_IO and NVMe admin commands as
//! the standards say, faults included. Written from the standards, apart from the code that it tests.

mod ata;
mod nvme;
mod scsi;

pub use ata::AtaDrive;
pub use nvme::NvmeController;
pub use scsi::{ScsiDrive, State as ScsiState};

use crate::sys::block::BlockDevice;
use crate::sys::orders::{AdminOrder, AdminReply, Bay, Data, Dialect, Orders, ScsiReply};
use std::collections::BTreeMap;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What goes wrong, by the code of the command (ATA command, SCSI operation code, NVMe opcode).
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// It never ends: the kernel gives up.
    pub hangs: Option<u8>,
    /// It is aborted.
    pub aborts: Option<u8>,
    /// Its data is noise.
    pub garbage: Option<u8>,
    /// Its data ends too early.
    pub short: Option<u8>,
    /// In the middle of it the power goes, once.
    pub power_loss: Option<u8>,
    /// It says yes and does nothing.
    pub lies: Option<u8>,
}

/// Firmware.
pub trait Firmware: Send {
    /// Answers a SCSI command.
    fn scsi(&mut self, _command: &[u8], _data: Data<'_>) -> io::Result<ScsiReply> {
        Err(io::Error::from_raw_os_error(nix::libc::ENOTTY))
    }
    /// Answers an NVMe admin command.
    fn admin(&mut self, _order: &AdminOrder, _data: &mut [u8]) -> io::Result<AdminReply> {
        Err(io::Error::from_raw_os_error(nix::libc::ENOTTY))
    }
    /// So much time has passed.
    fn passes(&mut self, _time: Duration) {}
}

/// Language, number of the namespace, firmware.
type Slot = (Dialect, u32, Arc<Mutex<dyn Firmware>>);

/// Devices by path, each with its firmware.
#[derive(Default)]
pub struct Shelf(BTreeMap<PathBuf, Slot>);

impl Shelf {
    /// Puts a SCSI or ATA disk under the file's name.
    pub fn scsi<T: Firmware + 'static>(&mut self, path: &Path, drive: T) -> Arc<Mutex<T>> {
        let drive = Arc::new(Mutex::new(drive));
        self.0.insert(path.canonicalize().unwrap(), (Dialect::Scsi, 0, Arc::<Mutex<T>>::clone(&drive)));
        drive
    }

    /// Puts every namespace of a controller under its file's name.
    pub fn nvme(&mut self, controller: NvmeController) -> Arc<Mutex<NvmeController>> {
        let paths: Vec<PathBuf> = controller.namespaces.clone();
        let controller = Arc::new(Mutex::new(controller));
        for (at, path) in paths.iter().enumerate() {
            let shared = Arc::<Mutex<NvmeController>>::clone(&controller);
            self.0.insert(path.canonicalize().unwrap(), (Dialect::Nvme, at as u32 + 1, shared));
        }
        controller
    }
}

impl Bay for Shelf {
    fn dialect(&self, path: &Path) -> Dialect {
        self.0.get(path).map_or(Dialect::None, |(dialect, ..)| *dialect)
    }

    fn orders<'a>(&self, device: &'a BlockDevice) -> Box<dyn Orders + 'a> {
        let (_, namespace, firmware) = self.0.get(device.path()).expect("a device of the shelf");
        Box::new(Wire { namespace: *namespace, firmware: Arc::clone(firmware) })
    }
}

/// The way to one device of the shelf.
pub struct Wire {
    namespace: u32,
    firmware: Arc<Mutex<dyn Firmware>>,
}

impl Wire {
    /// To firmware that stands on no shelf.
    pub fn to<T: Firmware + 'static>(firmware: &Arc<Mutex<T>>) -> Self {
        Self { namespace: 1, firmware: Arc::<Mutex<T>>::clone(firmware) }
    }
}

impl Orders for Wire {
    fn scsi(&self, command: &[u8], data: Data<'_>, _time: Duration) -> io::Result<ScsiReply> {
        lock(&self.firmware).scsi(command, data)
    }

    fn admin(&self, order: &AdminOrder, data: &mut [u8]) -> io::Result<AdminReply> {
        lock(&self.firmware).admin(order, data)
    }

    fn namespace(&self) -> io::Result<u32> {
        Ok(self.namespace)
    }

    fn pause(&self, time: Duration) {
        lock(&self.firmware).passes(time);
    }
}

/// Whatever a panicking test left.
pub fn lock<T: ?Sized>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn timed_out<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::TimedOut, "the device did not end the command in its time"))
}

/// What an erase leaves: zeroes, or what looks like noise when the key is gone.
fn fill(path: &Path, crypto: bool) {
    let length = std::fs::metadata(path).unwrap().len();
    write(path, length, if crypto { 0x5c } else { 0 });
}

fn write(path: &Path, length: u64, byte: u8) {
    let mut file = std::fs::File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(&vec![byte; usize::try_from(length).unwrap()]).unwrap();
}

/// Descriptor sense with a progress indication, if there is one.
fn check_condition(key: u8, code: (u8, u8), progress: Option<u16>) -> ScsiReply {
    let mut sense = vec![0x72, key, code.0, code.1, 0, 0, 0, 0];
    if let Some(progress) = progress {
        let [high, low] = progress.to_be_bytes();
        sense.extend([2, 6, 0, 0, 0x80, high, low, 0]);
        sense[7] = 8;
    }
    ScsiReply { status: 2, sense, transferred: 0 }
}

/// Gives an answer, as much as there is room for.
fn give(data: Data<'_>, answer: &[u8], short: bool) -> ScsiReply {
    let Data::In(room) = data else { return check_condition(5, (0x24, 0), None) };
    let length = answer.len().min(room.len());
    let length = if short { length / 2 } else { length };
    room[..length].copy_from_slice(&answer[..length]);
    ScsiReply { status: 0, sense: Vec::new(), transferred: length }
}
