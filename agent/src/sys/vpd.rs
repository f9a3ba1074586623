//! Vital product data pages of SCSI disks: the unit serial number (80h) and the identifiers (83h). Pure parsers.
//!
//! Layouts: SPC-5 sections 7.7.6 (device identification) and 7.7.20 (unit serial number).

use crate::sys::text::clean_or_none;

/// A world wide name, split as udev splits it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorldWideName {
    /// `0x` and sixteen digits.
    pub name: String,
    /// `0x` and the second half of a thirty-two digit name.
    pub vendor_extension: Option<String>,
    /// Both halves.
    pub with_extension: String,
}

/// The serial number in page 80h.
pub fn serial(page: &[u8]) -> Option<String> {
    if page.get(1) != Some(&0x80) {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([*page.get(2)?, *page.get(3)?]));
    let body = page.get(4..)?;
    clean_or_none(body.get(..length.min(body.len()))?, 256)
}

/// The best name of the logical unit itself in page 83h: NAA, else EUI-64.
pub fn world_wide_name(page: &[u8]) -> Option<WorldWideName> {
    if page.get(1) != Some(&0x83) {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([*page.get(2)?, *page.get(3)?]));
    let body = page.get(4..)?;
    let mut rest = body.get(..length.min(body.len()))?;
    let mut found = None;
    while let [codes, kind, _, size, after @ ..] = rest {
        let Some(identifier) = after.get(..usize::from(*size)) else { break };
        let (binary, of_the_unit) = (codes & 0x0f == 1, kind & 0x30 == 0);
        match kind & 0x0f {
            3 if binary && of_the_unit && matches!(identifier.len(), 8 | 16) => return Some(split(identifier)),
            2 if binary && of_the_unit && matches!(identifier.len(), 8 | 16) => found = Some(split(identifier)),
            _ => {}
        }
        rest = after.get(usize::from(*size)..).unwrap_or_default();
    }
    found
}

fn split(identifier: &[u8]) -> WorldWideName {
    let hex: String = identifier.iter().map(|byte| format!("{byte:02x}")).collect();
    let (name, extension) = hex.split_at(hex.len().min(16));
    WorldWideName {
        name: format!("0x{name}"),
        vendor_extension: (!extension.is_empty()).then(|| format!("0x{extension}")),
        with_extension: format!("0x{hex}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{serial, world_wide_name};
    use proptest::prelude::proptest;

    #[test]
    fn serials_are_trimmed_and_short_pages_are_read_as_far_as_they_go() {
        assert_eq!(serial(b"\0\x80\0\x08  ABC12 ").as_deref(), Some("ABC12"));
        assert_eq!(serial(b"\0\x80\xff\xffABC").as_deref(), Some("ABC"));
        assert_eq!(serial(b"\0\x83\0\x03ABC"), None);
        assert_eq!(serial(b"\0\x80"), None);
    }

    #[test]
    fn the_name_of_the_unit_wins_over_its_port_and_over_eui() {
        let mut page = vec![0, 0x83, 0, 0];
        page.extend(b"\x02\x01\0\x04QEMU"); // T10 vendor text
        page.extend([0x01, 0x02, 0, 8, 0, 1, 2, 3, 4, 5, 6, 7]); // EUI-64
        page.extend([0x61, 0x93, 0, 8, 0x50, 0, 0, 0, 0, 0, 0, 9]); // NAA of the port
        page.extend([0x01, 0x03, 0, 8, 0x50, 0x02, 0x53, 0x8f, 0x02, 0x10, 0x5a, 0x31]);
        page[3] = u8::try_from(page.len() - 4).unwrap();
        let name = world_wide_name(&page).unwrap();
        assert_eq!((name.name.as_str(), name.vendor_extension), ("0x5002538f02105a31", None));
        page.truncate(page.len() - 12);
        assert_eq!(world_wide_name(&page).unwrap().name, "0x0001020304050607");
    }

    #[test]
    fn a_long_name_is_split_in_two() {
        let mut page = vec![0, 0x83, 0, 20, 0x01, 0x03, 0, 16];
        page.extend(0x60..0x70u8);
        let name = world_wide_name(&page).unwrap();
        assert_eq!(name.name, "0x6061626364656667");
        assert_eq!(name.vendor_extension.as_deref(), Some("0x68696a6b6c6d6e6f"));
        assert_eq!(name.with_extension, "0x606162636465666768696a6b6c6d6e6f");
    }

    proptest! {
        #[test]
        fn nothing_panics(mut bytes: Vec<u8>, page in 0x80u8..=0x83) {
            let _ = (serial(&bytes), world_wide_name(&bytes));
            if let Some(code) = bytes.get_mut(1) { *code = page; }
            let _ = (serial(&bytes), world_wide_name(&bytes));
        }
    }
}
