//! What firmware, devices and switches say.

use agent::disk::ata::AtaDisk;
use agent::disk::nvme::NvmeDisk;
use agent::disk::scsi::ScsiDisk;
use agent::disk::{ata_erase, boot_option, device_path};
use agent::hardware::health::disk::ask;
use agent::hardware::lldp::{parsed, pieces};
use agent::hardware::{bmc, dmi, smbios};
use agent::sys::ipmi::InBandBmc;
use agent::sys::orders::{AdminOrder, AdminReply, Data, Dialect, Orders, ScsiReply};
use agent::sys::{text, udev_db, vpd};
use std::cell::RefCell;
use std::io;
use std::time::Duration;

/// UEFI variables.
pub fn boot_option(data: &[u8]) {
    let _ = boot_option::label(data);
    let _ = boot_option::order(data);
    let name = String::from_utf8_lossy(data);
    let _ = boot_option::number(&name);
    let _ = (device_path::nodes(data), device_path::text(data), device_path::partition(data));
}

/// A BMC that says what it likes: a length, then so many bytes, until there are none left.
struct Talker<'a>(&'a [u8]);

impl InBandBmc for Talker<'_> {
    fn ask(&mut self, _: u8, _: u8, _: &[u8]) -> io::Result<Vec<u8>> {
        let (length, rest) = self.0.split_first().ok_or(io::ErrorKind::TimedOut)?;
        let (answer, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        self.0 = rest;
        Ok(answer.to_vec())
    }
}

/// The answers of a BMC to the questions about its addresses.
pub fn bmc(data: &[u8]) {
    if let Ok(found) = bmc::interview(&mut Talker(data)) {
        let addresses = [found.address, found.v6_address].into_iter().flatten();
        addresses.for_each(|address| assert!(address.len() <= 39 && !address.is_empty(), "{address:?}"));
    }
}

/// SMBIOS tables.
pub fn smbios(data: &[u8]) {
    let _ = smbios::parse(data);
}

/// What `dmidecode` prints.
pub fn dmidecode(data: &[u8]) {
    let _ = dmi::parse(&String::from_utf8_lossy(data));
}

/// Ethernet frames of switches.
pub fn lldp(data: &[u8]) {
    if let Some(found) = pieces(data) {
        let _ = (parsed::vlans(&found), parsed::parsed(&found));
    }
}

/// Texts of sysfs, EDID-like hostile ones, vital product data, udev's database.
pub fn sysfs_text(data: &[u8]) {
    for limit in [0, 1, 64, 4096] {
        let clean = text::clean(data, limit);
        assert!(!clean.chars().any(char::is_control), "{clean:?}");
        let _ = (text::clean_or_none(data, limit), text::clean_lines(data, limit));
    }
    let _ = (vpd::serial(data), vpd::world_wide_name(data), udev_db::parse(data));
    let _ = udev_db::decode(&String::from_utf8_lossy(data));
}

/// A disk whose firmware says whatever comes next; when nothing is left, it hangs.
struct Drive<'a>(RefCell<&'a [u8]>);

impl Drive<'_> {
    fn byte(&self) -> io::Result<u8> {
        let mut left = self.0.borrow_mut();
        let (first, rest) = left.split_first().ok_or(io::ErrorKind::TimedOut)?;
        *left = rest;
        Ok(*first)
    }

    fn fill(&self, room: &mut [u8]) -> usize {
        let mut left = self.0.borrow_mut();
        let length = room.len().min(left.len());
        room[..length].copy_from_slice(&left[..length]);
        *left = &left[length..];
        length
    }
}

impl Orders for Drive<'_> {
    fn scsi(&self, _: &[u8], data: Data<'_>, _: Duration) -> io::Result<ScsiReply> {
        let mut sense = vec![0; usize::from(self.byte()? & 63)];
        let status = if sense.is_empty() { 0 } else { 2 };
        self.fill(&mut sense);
        let transferred = if let Data::In(room) = data { self.fill(room) } else { 0 };
        Ok(ScsiReply { status, sense, transferred })
    }

    fn admin(&self, _: &AdminOrder, data: &mut [u8]) -> io::Result<AdminReply> {
        let status = self.byte()?;
        self.fill(data);
        Ok(AdminReply { status: if status < 0xf0 { 0 } else { u16::from(status) }, result: 0 })
    }

    fn namespace(&self) -> io::Result<u32> {
        self.byte().map(u32::from)
    }

    fn pause(&self, _: Duration) {}
}

/// Answers of disks to ATA, SCSI and NVMe orders, whole conversations long.
pub fn drive_answers(data: &[u8]) {
    let drive = || Drive(RefCell::new(data));
    let _ = ScsiDisk(&drive()).abilities();
    let _ = ScsiDisk(&drive()).wait(&|_| ());
    let _ = AtaDisk(&drive()).identify();
    let _ = ata_erase::unlock(&AtaDisk(&drive()));
    let _ = ata_erase::erase(&AtaDisk(&drive()), true, &|_| ());
    let _ = NvmeDisk(&drive()).abilities();
    let _ = NvmeDisk(&drive()).settle(&|percent| assert!(percent < 100));
    let _ = NvmeDisk(&drive()).format(true);
    let _ =
        (ask(&drive(), Dialect::Nvme, false), ask(&drive(), Dialect::Scsi, true), ask(&drive(), Dialect::Scsi, false));
}
