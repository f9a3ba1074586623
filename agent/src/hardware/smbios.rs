//! What the firmware says in its SMBIOS tables: maker, serial, BIOS, installed memory, processors.
//!
//! The tables need root; other users get what the kernel shows in `/sys/class/dmi/id`, and ARM boards their device tree.

use crate::sys::sysfs::{Roots, Unread};
use crate::sys::text::{MAX_TEXT, clean};
use common::inventory::{Firmware as Bios, SystemVendor};
use smbioslib::{UndefinedStruct, UndefinedStructTable};

const TABLES: &str = "/sys/firmware/dmi/tables/DMI";
/// Largest tables seen on big machines are about 40 KiB.
const MAX_TABLES: usize = 1 << 20;

/// What firmware told, cleaned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Firmware {
    /// As the inventory has it; unknown texts are empty.
    pub vendor: SystemVendor,
    /// MiB installed; `None` = unknown.
    pub memory_mb: Option<u64>,
    /// Name of the first processor.
    pub processor: Option<String>,
    /// Sockets with a processor in them.
    pub sockets: Option<u64>,
}

/// Reads the tables, or what stands in for them.
pub fn read(roots: &Roots, unread: &mut Vec<Unread>) -> Firmware {
    let tables = match roots.bytes(TABLES, MAX_TABLES) {
        Ok(tables) => tables,
        Err(refused) => {
            unread.push(refused);
            None
        }
    };
    let mut firmware = tables.as_ref().map(|bytes| parse(bytes)).unwrap_or_default();
    if tables.is_some() && firmware == unknown() {
        unread.push(Unread { what: TABLES.into(), why: "malformed: no structure could be read from it".into() });
    } else if tables.is_none() && unread.is_empty() && !roots.exists("/sys/class/dmi/id") {
        let why = "this machine has no SMBIOS tables: maker, serial and exact memory size are not known".into();
        unread.push(Unread { what: TABLES.into(), why });
    }
    fill(roots, &mut firmware.vendor, unread);
    firmware
}

fn unknown() -> Firmware {
    parse(&[])
}

/// Fills what is still empty from the kernel's own copies.
fn fill(roots: &Roots, vendor: &mut SystemVendor, unread: &mut Vec<Unread>) {
    let mut take = |place: &mut Option<String>, file: &str, tree: Option<&str>| {
        if place.as_ref().is_some_and(|text| !text.is_empty()) {
            return;
        }
        let path = format!("/sys/class/dmi/id/{file}");
        let bytes = roots.bytes(&path, MAX_TEXT).unwrap_or_else(|refused| {
            unread.push(refused);
            None
        });
        let tree = || roots.text(format!("/proc/device-tree/{}", tree?));
        let text = bytes.map(|bytes| clean(&bytes, MAX_TEXT)).filter(|text| !text.is_empty()).or_else(tree);
        *place = Some(text.unwrap_or_default());
    };
    take(&mut vendor.manufacturer, "sys_vendor", None);
    take(&mut vendor.product_name, "product_name", Some("model"));
    take(&mut vendor.serial_number, "product_serial", Some("serial-number"));
    take(&mut vendor.firmware.vendor, "bios_vendor", None);
    take(&mut vendor.firmware.version, "bios_version", None);
    take(&mut vendor.firmware.build_date, "bios_date", None);
}

/// Reads structures as far as they are well formed; never fails.
pub fn parse(tables: &[u8]) -> Firmware {
    let table = UndefinedStructTable::from(tables.to_vec());
    let of_type = |kind: u8| table.iter().filter(move |structure| structure.header.struct_type() == kind);
    let bios = of_type(0).next();
    let system = of_type(1).next();
    let text = |structure: Option<&UndefinedStruct>, offset: usize| {
        Some(structure.and_then(|structure| string(structure, offset)).unwrap_or_default())
    };
    // Memory devices of other arrays (type 16 with a use other than system memory) are flash and caches.
    let foreign: Vec<u16> =
        of_type(16).filter(|array| array.get_field_byte(0x05) != Some(3)).map(|array| *array.header.handle()).collect();
    let devices =
        of_type(17).filter(|device| device.get_field_word(0x04).is_none_or(|array| !foreign.contains(&array)));
    let bytes = devices.filter_map(size).fold(0u64, u64::saturating_add);
    // Type 4: bit 6 of the status says that the socket is populated.
    let populated = || of_type(4).filter(|socket| socket.get_field_byte(0x18).is_some_and(|status| status & 0x40 != 0));
    Firmware {
        vendor: SystemVendor {
            product_name: text(system, 0x05),
            serial_number: text(system, 0x07),
            manufacturer: text(system, 0x04),
            firmware: Bios { vendor: text(bios, 0x04), version: text(bios, 0x05), build_date: text(bios, 0x08) },
        },
        memory_mb: Some(bytes >> 20).filter(|&mib| mib > 0),
        processor: populated().find_map(|socket| string(socket, 0x10)),
        sockets: Some(populated().count() as u64).filter(|&count| count > 0),
    }
}

