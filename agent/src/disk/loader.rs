//! Which program on the EFI system partition starts the system, and what its boot entry is called (ipa-features 22).

use super::fat::{Entry, Fat};
use std::io;

/// Names that end the search: they say themselves what to start, and under which label.
const LISTS: [&str; 3] = ["bootx64.csv", "bootaa64.csv", "boot.csv"];
/// Names that are boot loaders.
const LOADERS: [&str; 10] = [
    "bootia32.efi",
    "bootx64.efi",
    "bootia64.efi",
    "bootarm.efi",
    "bootaa64.efi",
    "bootriscv32.efi",
    "bootriscv64.efi",
    "bootriscv128.efi",
    "grubaa64.efi",
    "winload.efi",
];
/// Longest list read.
const MAX_LIST: usize = 64 << 10;
/// Most rows of a list looked at.
const MAX_ROWS: usize = 64;
/// Longest label.
const MAX_LABEL: usize = 100;
/// Most entries made from file names: an image with hundreds would fill the firmware's store.
const MAX_LOADERS: usize = 8;

/// A loader and the label of its entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loader {
    /// `\EFI\ubuntu\shimx64.efi`
    pub path: String,
    /// `ubuntu`
    pub label: String,
}

/// The loaders of a partition: the one a list names, else every file with a loader's name; this machine's own kind first,
/// because the first entry is the one that boots, then in the order of the names above. Empty: nothing bootable.
///
/// # Errors
/// A file system that cannot be read.
pub fn choose(fat: &Fat<'_>) -> io::Result<Vec<Loader>> {
    let files = fat.walk()?;
    for (path, file) in files.iter().filter(|(_, file)| is_one_of(&LISTS, file)) {
        match named(fat, &files, path, file)? {
            Some(loader) => return Ok(vec![loader]),
            None => tracing::warn!(list = path.join("/"), "this list names no loader that exists; looking further"),
        }
    }
    let rank = |file: &Entry| {
        let known = LOADERS.iter().position(|name| file.name.eq_ignore_ascii_case(name))?;
        Some((!file.name.eq_ignore_ascii_case(OWN), known))
    };
    let mut found: Vec<_> = files.iter().filter_map(|(path, file)| Some((rank(file)?, path))).collect();
    found.sort_by_key(|(rank, _)| *rank);
    let label = |at: usize| format!("ironic{}", at + 1);
    let loaders = found.iter().take(MAX_LOADERS).enumerate();
    Ok(loaders.map(|(at, (_, path))| Loader { path: firmware_path(path), label: label(at) }).collect())
}

/// What firmware of this machine's kind starts by itself.
pub const OWN: &str = if cfg!(target_arch = "aarch64") { "bootaa64.efi" } else { "bootx64.efi" };

fn is_one_of(names: &[&str], file: &Entry) -> bool {
    names.iter().any(|name| file.name.eq_ignore_ascii_case(name))
}

fn firmware_path(path: &[String]) -> String {
    format!("\\{}", path.join("\\"))
}

/// The first row of the list `path` whose file exists beside it.
fn named(fat: &Fat<'_>, files: &[(Vec<String>, Entry)], path: &[String], list: &Entry) -> io::Result<Option<Loader>> {
    let folder = &path[..path.len() - 1];
    let beside = |file: &str| {
        let mut inside = files.iter().filter(|(path, _)| path.len() == folder.len() + 1 && path.starts_with(folder));
        inside.find(|(path, _)| path.last().is_some_and(|name| name.eq_ignore_ascii_case(file)))
    };
    let rows = rows(&fat.read(list, MAX_LIST)?);
    Ok(rows.into_iter().find_map(|(file, label)| {
        let (path, _) = beside(&file)?;
        Some(Loader { path: firmware_path(path), label })
    }))
}

/// File and label of each row. UTF-16, little-endian unless a mark says otherwise; lists without a single zero byte were
/// written by an editor in plain text.
fn rows(bytes: &[u8]) -> Vec<(String, String)> {
    let big = bytes.starts_with(&[0xfe, 0xff]);
    let number = |pair: &[u8; 2]| if big { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) };
    let text = if bytes.contains(&0) || bytes.starts_with(&[0xff, 0xfe]) {
        String::from_utf16_lossy(&bytes.as_chunks::<2>().0.iter().map(number).collect::<Vec<_>>())
    } else {
        String::from_utf8_lossy(bytes).into_owned()
    };
    let printable =
        |label: &str| label.chars().filter(|letter| !letter.is_control()).take(MAX_LABEL).collect::<String>();
    let row = |row: &str| {
        let mut fields = row.split(',').map(|field| field.trim().trim_matches('\0'));
        let file = fields.next().filter(|file| !file.is_empty())?.to_string();
        let label = fields.next().map(printable).filter(|label| !label.is_empty());
        Some((file, label.unwrap_or_else(|| "ironic1".into())))
    };
    text.trim_start_matches('\u{feff}').lines().filter_map(row).take(MAX_ROWS).collect()
}

#[cfg(test)]
mod tests {
    use super::rows;
    use proptest::prelude::{any, prop, proptest};

    fn utf16(text: &str, big: bool) -> Vec<u8> {
        let bytes = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn lists_are_utf16_with_or_without_a_mark() {
        let pair = |file: &str, label: &str| (file.to_string(), label.to_string());
        let expected = [pair("shimx64.efi", "Größe"), pair("other.efi", "other")];
        let row = "shimx64.efi,Größe,,This is the boot entry for ubuntu\r\n,nothing\r\n\r\nother.efi,other\r\n";
        assert_eq!(rows(&utf16(row, false)), expected);
        assert_eq!(rows(&utf16(&format!("\u{feff}{row}"), false)), expected);
        assert_eq!(rows(&utf16(&format!("\u{feff}{row}"), true)), expected);
        assert_eq!(rows(row.as_bytes()), expected, "somebody's editor");
        assert_eq!(rows(&utf16("grub.efi", false)), [pair("grub.efi", "ironic1")]);
        assert!(rows(&utf16(",label", false)).is_empty() && rows(b"").is_empty());
        assert_eq!(rows(&utf16(&"a.efi,b\n".repeat(5000), false)).len(), super::MAX_ROWS);
    }

    proptest! {
        #[test]
        fn garbage_gives_short_printable_labels_or_nothing(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            for (_, label) in rows(&bytes) {
                assert!(!label.chars().any(char::is_control) && label.chars().count() <= super::MAX_LABEL);
            }
        }
    }
}
