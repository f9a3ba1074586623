//! Boot entries beside the real efibootmgr, which reads and writes a plain folder when `EFIVARFS_PATH` names it.

use super::{NewEntry, clean, entries, explain, register};
use crate::disk::boot_option::{BootPartition, DiskSignature, encode, label, order};
use crate::sys::efivars::EfiVariables;
use crate::sys::loop_device::LoopDevice;
use regex::RegexBuilder;
use std::path::Path;
use std::process::Command;

const GUID: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fn efibootmgr(folder: &Path, args: &[&str]) -> String {
    let folder = format!("{}/", folder.display());
    let run = Command::new("efibootmgr").env("EFIVARFS_PATH", folder).args(args).output().expect("efibootmgr");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8_lossy(&run.stdout).into_owned()
}

fn node(kind: u8, sub: u8, data: &[u8]) -> Vec<u8> {
    [&[kind, sub][..], &u16::try_from(data.len() + 4).unwrap().to_le_bytes(), data].concat()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

fn entry(label: &str, nodes: &[Vec<u8>], data: &[u8]) -> Vec<u8> {
    let path = [nodes.concat(), vec![0x7f, 0xff, 4, 0]].concat();
    let length = u16::try_from(path.len()).unwrap().to_le_bytes();
    [&1_u32.to_le_bytes()[..], &length, &utf16(label), &path, data].concat()
}

fn hard_drive(guid: [u8; 16], file: &str) -> Vec<Vec<u8>> {
    let part = [&15_u32.to_le_bytes()[..], &2048_u64.to_le_bytes(), &81920_u64.to_le_bytes(), &guid, &[2, 2]].concat();
    vec![node(4, 1, &part), node(4, 4, &utf16(file))]
}

fn pci() -> Vec<Vec<u8>> {
    vec![node(2, 1, &[0xd0, 0x41, 3, 0x0a, 0, 0, 0, 0]), node(1, 1, &[0, 3])]
}

/// One of each kind that servers have.
fn samples() -> Vec<Vec<u8>> {
    let with = |more: Vec<u8>| [pci(), vec![more]].concat();
    let mac = [&[0x52, 0x54, 0, 0xaa, 0xbb, 1][..], &[0; 26], &[1]].concat();
    let mbr =
        [&1_u32.to_le_bytes()[..], &63_u64.to_le_bytes(), &81920_u64.to_le_bytes(), &[1, 2, 3, 4], &[0; 12], &[1, 1]];
    vec![
        entry("debian", &hard_drive(GUID, r"\EFI\debian\shimx64.efi"), b""),
        entry("UEFI PXEv4", &[with(node(3, 11, &mac)), vec![node(3, 12, &[0; 23])]].concat(), b"opt"),
        entry("UiApp", &[node(4, 7, &GUID), node(4, 6, &GUID)], b""),
        entry("old BIOS", &[node(5, 1, b"\x02\0\0\0disk one\0")], b""),
        entry("vendor", &[node(1, 4, &GUID)], b""),
        entry("vendor 2", &[node(3, 10, &GUID)], b""),
        entry("CD", &[node(3, 15, &[0xff, 0xff, 0xff, 0xff, 8, 5, 80])], b""),
        entry("MBR", &[node(4, 1, &mbr.concat()), node(4, 4, &utf16(r"\EFI\BOOT\grubx64.efi"))], b""),
        entry("SATA", &with(node(3, 18, &[1, 0, 0xff, 0xff, 0, 0])), b""),
        entry("NVMe", &with(node(3, 23, &[1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8])), b""),
        entry("SCSI", &with(node(3, 2, &[1, 0, 2, 0])), b""),
        entry("USB", &with(node(3, 5, &[1, 2])), b""),
        entry("Größe é", &hard_drive(GUID, r"\EFI\groesse\boot.efi"), b""),
    ]
}

#[test]
fn paths_are_shown_as_efibootmgr_shows_them() {
    let folder = tempfile::tempdir().unwrap();
    let variables = EfiVariables::at(folder.path());
    for (at, sample) in samples().iter().enumerate() {
        variables.write(&format!("Boot{at:04X}"), sample).unwrap();
    }
    let theirs = efibootmgr(folder.path(), &["-v"]);
    for ours in entries(&variables).unwrap() {
        let row = format!("Boot{:04X}* {}\t{}", ours.number, ours.label().unwrap(), ours.shown().unwrap());
        // libefivar names some classes of USB devices; patterns for those are written by nobody.
        let known = row.replace("UsbClass(0xffff,0xffff,8,5,80)", "UsbMassStorage(0xffff,0xffff,5,80)");
        assert!(theirs.lines().any(|their| their == row || their == known), "{row}\n{theirs}");
    }
}

#[test]
fn a_new_entry_is_byte_for_byte_efibootmgrs() {
    let Some(disk) = LoopDevice::new(80 << 20, 512) else { return };
    let table = Command::new("sgdisk").args(["-n", "15:2048:+40M", "-t", "15:ef00"]).arg(disk.path()).output().unwrap();
    assert!(table.status.success());
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = disk.path().to_str().unwrap();
    let label = "shim für é"; // what libefivar makes of letters beyond U+07FF is not their code
    efibootmgr(theirs.path(), &["-c", "-d", path, "-p", "15", "-w", "-L", label, "-l", r"\EFI\BOOT\BOOTX64.EFI"]);
    let device = crate::sys::block::BlockDevice::open(disk.path(), crate::sys::block::Access::Read).unwrap();
    let partition = crate::disk::esp::find(&device, None).unwrap().unwrap();
    let option = encode(label, &partition, r"\EFI\BOOT\BOOTX64.EFI");
    let variables = EfiVariables::at(ours.path());
    register(&variables, &[NewEntry { label: label.into(), option }], &|_| true).unwrap();
    for name in ["Boot0000", "BootOrder"] {
        let their = EfiVariables::at(theirs.path()).read(name).unwrap();
        assert_eq!(variables.read(name).unwrap(), their, "{name}");
    }
}

fn order_of(variables: &EfiVariables) -> Vec<u16> {
    order(&variables.read("BootOrder").unwrap().unwrap_or_default())
}

#[test]
fn garbage_stays_boot_next_stays_and_duplicates_go() {
    let folder = tempfile::tempdir().unwrap();
    let variables = EfiVariables::at(folder.path());
    variables.write("Boot0000", &[0x99; 3]).unwrap();
    variables.write("Boot0001", &entry("größe", &hard_drive(GUID, r"\old"), b"")).unwrap();
    variables.write("Boot00ff", &entry("größe", &hard_drive(GUID, r"\older"), b"")).unwrap();
    variables.write("Boot0003", &entry("größe 2", &pci(), b"")).unwrap();
    std::fs::create_dir(folder.path().join("Boot0002-8be4df61-93ca-11d2-aa0d-00e098032b8c")).unwrap(); // unreadable
    variables.write("BootNext", &[3, 0]).unwrap();
    variables.write("BootOrder", &[3, 0, 1, 0, 0xff, 0, 0, 0, 9]).unwrap();
    let new = |label: &str| NewEntry { label: label.into(), option: entry(label, &hard_drive(GUID, r"\new"), b"") };
    register(&variables, &[new("größe"), new("second")], &|_| true).unwrap();
    assert_eq!(order_of(&variables), [1, 4, 3, 0], "2 is taken although it cannot be read");
    assert_eq!(label(&variables.read("Boot0001").unwrap().unwrap()).unwrap(), "größe");
    assert_eq!(variables.read("Boot00ff").unwrap(), None);
    assert_eq!(variables.read("Boot0000").unwrap().unwrap(), [0x99; 3]);
    assert_eq!(variables.read("BootNext").unwrap().unwrap(), [3, 0]);
}

#[test]
fn only_what_a_pattern_matches_is_deleted_and_leaves_the_order() {
    let folder = tempfile::tempdir().unwrap();
    let variables = EfiVariables::at(folder.path());
    for (at, sample) in samples().iter().enumerate() {
        variables.write(&format!("Boot{at:04X}"), sample).unwrap();
    }
    variables.write("Boot0020", &[1, 2, 3]).unwrap();
    variables.write("BootOrder", &[7, 0, 1, 0, 0, 0]).unwrap();
    let patterns: Vec<_> = [r"^HD\(", r"SHIM.*\.efi"]
        .map(|pattern| RegexBuilder::new(pattern).case_insensitive(true).build().unwrap())
        .into();
    let mut gone = clean(&variables, &patterns).unwrap();
    gone.sort();
    assert_eq!(gone, ["Größe é", "MBR", "debian"]);
    assert_eq!(order_of(&variables), [1]);
    assert!(variables.read("Boot0020").unwrap().is_some() && variables.read("Boot0000").unwrap().is_none());
    let all = [RegexBuilder::new("PciRoot").build().unwrap()];
    clean(&variables, &all).unwrap();
    assert_eq!(variables.read("BootOrder").unwrap(), None, "an order of nothing is no order");
}

#[test]
fn dead_entries_are_those_nobody_can_miss() {
    let gone = [9; 16];
    let values = [
        entry("A", &hard_drive(GUID, r"\a.efi"), b""),
        entry("A", &hard_drive(GUID, r"\a.efi"), b""), // copy
        entry("B", &hard_drive(gone, r"\A.EFI"), b""), // absent disk, same file
        entry("C", &hard_drive(gone, r"\c.efi"), b""), // absent disk, but the only one of its kind
        entry("D", &hard_drive(GUID, r"\a.efi"), b""), // same file on a disk that is there
        entry("PXE", &pci(), b""),
        entry("E", &hard_drive(gone, r"\new.efi"), b""), // absent disk, replaced by the new one
        vec![1, 2, 3],
    ];
    let folder = tempfile::tempdir().unwrap();
    let variables = EfiVariables::at(folder.path());
    for (at, value) in values.iter().enumerate() {
        variables.write(&format!("Boot{at:04X}"), value).unwrap();
    }
    let new = [NewEntry { label: "new".into(), option: entry("new", &hard_drive(GUID, r"\new.efi"), b"") }];
    let present = |signature: &DiskSignature| *signature == DiskSignature::Gpt(GUID);
    assert_eq!(super::dead(&entries(&variables).unwrap(), &new, &present), [1, 2, 6]);
}

#[test]
fn a_store_that_cannot_be_written_says_what_to_do() {
    let text = |kind| explain(std::io::Error::from(kind)).to_string();
    let full = text(std::io::ErrorKind::StorageFull);
    assert!(full.contains("full") && full.contains("clean_uefi_nvram"), "{full}");
    assert!(text(std::io::ErrorKind::ReadOnlyFilesystem).contains("read-only"));
    assert!(text(std::io::ErrorKind::PermissionDenied).contains("efivarfs"));
    let partition = BootPartition { number: 1, start: 1, blocks: 1, signature: DiskSignature::Gpt(GUID) };
    let new = NewEntry { label: "x".into(), option: encode("x", &partition, r"\x") };
    let nowhere = register(&EfiVariables::at(Path::new("/nowhere/efivars")), &[new], &|_| true).unwrap_err();
    assert!(nowhere.to_string().contains("cannot be changed"), "{nowhere}");
}

#[test]
fn the_listing_tells_what_the_real_program_tells() {
    let folder = tempfile::tempdir().unwrap();
    let variables = EfiVariables::at(folder.path());
    for (number, sample) in samples().iter().enumerate() {
        variables.write(&format!("Boot{number:04X}"), sample).unwrap();
    }
    variables.write("BootOrder", &[1, 0, 0, 0]).unwrap();
    variables.write("BootCurrent", &[1, 0]).unwrap();
    variables.write("Timeout", &[3, 0]).unwrap();
    let ours = super::listing(&variables).unwrap();
    let theirs = efibootmgr(folder.path(), &["-v"]);
    for line in ["BootCurrent: 0001", "Timeout: 3 seconds", "BootOrder: 0001,0000"] {
        assert!(ours.lines().any(|own| own == line) && theirs.lines().any(|own| own == line), "{ours}\n{theirs}");
    }
    // Each entry with its mark and label; paths are compared where `clean_uefi_nvram` is tested.
    for line in theirs.lines().filter(|line| line.starts_with("Boot0")) {
        let label = line.split('\t').next().unwrap_or_default();
        assert!(ours.lines().any(|own| own.split('\t').next() == Some(label)), "{label}\n{ours}");
    }
    assert!(ours.contains(r"\EFI\debian\shimx64.efi"), "{ours}");
    assert!(super::listing(&EfiVariables::at("/nowhere/efivars".as_ref())).is_err());
}
