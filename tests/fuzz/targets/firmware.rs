//! What firmware, devices and switches say.

use agent::disk::boot_option;
use agent::hardware::lldp::{parsed, pieces};
use agent::hardware::{dmi, smbios};
use agent::sys::{text, udev_db, vpd};

/// UEFI variables.
pub fn boot_option(data: &[u8]) {
    let _ = boot_option::label(data);
    let _ = boot_option::order(data);
    let name = String::from_utf8_lossy(data);
    let _ = boot_option::number(&name);
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
