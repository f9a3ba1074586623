//! What udev knows about a block device: `ID_*` and `DM_*` values. Empty while udevd has not run.

use crate::sys::sysfs::Roots;
use crate::sys::text::{MAX_TEXT, clean};
use std::collections::BTreeMap;

/// udev properties by name, cleaned.
pub type Properties = BTreeMap<String, String>;

/// Most properties kept for one device; udev itself sets about sixty.
const MAX_PROPERTIES: usize = 512;

/// Properties of the block device `name` with the device number `number` (`8:0`).
///
/// The running machine is asked through libudev; a captured tree through the file that libudev would read.
pub fn block_properties(roots: &Roots, name: &str, number: &str) -> Properties {
    if !roots.is_machine() {
        let file = roots.bytes(format!("/run/udev/data/b{number}"), 256 * 1024).ok().flatten();
        return parse(&file.unwrap_or_default());
    }
    let Some(place) = roots.real(format!("/sys/class/block/{name}")) else { return Properties::new() };
    let Ok(device) = udev::Device::from_syspath(&place) else { return Properties::new() };
    let pairs = device.properties().take(MAX_PROPERTIES).map(|property| {
        let name = clean(property.name().as_encoded_bytes(), 128);
        (name, clean(property.value().as_encoded_bytes(), MAX_TEXT))
    });
    pairs.filter(|(name, value)| !name.is_empty() && !value.is_empty()).collect()
}

/// The `E:NAME=VALUE` lines of a udev database file; the other lines are links, tags and priorities.
pub fn parse(bytes: &[u8]) -> Properties {
    let lines = bytes.split(|&byte| byte == b'\n').filter_map(|line| line.strip_prefix(b"E:")).take(MAX_PROPERTIES);
    let pairs = lines.filter_map(|line| {
        let at = line.iter().position(|&byte| byte == b'=')?;
        let (name, value) = line.split_at_checked(at)?;
        Some((clean(name, 128), clean(value.get(1..)?, MAX_TEXT)))
    });
    pairs.filter(|(name, value)| !name.is_empty() && !value.is_empty()).collect()
}

/// Undoes udev's `\x20` encoding (`ID_MODEL_ENC`); what is not a valid escape stays.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = bytes.get(at + 2..at + 4).filter(|_| bytes.get(at..at + 2) == Some(b"\\x"));
        let value = escape.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        decoded.push(value.unwrap_or(byte));
        at += if value.is_some() { 4 } else { 1 };
    }
    clean(&decoded, MAX_TEXT)
}

#[cfg(test)]
mod tests {
    use super::{decode, parse};
    use proptest::prelude::proptest;

    #[test]
    fn only_property_lines_count_and_hostile_ones_are_cleaned() {
        let file = b"S:disk/by-id/x\nE:ID_MODEL=QEMU\nE:ID_SERIAL=a=b\x1b[2J\xff\nE:EMPTY=\nE:nothing\nI:123\n";
        let known = parse(file);
        assert_eq!(known.get("ID_MODEL").map(String::as_str), Some("QEMU"));
        assert_eq!(known.get("ID_SERIAL").map(String::as_str), Some("a=b[2J\u{fffd}"));
        assert_eq!(known.len(), 2);
    }

    #[test]
    fn encoded_models_are_decoded_and_trimmed() {
        assert_eq!(decode(r"SAMSUNG\x20MZ7L3\x20\x20\x20"), "SAMSUNG MZ7L3");
        assert_eq!(decode(r"a\xzz\x1b[m\x4"), r"a\xzz[m\x4");
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes: Vec<u8>, text: String) {
            let _ = (parse(&bytes), decode(&text));
        }
    }
}
