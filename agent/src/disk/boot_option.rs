//! `Boot####` variables: how UEFI writes down what to boot (UEFI specification 3.1.3 and 10.3).

/// `LOAD_OPTION_ACTIVE`.
const ACTIVE: u32 = 1;
/// Longest label and path, in UTF-16 units; firmware has little room.
const MAX_TEXT: usize = 512;

/// A partition as firmware finds it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootPartition {
    /// From 1.
    pub number: u32,
    /// In logical blocks.
    pub start: u64,
    /// In logical blocks.
    pub blocks: u64,
    /// How its disk names it.
    pub signature: DiskSignature,
}

/// Identity of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskSignature {
    /// The partition's unique GUID, as stored on the disk.
    Gpt([u8; 16]),
    /// The disk's four bytes at offset 440.
    Mbr([u8; 4]),
}

/// The bytes of a new entry that starts `path` (`\EFI\BOOT\BOOTX64.EFI`) from `partition`.
pub fn encode(label: &str, partition: &BootPartition, path: &str) -> Vec<u8> {
    let mut nodes = vec![4, 1, 42, 0]; // media device path, hard drive
    nodes.extend(partition.number.to_le_bytes());
    nodes.extend(partition.start.to_le_bytes());
    nodes.extend(partition.blocks.to_le_bytes());
    match partition.signature {
        DiskSignature::Gpt(guid) => {
            nodes.extend(guid);
            nodes.extend([2, 2]);
        }
        DiskSignature::Mbr(id) => {
            nodes.extend(id);
            nodes.extend([0; 12]);
            nodes.extend([1, 1]);
        }
    }
    let path = text(path);
    let length = u16::try_from(4 + path.len()).unwrap_or(u16::MAX);
    nodes.extend([4, 4]); // media device path, file
    nodes.extend(length.to_le_bytes());
    nodes.extend(path);
    nodes.extend([0x7f, 0xff, 4, 0]); // end

    let mut option = ACTIVE.to_le_bytes().to_vec();
    option.extend(u16::try_from(nodes.len()).unwrap_or(u16::MAX).to_le_bytes());
    option.extend(text(label));
    option.extend(nodes);
    option
}

fn text(text: &str) -> Vec<u8> {
    text.encode_utf16().take(MAX_TEXT).chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// The label of an entry; none when it is malformed.
pub fn label(option: &[u8]) -> Option<String> {
    let units = option.get(6..)?.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let units: Vec<u16> = units.take(MAX_TEXT + 1).collect();
    let end = units.iter().position(|&unit| unit == 0)?;
    Some(String::from_utf16_lossy(&units[..end]))
}

/// The device path of an entry; none when it is malformed.
pub fn path(option: &[u8]) -> Option<&[u8]> {
    let end = path_end(option)?;
    let length = usize::from(u16::from_le_bytes([option[4], option[5]]));
    option.get(end - length..end)
}

/// Where the device path ends and the loader's own data begins.
pub fn path_end(option: &[u8]) -> Option<usize> {
    let length = usize::from(u16::from_le_bytes(option.get(4..6)?.try_into().ok()?));
    let units = option.get(6..)?.as_chunks::<2>().0;
    let label = units.iter().take(MAX_TEXT + 1).position(|unit| *unit == [0, 0])?;
    let end = 6 + (label + 1) * 2 + length;
    (end <= option.len()).then_some(end)
}

/// The number in `Boot001F`; none for other variables.
pub fn number(name: &str) -> Option<u16> {
    let digits = name.strip_prefix("Boot").filter(|digits| digits.len() == 4)?;
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

/// Reads `BootOrder`.
pub fn order(value: &[u8]) -> Vec<u16> {
    value.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
}

#[cfg(test)]
mod tests {
    use super::{BootPartition, DiskSignature, encode, label, number, order, path};
    use proptest::prelude::{any, prop_assert_eq, proptest};

    fn esp(signature: DiskSignature) -> BootPartition {
        BootPartition { number: 15, start: 2048, blocks: 217_088, signature }
    }

    /// As `efibootmgr -v -c -d disk -p 15 -L shim -l '\EFI\BOOT\BOOTX64.EFI'` writes it.
    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let guid = *b"\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b";
        let option = encode("shim", &esp(DiskSignature::Gpt(guid)), r"\EFI\BOOT\BOOTX64.EFI");
        let path_bytes = (r"\EFI\BOOT\BOOTX64.EFI".len() + 1) * 2;
        assert_eq!(option[..4], [1, 0, 0, 0]);
        assert_eq!(usize::from(u16::from_le_bytes([option[4], option[5]])), 42 + 4 + path_bytes + 4);
        assert_eq!(option[6..16], *b"s\0h\0i\0m\0\0\0");
        assert_eq!(option[16..24], [4, 1, 42, 0, 15, 0, 0, 0]);
        assert_eq!(option[24..40], [0, 8, 0, 0, 0, 0, 0, 0, 0, 0x50, 3, 0, 0, 0, 0, 0]);
        assert_eq!(option[40..56], guid);
        assert_eq!(option[56..58], [2, 2]);
        assert_eq!(option[58..62], [4, 4, (4 + path_bytes) as u8, 0]);
        assert_eq!(option[62..66], *b"\\\0E\0");
        assert_eq!(option[option.len() - 4..], [0x7f, 0xff, 4, 0]);

        let option = encode("x", &esp(DiskSignature::Mbr([1, 2, 3, 4])), r"\A");
        assert_eq!(option[34..52], [1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    }

    #[test]
    fn only_boot_entries_have_numbers() {
        assert_eq!(number("Boot001F"), Some(31));
        for name in ["BootOrder", "Boot01", "Boot+001", "BootNext", "Boot00000"] {
            assert_eq!(number(name), None, "{name}");
        }
        assert_eq!(order(&[1, 0, 0x1f, 0, 9]), [1, 31]);
    }

    proptest! {
        #[test]
        fn labels_are_read_back_and_garbage_is_harmless(text in "[^\0]{0,80}", garbage in proptest::collection::vec(any::<u8>(), 0..80)) {
            let option = encode(&text, &esp(DiskSignature::Mbr([0; 4])), r"\x");
            prop_assert_eq!(label(&option), Some(text));
            let _ = (label(&garbage), order(&garbage), path(&garbage));
            let device_path = path(&option).unwrap();
            assert!(device_path.ends_with(&[0x7f, 0xff, 4, 0]) && device_path.starts_with(&[4, 1, 42, 0]));
        }
    }
}