/// A string of a structure as clean text. The crate's own getter drops a string with one bad byte.
fn string(structure: &UndefinedStruct, offset: usize) -> Option<String> {
    let number = usize::from(structure.get_field_byte(offset)?).checked_sub(1)?;
    let text = clean(structure.strings.iter().nth(number)?, MAX_TEXT);
    Some(text).filter(|text| !text.is_empty())
}

/// Bytes in one memory device (type 17); nothing for empty slots and unknown sizes.
fn size(device: &UndefinedStruct) -> Option<u64> {
    match device.get_field_word(0x0c)? {
        0 | 0xffff => None,
        // The size did not fit: MiB in the extended field.
        0x7fff => Some(u64::from(device.get_field_dword(0x1c)? & 0x7fff_ffff) << 20),
        kib if kib & 0x8000 != 0 => Some(u64::from(kib & 0x7fff) << 10),
        mib => Some(u64::from(mib) << 20),
    }
}

#[cfg(test)]
mod tests {
    use super::{Firmware, parse, unknown};
    use crate::hardware::tests::tables::{Tables, example};
    use proptest::prelude::{any, proptest};

    #[test]
    fn maker_bios_memory_and_processors_are_read() {
        let firmware = parse(&example());
        assert_eq!(firmware.vendor.manufacturer.as_deref(), Some("Dell Inc."));
        assert_eq!(firmware.vendor.product_name.as_deref(), Some("PowerEdge R650"));
        assert_eq!(firmware.vendor.serial_number.as_deref(), Some("7XK3QP3"));
        assert_eq!(firmware.vendor.firmware.version.as_deref(), Some("1.12.1"));
        assert_eq!(firmware.vendor.firmware.build_date.as_deref(), Some("09/22/2023"));
        assert_eq!(firmware.processor.as_deref(), Some("Intel(R) Xeon(R) Silver 4314 CPU @ 2.40GHz"));
        assert_eq!(firmware.sockets, Some(2), "the third socket is empty");
        // 16 GiB + 64 GiB (extended) + 512 KiB; an empty slot, an unknown size and 16 MiB of flash do not count.
        assert_eq!(firmware.memory_mb, Some(16 * 1024 + 64 * 1024));
    }

    #[test]
    fn a_table_cut_anywhere_gives_what_was_whole() {
        let whole = example();
        for length in 0..whole.len() {
            let firmware = parse(&whole[..length]);
            assert!(firmware.memory_mb.unwrap_or(0) <= 80 * 1024);
        }
        assert_eq!(parse(&[]), unknown());
        assert_eq!(parse(&[1, 200, 0, 0, 1, 2]), unknown());
    }

    #[test]
    fn hostile_strings_are_cleaned_and_bad_string_numbers_are_empty() {
        let mut tables = Tables::default();
        tables.add(1, &[1, 9, 0, 2], &[b"Evil\x1b[2J\xff Corp", b"SN\x07\x08"]);
        let vendor = parse(&tables.bytes()).vendor;
        assert_eq!(vendor.manufacturer.as_deref(), Some("Evil[2J\u{fffd} Corp"));
        assert_eq!(vendor.product_name.as_deref(), Some(""));
        assert_eq!(vendor.serial_number.as_deref(), Some("SN"));
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes: Vec<u8>) {
            let _: Firmware = parse(&bytes);
        }

        #[test]
        fn a_flipped_byte_does_not_panic(at in any::<proptest::sample::Index>(), value: u8) {
            let mut bytes = example();
            let at = at.index(bytes.len());
            bytes[at] = value;
            let _: Firmware = parse(&bytes);
        }
    }
}
