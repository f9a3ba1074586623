//! What a disk's own firmware is asked and told: abilities, getting it ready, its own erase. Joins `ata`, `scsi` and `nvme`.

use super::ata::AtaDisk;
use super::ata_erase;
use super::error::{DiskError, FirmwareError};
use super::facts::Disk;
use super::method::{Abilities, Method};
use super::nvme::NvmeDisk;
use super::scsi::ScsiDisk;
use crate::sys::block::{Access, BlockDevice};
use crate::sys::orders::{Bay, Dialect, Orders};

/// Asks the disk what it can do. Whatever cannot be found out is left empty, with a line in the log: overwriting is sound,
/// too. An NVMe controller that cannot be asked is noted as such.
pub fn abilities(bay: &dyn Bay, disk: &Disk) -> Abilities {
    let spoken = match dialect(bay, disk) {
        Dialect::None => return Abilities::default(),
        dialect => dialect,
    };
    on(bay, disk, |orders| ask(spoken, orders)).unwrap_or_else(|error| {
        tracing::warn!(%error, "what the disk's firmware can do is not known");
        Abilities { unknown: (spoken == Dialect::Nvme).then(|| error.to_string()), ..Default::default() }
    })
}

fn ask(dialect: Dialect, orders: &dyn Orders) -> Result<Abilities, FirmwareError> {
    let mut abilities = Abilities::default();
    if dialect == Dialect::Nvme {
        abilities.nvme = Some(NvmeDisk(orders).abilities()?);
    } else {
        abilities.scsi = ScsiDisk(orders).abilities()?;
        if abilities.scsi.ata {
            abilities.ata = AtaDisk(orders).identify()?;
        }
    }
    Ok(abilities)
}

/// For a disk that cannot be read: is it locked by an erase that was interrupted, or still at one? Then it is unlocked, or
/// waited for. `true`: something was done, look again.
///
/// # Errors
/// The disk cannot be brought back; the text says what to do.
pub fn make_ready(bay: &dyn Bay, disk: &Disk, say: &dyn Fn(String)) -> Result<bool, DiskError> {
    let path = disk.path.display();
    let told = |percent: u64| say(format!("{path}: a sanitize that was begun before is {percent} % done"));
    match dialect(bay, disk) {
        Dialect::None => Ok(false),
        Dialect::Nvme => on(bay, disk, |orders| NvmeDisk(orders).settle(&told)),
        Dialect::Scsi => on(bay, disk, |orders| {
            if ScsiDisk(orders).abilities()?.ata {
                ata_erase::unlock(&AtaDisk(orders))
            } else {
                ScsiDisk(orders).wait(&told)
            }
        }),
    }
}

/// A partition has no firmware of its own: what is said through it is said to the whole disk, and erases that.
fn dialect(bay: &dyn Bay, disk: &Disk) -> Dialect {
    if disk.is_partition { Dialect::None } else { bay.dialect(&disk.path) }
}

fn on<T>(
    bay: &dyn Bay,
    disk: &Disk,
    act: impl FnOnce(&dyn Orders) -> Result<T, FirmwareError>,
) -> Result<T, DiskError> {
    let device = BlockDevice::open(&disk.path, Access::Read).map_err(DiskError::io("opening", &disk.path))?;
    let orders = bay.orders(&device);
    act(orders.as_ref()).map_err(|error| DiskError::firmware(&disk.path, &error))
}

/// Has the device erase itself. `told` hears the share that is done in percent, `say` what a person should know.
///
/// # Errors
/// What the device says; see [`ata_erase::erase`] for the state that it is left in.
pub fn erase(
    bay: &dyn Bay,
    device: &BlockDevice,
    method: Method,
    told: &dyn Fn(u64),
    say: &dyn Fn(String),
) -> Result<(), DiskError> {
    let orders = bay.orders(device);
    let orders = orders.as_ref();
    let done = match method {
        Method::NvmeFormat { crypto, .. } => NvmeDisk(orders).format(crypto),
        Method::NvmeSanitize(how) => NvmeDisk(orders).sanitize(how, told),
        Method::AtaSecurity { enhanced } => ata_erase::erase(&AtaDisk(orders), enhanced, say),
        Method::ScsiSanitize(how) => ScsiDisk(orders).sanitize(how, told),
        Method::Discard | Method::DiscardAndZero | Method::Overwrite => {
            Err(FirmwareError::Unknown { doing: method.name() })
        }
    };
    done.map_err(|error| DiskError::firmware(device.path(), &error))
}
