//! A disk's own word about itself: SMART of ATA disks (ACS-4, behind SAT), informational exceptions and temperature of SCSI disks
//! (SPC-5), the health log of NVMe (base specification 1.4, log page 02h). Questions only: nothing is switched on or tested.

use crate::sys::block::{Access, BlockDevice};
use crate::sys::disk_list::FoundDisk;
use crate::sys::orders::{AdminOrder, Bay, Data, Dialect, Orders};
use crate::sys::sysfs::Roots;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::time::Duration;

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(3);
const BLOCK: usize = 512;
/// Log pages of SCSI disks.
const TEMPERATURE: u8 = 0x0d;
const EXCEPTIONS: u8 = 0x2f;

/// What the disk and the kernel say; `None` if neither says anything.
pub fn read(roots: &Roots, disk: &FoundDisk, bay: &dyn Bay) -> Option<Value> {
    let mut told = Map::new();
    let failed = roots.text(format!("/sys/block/{}/device/ioerr_cnt", disk.kernel_name));
    let failed = failed.and_then(|text| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok());
    told.extend(failed.filter(|count| *count > 0).map(|count| ("kernel_errors".to_owned(), count.into())));
    // Bridges to USB may hang on what they do not know; disks of captured trees cannot be asked.
    if roots.is_machine() && disk.identity.tran.as_deref() != Some("usb") {
        let path = Path::new(&disk.path);
        if let Ok(device) = BlockDevice::open(path, Access::Read) {
            let is_ata = disk.identity.vendor.as_deref() == Some("ATA");
            told.extend(ask(bay.orders(&device).as_ref(), bay.dialect(path), is_ata).into_iter().flatten());
        }
    }
    if told.is_empty() {
        return None;
    }
    told.insert("name".into(), disk.path.as_str().into());
    Some(told.into())
}

/// What the drive itself says, in the words of the inventory; `None` when it says nothing that is understood.
pub fn ask(orders: &dyn Orders, dialect: Dialect, is_ata: bool) -> Option<Map<String, Value>> {
    let told = match dialect {
        Dialect::Nvme => nvme(&health_log(orders)?),
        Dialect::Scsi if is_ata => {
            let mut told = smart(&smart_data(orders)?)?;
            told.as_object_mut()?.insert("passed".into(), smart_status(orders).into());
            told
        }
        Dialect::Scsi => scsi(orders)?,
        Dialect::None => return None,
    };
    told.as_object().cloned()
}

/// Get Log Page 02h for the whole controller.
fn health_log(orders: &dyn Orders) -> Option<[u8; BLOCK]> {
    let mut page = [0; BLOCK];
    let dwords = (BLOCK / 4 - 1) as u32;
    let order = AdminOrder { opcode: 0x02, namespace: u32::MAX, cdw10: dwords << 16 | 0x02, cdw11: 0, time: PATIENCE };
    let reply = orders.admin(&order, &mut page).ok()?;
    (reply.status == 0).then_some(page)
}

fn nvme(page: &[u8; BLOCK]) -> Value {
    // Counters have 128 bits; more than 64 count nothing that a disk could do.
    let counter = |at: usize| {
        let bytes = page.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u64::from_le_bytes)
    };
    let kelvin = u16::from_le_bytes([page[1], page[2]]);
    json!({
        "source": "nvme",
        "passed": page[0] == 0,
        "critical_warning": page[0],
        "temperature_celsius": (kelvin > 0).then(|| i32::from(kelvin) - 273),
        "available_spare_percent": page[3],
        "spare_threshold_percent": page[4],
        "percentage_used": page[5],
        "power_cycles": counter(112),
        "power_on_hours": counter(128),
        "unsafe_shutdowns": counter(144),
        "media_errors": counter(160),
        "error_log_entries": counter(176),
    })
}

/// ATA PASS-THROUGH (16) around a SMART command; `features` says which.
fn smart_command(features: u8, protocol: u8, flags: u8) -> [u8; 16] {
    let mut command = [0; 16];
    (command[0], command[1], command[2]) = (0x85, protocol << 1, flags);
    (command[4], command[6]) = (features, 1);
    (command[10], command[12], command[14]) = (0x4f, 0xc2, 0xb0);
    command
}

