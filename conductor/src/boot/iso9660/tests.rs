//! The volume read back: by a reader of our own for every naming, and by xorriso where it is installed.

use super::*;
use proptest::collection::{btree_map, vec};
use proptest::prelude::{any, prop_assert_eq, proptest};
use std::collections::BTreeMap;
use std::process::Command;

const LIMIT: u64 = 1 << 26;

type Files = BTreeMap<String, Vec<u8>>;

fn number(bytes: &[u8]) -> usize {
    u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize
}

/// Reads one tree by its descriptor; names as that tree has them (Rock Ridge names if there are any).
fn read_back(image: &[u8], descriptor: usize) -> Files {
    let head = &image[descriptor * SECTOR..(descriptor + 1) * SECTOR];
    assert_eq!(&head[1..6], b"CD001");
    assert_eq!(number(&head[80..]) * SECTOR, image.len());
    let mut files = Files::new();
    walk(image, &head[156..190], String::new(), descriptor == 17, &mut files);
    files
}

fn walk(image: &[u8], of: &[u8], path: String, joliet: bool, files: &mut Files) {
    let (start, size) = (number(&of[2..]) * SECTOR, number(&of[10..]));
    assert_eq!(size % SECTOR, 0);
    let mut at = 0;
    while at < size {
        let record = &image[start + at..];
        if record[0] == 0 {
            at = at.next_multiple_of(SECTOR).max(at + 1).next_multiple_of(SECTOR);
            continue;
        }
        let record = &record[..record[0] as usize];
        at += record.len();
        let raw = &record[33..33 + record[32] as usize];
        if raw == [0] || raw == [1] {
            continue;
        }
        let system_use = &record[(33 + raw.len() + (raw.len() + 1) % 2).min(record.len())..];
        let name = match system_use.windows(2).position(|two| two == b"NM") {
            Some(nm) => system_use[nm + 5..nm + system_use[nm + 2] as usize].to_vec(),
            None if joliet => raw.chunks(2).map(|two| two[1]).collect(),
            None => raw.to_vec(),
        };
        let name = String::from_utf8(name).unwrap();
        let name = format!("{path}/{}", name.trim_end_matches(";1"));
        if record[25] & 2 != 0 {
            walk(image, record, name, joliet, files);
        } else {
            let (from, length) = (number(&record[2..]) * SECTOR, number(&record[10..]));
            files.insert(name, image[from..from + length].to_vec());
        }
    }
}

#[test]
fn both_trees_show_the_real_names_and_every_byte() {
    let long = vec![7u8; 5000];
    let files: [(&str, &[u8]); 4] = [
        ("openstack/latest/meta_data.json", b"{}"),
        ("openstack/latest/user_data", &long),
        ("openstack/latest/empty", b""),
        ("openstack/content/0000", b"x"),
    ];
    let image = build("config-2", &files, LIMIT).unwrap();
    let expected: Files = files.iter().map(|(path, bytes)| (format!("/{path}"), bytes.to_vec())).collect();
    assert_eq!(read_back(&image, 16), expected);
    assert_eq!(read_back(&image, 17), expected);
    assert_eq!(&image[16 * SECTOR + 40..16 * SECTOR + 49], b"config-2 ");
    assert_eq!(image, build("config-2", &files, LIMIT).unwrap(), "the same input, the same bytes");
}

#[test]
fn what_cannot_be_a_volume_is_refused() {
    for path in ["", "/a", "a//b", "../a", "a/./b", "a b", "a/\u{e9}", "a/b/c/d/e/f/g/h", &"a".repeat(29)] {
        assert!(matches!(build("l", &[(path, b"")], LIMIT), Err(IsoError::Path(_))), "{path}");
    }
    assert!(matches!(build("l", &[("a/B", b""), ("a/b", b"")], LIMIT), Err(IsoError::Twice(_))));
    assert!(matches!(build("l", &[("a", b""), ("a/b", b"")], LIMIT), Err(IsoError::Twice(_))));
    assert!(matches!(build("", &[], LIMIT), Err(IsoError::Label(_))));
    assert!(matches!(build("l", &[("a", &[0; 4096])], 4096), Err(IsoError::TooLarge(_, 4096))));
}

#[test]
fn xorriso_finds_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let (iso, out) = (folder.path().join("c.iso"), folder.path().join("out"));
    let data: Vec<u8> = (0..100_000u32).map(|n| (n % 253) as u8).collect();
    let files: [(&str, &[u8]); 3] = [
        ("openstack/latest/meta_data.json", b"{\"uuid\": 1}"),
        ("openstack/latest/network_data.json", &data),
        ("openstack/latest/user_data", b"#!/bin/sh\n"),
    ];
    std::fs::write(&iso, build("config-2", &files, LIMIT).unwrap()).unwrap();
    for reading in ["any", "norock", "ecma119"] {
        let ran = Command::new("xorriso")
            .args(["-read_fs", reading, "-indev"])
            .arg(&iso)
            .args(["-pvd_info", "-osirrox", "on", "-extract", "/"])
            .arg(out.join(reading))
            .output();
        let Ok(ran) = ran else {
            eprintln!("skipped: xorriso is not installed");
            return;
        };
        let said = String::from_utf8_lossy(&ran.stderr).into_owned() + &String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && !said.contains("WARNING") && !said.contains("FAILURE"), "{reading}: {said}");
        assert!(said.contains("config-2"), "{said}");
        for (path, content) in files {
            // Without extensions the names are the plain ones.
            let path = match reading {
                "ecma119" if path.ends_with("user_data") => format!("{path}.").to_uppercase(),
                "ecma119" => path.to_uppercase(),
                _ => path.to_owned(),
            };
            let found = [path.clone(), format!("{path};1"), path.trim_end_matches('.').to_owned(), path.to_lowercase()]
                .iter()
                .find_map(|path| std::fs::read(out.join(reading).join(path)).ok());
            assert_eq!(found.as_deref(), Some(content), "{reading} {path}");
        }
    }
}

proptest! {
    #[test]
    fn any_set_of_files_is_read_back(
        files in btree_map("[a-z]{1,3}/[a-z0-9_]{1,20}(\\.[a-z]{1,4})?", vec(any::<u8>(), 0..5000), 0..60)
    ) {
        let list: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
        let Ok(image) = build("config-2", &list, LIMIT) else { return Ok(()) };
        let expected: Files = files.iter().map(|(path, bytes)| (format!("/{path}"), bytes.clone())).collect();
        prop_assert_eq!(&read_back(&image, 16), &expected);
        prop_assert_eq!(&read_back(&image, 17), &expected);
    }
}
