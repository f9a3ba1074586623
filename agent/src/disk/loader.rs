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
/// Longest label.
const MAX_LABEL: usize = 100;

/// A loader and the label of its entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loader {
    /// `\EFI\ubuntu\shimx64.efi`
    pub path: String,
    /// `ubuntu`
    pub label: String,
}

/// The loaders of a partition: the one a list names, else every file with a loader's name; this machine's own kind first,
/// because the first entry is the one that boots. Empty: nothing bootable.
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
    let mut loaders: Vec<(bool, Loader)> = files
        .iter()
        .filter(|(_, file)| is_one_of(&LOADERS, file))
        .enumerate()
        .map(|(at, (path, file))| {
            let foreign = !file.name.eq_ignore_ascii_case(OWN);
            (foreign, Loader { path: firmware_path(path), label: format!("ironic{}", at + 1) })
        })
        .collect();
    loaders.sort_by_key(|(foreign, _)| *foreign);
    Ok(loaders.into_iter().map(|(_, loader)| loader).collect())
}

/// What firmware of this machine's kind starts by itself.
const OWN: &str = if cfg!(target_arch = "aarch64") { "bootaa64.efi" } else { "bootx64.efi" };

fn is_one_of(names: &[&str], file: &Entry) -> bool {
    names.iter().any(|name| file.name.eq_ignore_ascii_case(name))
}

fn firmware_path(path: &[String]) -> String {
    format!("\\{}", path.join("\\"))
}

/// What the list `path` names, if that file exists beside it.
fn named(fat: &Fat<'_>, files: &[(Vec<String>, Entry)], path: &[String], list: &Entry) -> io::Result<Option<Loader>> {
    let Some((file, label)) = first_row(&fat.read(list, MAX_LIST)?) else { return Ok(None) };
    let folder = &path[..path.len() - 1];
    let there = files.iter().find(|(path, _)| {
        path.len() == folder.len() + 1
            && path.starts_with(folder)
            && path.last().is_some_and(|name| name.eq_ignore_ascii_case(&file))
    });
    Ok(there.map(|(path, _)| Loader { path: firmware_path(path), label }))
}

/// File and label of the first row. UTF-16, little-endian unless a mark says otherwise.
fn first_row(bytes: &[u8]) -> Option<(String, String)> {
    let big = bytes.starts_with(&[0xfe, 0xff]);
    let number = |pair: &[u8]| {
        let pair = [pair[0], pair[1]];
        if big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
    };
    let units: Vec<u16> = bytes.chunks_exact(2).map(number).collect();
    let text = String::from_utf16_lossy(&units);
    let row = text.trim_start_matches('\u{feff}').lines().find(|row| !row.trim().is_empty())?;
    let mut fields = row.split(',').map(|field| field.trim().trim_matches('\0'));
    let file = fields.next().filter(|file| !file.is_empty())?.to_string();
    let printable =
        |label: &str| label.chars().filter(|letter| !letter.is_control()).take(MAX_LABEL).collect::<String>();
    let label = fields.next().map(printable).filter(|label| !label.is_empty()).unwrap_or_else(|| "ironic1".into());
    Some((file, label))
}

#[cfg(test)]
mod tests {
    use super::first_row;
    use proptest::prelude::{any, prop, proptest};

    fn utf16(text: &str, big: bool) -> Vec<u8> {
        let bytes = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn lists_are_utf16_with_or_without_a_mark() {
        let expected = Some(("shimx64.efi".to_string(), "ubuntu".to_string()));
        let row = "shimx64.efi,ubuntu,,This is the boot entry for ubuntu\r\nother.efi,other\r\n";
        assert_eq!(first_row(&utf16(row, false)), expected);
        assert_eq!(first_row(&utf16(&format!("\u{feff}{row}"), false)), expected);
        assert_eq!(first_row(&utf16(&format!("\u{feff}{row}"), true)), expected);
        assert_eq!(first_row(&utf16("grub.efi", false)), Some(("grub.efi".into(), "ironic1".into())));
        assert_eq!(first_row(&utf16(",label", false)), None);
        assert_eq!(first_row(b""), None);
    }

    proptest! {
        #[test]
        fn garbage_gives_short_printable_labels_or_nothing(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Some((_, label)) = first_row(&bytes) {
                assert!(!label.chars().any(char::is_control) && label.chars().count() <= super::MAX_LABEL);
            }
        }
    }
}
