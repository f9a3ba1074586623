//! Folders of a FAT file system to be made: the tree of files, short names, and the records of each folder.

use super::fat_write::NewFile;
use std::collections::BTreeSet;
use std::io;

/// Longest name of a file or folder, UTF-16 units.
const MAX_NAME: usize = 255;
/// 1 January 2000: a date must be there, and time would make two runs differ.
const DATE: u16 = 20 << 9 | 1 << 5 | 1;

/// A file or folder.
#[derive(Debug, Default)]
pub(super) struct Node<'a> {
    /// As given.
    pub name: String,
    short: [u8; 11],
    /// None: a folder.
    pub content: Option<&'a [u8]>,
    pub inside: Vec<Node<'a>>,
    /// Its first cluster; 0: it has none.
    pub first: u64,
}

impl<'a> Node<'a> {
    /// The tree of these files. Names that differ only in case are one; the later content wins.
    pub fn tree(files: &'a [NewFile]) -> io::Result<Self> {
        let mut root = Self::default();
        for (path, content) in files {
            let mut at = &mut root;
            for name in path.split('/') {
                check(name)?;
                let known = at.inside.iter().position(|node| node.name.to_lowercase() == name.to_lowercase());
                let index = known.unwrap_or_else(|| {
                    at.inside.push(Self { name: name.into(), ..Self::default() });
                    at.inside.len() - 1
                });
                at = &mut at.inside[index];
            }
            if !at.inside.is_empty() {
                return Err(wrong(path));
            }
            at.content = Some(content);
        }
        if root.has_file_with_inside() { Err(wrong("a file in a file")) } else { Ok(root) }
    }

    fn has_file_with_inside(&self) -> bool {
        (self.content.is_some() && !self.inside.is_empty()) || self.inside.iter().any(Self::has_file_with_inside)
    }

    /// Gives everything below its first cluster: `take` is asked with the bytes it needs.
    pub fn place(&mut self, take: &mut dyn FnMut(u64) -> u64) {
        for node in &mut self.inside {
            let bytes = match node.content {
                Some(content) => content.len(),
                None => folder(node, None, Some(0), 0, &|_| 0).len(),
            };
            node.first = take(bytes as u64);
            node.place(take);
        }
    }

    /// Everything below, each with the first cluster of the folder it is in (0: the root).
    pub fn visit(&self, above: u64, act: &mut dyn FnMut(&Self, u64) -> io::Result<()>) -> io::Result<()> {
        for node in &self.inside {
            act(node, above)?;
            node.visit(node.first, act)?;
        }
        Ok(())
    }
}

fn wrong(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is no name for a file on FAT"))
}

fn check(name: &str) -> io::Result<()> {
    let bad = |letter: char| letter.is_control() || "\"*/:<>?\\|".contains(letter);
    let fine = !name.is_empty()
        && name.encode_utf16().count() <= MAX_NAME
        && !name.chars().any(bad)
        && !name.ends_with(['.', ' ']);
    if fine { Ok(()) } else { Err(wrong(name)) }
}

/// Gives every node a short name that nothing beside it has.
pub(super) fn short_names(node: &mut Node<'_>) {
    let mut taken = BTreeSet::new();
    for child in &mut node.inside {
        let own = exact(&child.name).filter(|short| !taken.contains(short));
        child.short = own.unwrap_or_else(|| numbered(&child.name, &taken));
        taken.insert(child.short);
        short_names(child);
    }
}

fn fits(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"!#$%&'()-@^_`{}~".contains(&byte)
}

/// The name as it is, if it is one of eight and three capitals.
fn exact(name: &str) -> Option<[u8; 11]> {
    let (base, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let plain = |text: &str, most: usize| text.len() <= most && text.bytes().all(fits);
    (!base.is_empty() && plain(base, 8) && plain(extension, 3)).then(|| joined(base.as_bytes(), extension.as_bytes()))
}

fn joined(base: &[u8], extension: &[u8]) -> [u8; 11] {
    let mut short = [b' '; 11];
    short.iter_mut().zip(base.iter().take(8)).for_each(|(to, from)| *to = *from);
    short[8..].iter_mut().zip(extension).for_each(|(to, from)| *to = *from);
    short
}

fn numbered(name: &str, taken: &BTreeSet<[u8; 11]>) -> [u8; 11] {
    let (base, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let clean =
        |text: &str| text.bytes().map(|byte| byte.to_ascii_uppercase()).filter(|byte| fits(*byte)).collect::<Vec<u8>>();
    let (base, extension) = (clean(base), clean(extension));
    let attempt = |number: u32| {
        let tail = format!("~{number}");
        let kept = &base[..base.len().min(8 - tail.len())];
        joined(&[kept, tail.as_bytes()].concat(), &extension)
    };
    (1..=999_999).map(attempt).find(|short| !taken.contains(short)).unwrap_or([b'_'; 11])
}

/// The records of a folder: the label in the root, `.` and `..` elsewhere, then what is inside. `first` gives the clusters.
pub(super) fn folder(
    node: &Node<'_>,
    label: Option<&[u8; 11]>,
    own: Option<u64>,
    above: u64,
    first: &dyn Fn(&Node<'_>) -> u64,
) -> Vec<u8> {
    let mut records = Vec::new();
    if let Some(label) = label {
        records.extend(record(label, 0x08, 0, 0));
    }
    if let Some(own) = own {
        records.extend(record(b".          ", 0x10, own, 0));
        records.extend(record(b"..         ", 0x10, above, 0));
    }
    for child in &node.inside {
        if exact(&child.name) != Some(child.short) {
            records.extend(long(&child.name, &child.short));
        }
        let (attributes, size) = match child.content {
            Some(content) => (0x20, content.len()),
            None => (0x10, 0),
        };
        records.extend(record(&child.short, attributes, first(child), size));
    }
    records
}

fn record(name: &[u8; 11], attributes: u8, cluster: u64, size: usize) -> [u8; 32] {
    let mut record = [0; 32];
    record[..11].copy_from_slice(name);
    record[11] = attributes;
    for at in [16, 18, 24] {
        record[at..at + 2].copy_from_slice(&DATE.to_le_bytes());
    }
    record[20..22].copy_from_slice(&((cluster >> 16) as u16).to_le_bytes());
    record[26..28].copy_from_slice(&(cluster as u16).to_le_bytes());
    record[28..].copy_from_slice(&u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
    record
}

/// The records of a long name, last part first.
fn long(name: &str, short: &[u8; 11]) -> Vec<u8> {
    let sum = short.iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
    let units: Vec<u16> = name.encode_utf16().collect();
    let parts = units.chunks(13).count();
    let mut records = Vec::new();
    for (at, part) in units.chunks(13).enumerate().rev() {
        let mut padded = [0xffff_u16; 13];
        padded[..part.len()].copy_from_slice(part);
        if part.len() < 13 {
            padded[part.len()] = 0;
        }
        let bytes: Vec<u8> = padded.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let mut record = [0; 32];
        record[0] = (at + 1) as u8 | if at + 1 == parts { 0x40 } else { 0 };
        record[1..11].copy_from_slice(&bytes[..10]);
        record[11] = 0x0f;
        record[13] = sum;
        record[14..26].copy_from_slice(&bytes[10..22]);
        record[28..32].copy_from_slice(&bytes[22..]);
        records.extend(record);
    }
    records
}