fn smart_data(orders: &dyn Orders) -> Option<[u8; BLOCK]> {
    let mut data = [0; BLOCK];
    // PIO from the device, length in blocks in the count.
    let reply = orders.scsi(&smart_command(0xd0, 4, 0x0e), Data::In(&mut data), PATIENCE).ok()?;
    (reply.status == 0 && reply.transferred == BLOCK).then_some(data)
}

/// True: below no threshold; false: the disk expects to fail; none: it does not say.
fn smart_status(orders: &dyn Orders) -> Option<bool> {
    // No data, and the registers come back as sense data.
    let reply = orders.scsi(&smart_command(0xda, 3, 0x20), Data::None, PATIENCE).ok()?;
    let descriptor = reply
        .sense
        .get(8..22)
        .filter(|bytes| reply.sense.first().map(|code| code & 0x7f) == Some(0x72) && bytes[0] == 0x09)?;
    match (descriptor[9], descriptor[11]) {
        (0x4f, 0xc2) => Some(true),
        (0xf4, 0x2c) => Some(false),
        _ => None,
    }
}

/// The attributes whose meaning makers agree on. `None` for a block whose checksum is wrong.
fn smart(data: &[u8; BLOCK]) -> Option<Value> {
    if data.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) != 0 {
        return None;
    }
    let raw = |id: u8| {
        let row = data.get(2..362)?.chunks_exact(12).find(|row| row.first() == Some(&id))?;
        Some(row.get(5..11)?.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte)))
    };
    // Some put more than the number into the upper bytes: hours have four, temperatures one.
    let celsius = raw(194).or_else(|| raw(190)).map(|value| value & 0xff);
    Some(json!({
        "source": "smart",
        "temperature_celsius": celsius,
        "power_on_hours": raw(9).map(|value| value & 0xffff_ffff),
        "power_cycles": raw(12),
        "reallocated_sectors": raw(5),
        "pending_sectors": raw(197),
        "uncorrectable_sectors": raw(198),
        "reported_uncorrectable": raw(187),
        "link_crc_errors": raw(199),
    }))
}

/// What the disk predicts, and how hot it is: many SAS disks have no page of exceptions, and tell their temperature all the same.
fn scsi(orders: &dyn Orders) -> Option<Value> {
    let page = log_page(orders, EXCEPTIONS);
    let (passed, hot) = page.and_then(|page| exceptions(&page)).unwrap_or_default();
    let hot = hot.or_else(|| celsius(parameter(&log_page(orders, TEMPERATURE)?, TEMPERATURE, 2)?.get(1)));
    (passed.is_some() || hot.is_some()).then(|| json!({"source": "scsi", "passed": passed, "temperature_celsius": hot}))
}

/// LOG SENSE, current values of a page.
fn log_page(orders: &dyn Orders, code: u8) -> Option<Vec<u8>> {
    let mut page = vec![0; 64];
    let mut command = [0; 10];
    (command[0], command[2], command[8]) = (0x4d, 0x40 | code, page.len() as u8);
    let reply = orders.scsi(&command, Data::In(&mut page), PATIENCE).ok()?;
    page.truncate(reply.transferred);
    (reply.status == 0).then_some(page)
}

/// The value of the first parameter (0000h) of a log page, at least `least` bytes of it.
fn parameter(page: &[u8], code: u8, least: u8) -> Option<&[u8]> {
    let header =
        page.get(4..8).filter(|header| page[0] & 0x3f == code && header[..2] == [0, 0] && header[3] >= least)?;
    page.get(8..8 + usize::from(header[3])).or_else(|| page.get(8..8 + usize::from(least)))
}

/// Whether the disk expects no failure (sense codes 5Dh and 0Bh), and its temperature.
fn exceptions(page: &[u8]) -> Option<(Option<bool>, Option<u8>)> {
    let value = parameter(page, EXCEPTIONS, 3)?;
    Some((Some(!matches!(value[0], 0x5d | 0x0b)), celsius(value.get(2))))
}

