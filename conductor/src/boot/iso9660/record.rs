//! Directory records (ECMA-119 section 9.1), with Rock Ridge fields or Joliet names.

use super::SECTOR;
use super::tree::{Directory, Tree};

/// Which of the two directory trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// Plain upper-case names, with the real ones beside them for readers that know Rock Ridge.
    RockRidge,
    /// Names in UCS-2.
    Joliet,
}

/// 1980-01-01, so that the same content gives the same bytes.
const DATE: [u8; 7] = [80, 1, 1, 0, 0, 0, 0];

const DIRECTORY_FLAG: u8 = 2;
const DIRECTORY_MODE: u32 = 0o040_555;
const FILE_MODE: u32 = 0o100_444;

/// A number in both byte orders.
pub fn both32(number: u32) -> [u8; 8] {
    let (little, big) = (number.to_le_bytes(), number.to_be_bytes());
    [little[0], little[1], little[2], little[3], big[0], big[1], big[2], big[3]]
}

/// A number in both byte orders.
pub fn both16(number: u16) -> [u8; 4] {
    let (little, big) = (number.to_le_bytes(), number.to_be_bytes());
    [little[0], little[1], big[0], big[1]]
}

/// A name as the tree's records and path tables write it.
pub fn directory_name(name: &str, naming: Naming) -> Vec<u8> {
    match naming {
        _ if name.is_empty() => vec![0],
        Naming::RockRidge => name.to_ascii_uppercase().replace(['-', '.'], "_").into_bytes(),
        Naming::Joliet => ucs2(name),
    }
}

fn file_name(name: &str, naming: Naming) -> Vec<u8> {
    match naming {
        Naming::Joliet => ucs2(&format!("{name};1")),
        Naming::RockRidge => {
            // One dot, always there; what stands before another one becomes an underscore.
            let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
            let d_characters = |part: &str| part.to_ascii_uppercase().replace(['-', '.'], "_");
            format!("{}.{};1", d_characters(stem), d_characters(extension)).into_bytes()
        }
    }
}

/// Names are ASCII here.
pub fn ucs2(text: &str) -> Vec<u8> {
    text.bytes().flat_map(|byte| [0, byte]).collect()
}

/// The root's record as volume descriptors hold it: no Rock Ridge there.
pub fn root_record(tree: &Tree<'_>, naming: Naming) -> Vec<u8> {
    let root = &tree.directories[0];
    record(&[0], root.extent(naming), root.size(naming), DIRECTORY_FLAG, &[])
}

/// All records of a directory, padded to whole sectors; no record crosses a sector's end.
pub fn directory_bytes(tree: &Tree<'_>, directory: &Directory, naming: Naming) -> Vec<u8> {
    let parent = &tree.directories[directory.parent];
    let is_root = directory.name.is_empty();
    let rock = |name: Option<&str>, mode, first| match naming {
        Naming::RockRidge => rock_ridge(name, mode, first),
        Naming::Joliet => Vec::new(),
    };
    let folder = |name: &[u8], of: &Directory, fields: &[u8]| {
        record(name, of.extent(naming), of.size(naming), DIRECTORY_FLAG, fields)
    };
    let mut children = Vec::new();
    for child in
        tree.directories.iter().skip(1).filter(|child| std::ptr::eq(&tree.directories[child.parent], directory))
    {
        let name = directory_name(&child.name, naming);
        let fields = rock(Some(&child.name), DIRECTORY_MODE, false);
        children.push((name.clone(), folder(&name, child, &fields)));
    }
    for file in tree.files.iter().filter(|file| std::ptr::eq(&tree.directories[file.parent], directory)) {
        let name = file_name(&file.name, naming);
        let fields = rock(Some(&file.name), FILE_MODE, false);
        children.push((name.clone(), record(&name, file.extent, file.content.len() as u32, 0, &fields)));
    }
    children.sort();
    let mut bytes = folder(&[0], directory, &rock(None, DIRECTORY_MODE, is_root));
    bytes.extend(folder(&[1], parent, &rock(None, DIRECTORY_MODE, false)));
    for (_, record) in children {
        if bytes.len() % SECTOR + record.len() > SECTOR {
            bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
        }
        bytes.extend(record);
    }
    bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
    bytes
}

fn record(name: &[u8], extent: u32, size: u32, flags: u8, system_use: &[u8]) -> Vec<u8> {
    let mut record = vec![0, 0];
    record.extend(both32(extent));
    record.extend(both32(size));
    record.extend(DATE);
    record.extend([flags, 0, 0]);
    record.extend(both16(1));
    record.push(name.len() as u8);
    record.extend(name);
    if name.len().is_multiple_of(2) {
        record.push(0);
    }
    record.extend(system_use);
    if record.len() % 2 == 1 {
        record.push(0);
    }
    record[0] = record.len() as u8;
    record
}

/// SP and ER announce Rock Ridge (in the root's own record only); PX holds mode and owner; NM the name.
fn rock_ridge(name: Option<&str>, mode: u32, announce: bool) -> Vec<u8> {
    let mut fields = Vec::new();
    if announce {
        fields.extend(b"SP\x07\x01\xbe\xef\x00");
    }
    fields.extend(b"PX\x24\x01");
    for number in [mode, 1, 0, 0] {
        fields.extend(both32(number));
    }
    if announce {
        fields.extend(b"ER\x12\x01\x0a\x00\x00\x01RRIP_1991A");
    }
    if let Some(name) = name {
        fields.extend([b'N', b'M', 5 + name.len() as u8, 1, 0]);
        fields.extend(name.as_bytes());
    }
    fields
}
