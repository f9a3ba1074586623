//! UEFI device paths as text, in the words of `efibootmgr -v`: what patterns of operators are compared with.
//!
//! UEFI specification 10.3. Firmware wrote the bytes, and tenants could: every length is checked, and what is not known
//! is shown by its numbers.

use super::boot_option::DiskSignature;
use std::fmt::Write;

/// Most nodes of one path.
const MAX_NODES: usize = 32;
/// Longest text made of one path.
const MAX_TEXT: usize = 2048;

/// One step of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node<'a> {
    /// Hardware, ACPI, messaging, media, BIOS.
    pub kind: u8,
    /// Meaning by `kind`.
    pub sub: u8,
    /// What follows the four bytes of its head.
    pub data: &'a [u8],
}

/// The nodes up to the end mark; none when a length contradicts the bytes there are.
pub fn nodes(mut bytes: &[u8]) -> Option<Vec<Node<'_>>> {
    let mut found = Vec::new();
    while found.len() < MAX_NODES {
        let [kind, sub, low, high, ..] = *bytes else { return bytes.is_empty().then_some(found) };
        let length = usize::from(u16::from_le_bytes([low, high]));
        let (node, rest) = (length >= 4).then(|| bytes.split_at_checked(length))??;
        if kind == 0x7f {
            return Some(found);
        }
        found.push(Node { kind, sub, data: &node[4..] });
        bytes = rest;
    }
    None
}

/// The whole path; none when it is malformed.
pub fn text(bytes: &[u8]) -> Option<String> {
    let mut text = String::new();
    for node in nodes(bytes)? {
        if !text.is_empty() {
            text.push('/');
        }
        text.push_str(&shown(&node));
        if text.len() > MAX_TEXT {
            text = text.chars().take(MAX_TEXT).collect();
            break;
        }
    }
    Some(text)
}

/// The partition a path begins with, if it begins with one.
pub fn partition(bytes: &[u8]) -> Option<DiskSignature> {
    let first = nodes(bytes)?.into_iter().find(|node| (node.kind, node.sub) == (4, 1))?;
    match (first.data.get(20..36), first.data.get(37)) {
        (Some(id), Some(2)) => Some(DiskSignature::Gpt(id.try_into().ok()?)),
        (Some(id), Some(1)) => Some(DiskSignature::Mbr(id[..4].try_into().ok()?)),
        _ => None,
    }
}

fn shown(node: &Node<'_>) -> String {
    known(node).unwrap_or_else(|| format!("Path({},{},{})", node.kind, node.sub, hex(node.data)))
}

fn known(node: &Node<'_>) -> Option<String> {
    let data = node.data;
    let byte = |at: usize| data.get(at).copied();
    let short = |at: usize| Some(u16::from_le_bytes(data.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_le_bytes(data.get(at..at + 4)?.try_into().ok()?));
    let long = |at: usize| Some(u64::from_le_bytes(data.get(at..at + 8)?.try_into().ok()?));
    let vendor = |name: &str| {
        let rest = data.get(16..)?;
        let comma = if rest.is_empty() { "" } else { "," };
        Some(format!("{name}({}{comma}{})", guid(data)?, hex(rest)))
    };
    Some(match (node.kind, node.sub) {
        (1, 1) => format!("Pci({:#x},{:#x})", byte(1)?, byte(0)?),
        (1, 4) => return vendor("VenHw"),
        (2, 1) => match word(0)? {
            0x0a03_41d0 => format!("PciRoot({:#x})", word(4)?),
            0x0a08_41d0 => format!("PcieRoot({:#x})", word(4)?),
            other => format!("Acpi({other:#x},{:#x})", word(4)?),
        },
        (3, 2) => format!("SCSI({},{})", short(0)?, short(2)?),
        (3, 5) => format!("USB({},{})", byte(0)?, byte(1)?),
        (3, 10) => return vendor("VenMsg"),
        (3, 11) => format!("MAC({},{})", hex(data.get(..6)?), byte(32)?),
        (3, 12) => "IPv4(0.0.0.00.0.0.0,0,0)".into(),
        (3, 15) => format!("UsbClass({:#x},{:#x},{},{},{})", short(0)?, short(2)?, byte(4)?, byte(5)?, byte(6)?),
        (3, 18) => format!("Sata({},{},{})", short(0)?, short(2)?, short(4)?),
        (3, 23) => {
            let id: Vec<String> = data.get(4..12)?.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("NVMe({:#x},{})", word(0)?, id.join("-"))
        }
        (3, 24) => format!("Uri({})", printable(data)),
        (4, 1) => {
            let id = match byte(37)? {
                2 => format!("GPT,{}", guid(data.get(20..36)?)?),
                1 => format!("MBR,{:#x}", word(20)?),
                other => format!("{other},{}", hex(data.get(20..36)?)),
            };
            format!("HD({},{id},{:#x},{:#x})", word(0)?, long(4)?, long(12)?)
        }
        (4, 3) => return vendor("VenMedia"),
        (4, 4) => {
            let units: Vec<u16> = data.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
            let end = units.iter().position(|&unit| unit == 0).unwrap_or(units.len());
            format!("File({})", String::from_utf16_lossy(&units[..end]))
        }
        (4, 6) => format!("FvFile({})", guid(data)?),
        (4, 7) => format!("FvVol({})", guid(data)?),
        (5, 1) => {
            let kind = match short(0)? {
                1 => "Floppy".into(),
                2 => "HD".into(),
                3 => "CDROM".into(),
                4 => "PCMCIA".into(),
                5 => "USB".into(),
                6 => "Network".into(),
                other => format!("{other:#x}"),
            };
            let name = data.get(4..)?.split(|byte| *byte == 0).next().unwrap_or_default();
            format!("BBS({kind},{},{:#x})", printable(name), short(2)?)
        }
        _ => return None,
    })
}

fn guid(data: &[u8]) -> Option<String> {
    Some(uuid::Uuid::from_bytes_le(data.get(..16)?.try_into().ok()?).to_string())
}

fn hex(data: &[u8]) -> String {
    data.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Bytes that are not text become dots.
pub fn printable(data: &[u8]) -> String {
    data.iter().map(|&byte| if matches!(byte, 0x20..0x7f) { char::from(byte) } else { '.' }).collect()
}

#[cfg(test)]
mod tests {
    use super::{nodes, partition, text};
    use proptest::prelude::{any, prop, proptest};

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_grow(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 1_u8..6, sub in 0_u8..30) {
            let _ = (text(&bytes), partition(&bytes));
            let mut node = vec![kind, sub];
            node.extend(u16::try_from(bytes.len() + 4).unwrap().to_le_bytes());
            node.extend(&bytes);
            node.extend([0x7f, 0xff, 4, 0]);
            assert_eq!(nodes(&node).unwrap()[0].data, bytes);
            assert!(!text(&node).unwrap().is_empty());
            let _ = partition(&node);
        }
    }
}