/// Nothing for what means "not known".
fn celsius(byte: Option<&u8>) -> Option<u8> {
    byte.copied().filter(|celsius| !matches!(celsius, 0 | 0xff))
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, ask, exceptions, nvme, smart};
    use crate::sys::orders::{AdminOrder, AdminReply, Data, Dialect, Orders, ScsiReply};
    use proptest::prelude::{any, prop, proptest};
    use std::io;
    use std::time::Duration;

    /// Answers as a disk of the given kind does; `sick` disks say so.
    struct Disk {
        sick: bool,
    }

    fn smart_block() -> [u8; BLOCK] {
        let mut data = [0u8; BLOCK];
        for (at, (id, raw)) in
            [(9u8, [0x10, 0x27, 0, 0, 9, 9]), (194, [35, 0, 20, 0, 50, 0]), (5, [7, 0, 0, 0, 0, 0])].iter().enumerate()
        {
            data[2 + at * 12] = *id;
            data[2 + at * 12 + 5..2 + at * 12 + 11].copy_from_slice(raw);
        }
        data[511] = data.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg();
        data
    }

    impl Orders for Disk {
        fn scsi(&self, command: &[u8], data: Data<'_>, _: Duration) -> io::Result<ScsiReply> {
            match (command, data) {
                ([0x85, 0x08, 0x0e, _, 0xd0, _, 1, _, _, _, 0x4f, _, 0xc2, _, 0xb0, _], Data::In(place)) => {
                    place.copy_from_slice(&smart_block());
                    Ok(ScsiReply { transferred: BLOCK, ..Default::default() })
                }
                ([0x85, 0x06, 0x20, _, 0xda, ..], Data::None) => {
                    let mut sense = vec![0x72, 1, 0, 0x1d, 0, 0, 0, 14, 0x09, 12];
                    sense.resize(22, 0);
                    (sense[17], sense[19]) = if self.sick { (0xf4, 0x2c) } else { (0x4f, 0xc2) };
                    Ok(ScsiReply { status: 2, sense, transferred: 0 })
                }
                ([0x4d, _, 0x6f, ..], Data::In(place)) => {
                    let page = [0x2f, 0, 0, 8, 0, 0, 3, 4, if self.sick { 0x5d } else { 0 }, 0, 31, 65];
                    place[..12].copy_from_slice(&page);
                    Ok(ScsiReply { transferred: 12, ..Default::default() })
                }
                _ => Err(io::ErrorKind::Unsupported.into()),
            }
        }

        fn admin(&self, order: &AdminOrder, data: &mut [u8]) -> io::Result<AdminReply> {
            assert_eq!((order.opcode, order.namespace, order.cdw10), (2, u32::MAX, 127 << 16 | 2));
            data.fill(0);
            (data[0], data[1], data[2], data[5], data[128], data[160]) =
                (u8::from(self.sick) << 2, 0x37, 0x01, 3, 200, 1);
            Ok(AdminReply::default())
        }

        fn namespace(&self) -> io::Result<u32> {
            Ok(1)
        }
    }

    #[test]
    fn disks_of_each_kind_tell_health_and_sickness() {
        for sick in [false, true] {
            let ata = ask(&Disk { sick }, Dialect::Scsi, true).unwrap();
            assert_eq!((&ata["passed"], &ata["power_on_hours"]), (&(!sick).into(), &10_000.into()));
            assert_eq!((&ata["temperature_celsius"], &ata["reallocated_sectors"]), (&35.into(), &7.into()));
            let scsi = ask(&Disk { sick }, Dialect::Scsi, false).unwrap();
            assert_eq!((&scsi["passed"], &scsi["temperature_celsius"]), (&(!sick).into(), &31.into()));
            let nvme = ask(&Disk { sick }, Dialect::Nvme, false).unwrap();
            assert_eq!((&nvme["passed"], &nvme["temperature_celsius"]), (&(!sick).into(), &38.into()));
            assert_eq!((&nvme["power_on_hours"], &nvme["media_errors"]), (&200.into(), &1.into()));
        }
        assert!(ask(&Disk { sick: false }, Dialect::None, false).is_none());
    }

    #[test]
    fn a_block_with_a_wrong_checksum_says_nothing() {
        let mut data = smart_block();
        data[100] ^= 1;
        assert!(smart(&data).is_none());
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), BLOCK), short in prop::collection::vec(any::<u8>(), 0..20)) {
            let mut block: [u8; BLOCK] = bytes.try_into().unwrap();
            let _ = (nvme(&block), smart(&block), exceptions(&short));
            block[511] = block[..511].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg();
            assert!(smart(&block).is_some());
        }
    }
}
