//! Layouts beside `parted`, called as the reference calls it.

use super::{LayoutError, Role, Wish, plan};
use crate::disk::boot_mode::BootMode;
use crate::disk::mbr;
use crate::disk::table::{self, Kind};
use crate::sys::block::{Access, BlockDevice};
use proptest::prelude::{any, prop_assert, proptest};
use std::process::Command;

const MIB: u64 = 1 << 20;

fn wish(mode: BootMode, table: Kind) -> Wish {
    Wish { mode, table, esp: 550, bios_boot: 1, root: 100, swap: 16, ephemeral: 64, config_drive: 1 }
}

/// What sfdisk sees, without identifiers that differ each time and without names.
fn seen(path: &std::path::Path) -> Vec<String> {
    let run = Command::new("sfdisk").arg("--dump").arg(path).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    let rows = text.lines().filter(|row| {
        row.starts_with("/") || row.starts_with("label:") || row.starts_with("first-lba") || row.starts_with("last-lba")
    });
    let fields = |row: &str| {
        row.split([',', ':'])
            .filter(|field| !field.contains("uuid=") && !field.contains("name=") && !field.contains('/'))
            .collect::<String>()
    };
    rows.map(fields).collect()
}

#[test]
fn tables_are_those_that_parted_makes_for_the_reference() {
    let cases = [
        (
            BootMode::Uefi,
            Kind::Gpt,
            "gpt mkpart primary fat32 1 551 set 1 boot on mkpart primary 551 615 mkpart primary linux-swap 615 631 mkpart primary 631 632 mkpart primary 632 732",
        ),
        (
            BootMode::Bios,
            Kind::Gpt,
            "gpt mkpart primary 1 2 set 1 bios_grub on mkpart primary 2 66 mkpart primary linux-swap 66 82 mkpart primary 82 83 mkpart primary 83 183",
        ),
        (
            BootMode::Bios,
            Kind::Msdos,
            "msdos mkpart primary 1 65 mkpart primary linux-swap 65 81 mkpart primary 81 82 mkpart primary 82 182 set 4 boot on",
        ),
    ];
    for (mode, kind, words) in cases {
        let disks = [(); 2].map(|()| tempfile::NamedTempFile::new().unwrap());
        disks.iter().for_each(|disk| disk.as_file().set_len(800 * MIB).unwrap());
        let run = Command::new("parted")
            .args(["-a", "optimal", "-s"])
            .arg(disks[0].path())
            .args(["--", "unit", "MiB", "mklabel"])
            .args(words.split(' '))
            .output();
        let run = run.unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));

        let device = BlockDevice::open(disks[1].path(), Access::Exclusive).unwrap();
        let layout = plan(&wish(mode, kind), 800 * MIB, 512).unwrap();
        match kind {
            Kind::Gpt => layout.gpt(800 * MIB, 512).unwrap().write_fresh(&mut device.cursor()).unwrap(),
            Kind::Msdos => mbr::create(&mut device.cursor(), 0x1234_5678, &layout.mbr_rows(512)).unwrap(),
        }
        assert_eq!(seen(disks[1].path()), seen(disks[0].path()));
        let found = table::read(&device).unwrap();
        layout.check(found.kind, &found.parts).unwrap();
        let theirs = table::read(&BlockDevice::open(disks[0].path(), Access::Read).unwrap()).unwrap();
        layout.check(theirs.kind, &theirs.parts).unwrap();
        if kind == Kind::Gpt {
            let verify = Command::new("sgdisk").arg("-v").arg(disks[1].path()).output().unwrap();
            assert!(String::from_utf8_lossy(&verify.stdout).contains("No problems found"));
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_rounded_away() {
    let uefi = wish(BootMode::Uefi, Kind::Gpt);
    assert_eq!(plan(&Wish { root: 0, ..uefi }, 1 << 40, 512), Err(LayoutError::NoRoot));
    assert_eq!(
        plan(&uefi, 732 * MIB, 512),
        Err(LayoutError::TooLarge { need: 732, have: 731 }),
        "the spare table needs room"
    );
    assert!(plan(&uefi, 733 * MIB, 512).is_ok() && plan(&uefi, 733 * MIB, 4096).is_ok());
    let bios = wish(BootMode::Bios, Kind::Msdos);
    assert!(plan(&bios, 182 * MIB, 512).is_ok());
    assert!(
        matches!(plan(&Wish { root: 3 << 20, ..bios }, 8 << 40, 512), Err(LayoutError::TooLarge { .. })),
        "an MBR ends at 2 TiB"
    );
    assert_eq!(plan(&Wish { mode: BootMode::Uefi, ..bios }, 1 << 40, 512), Err(LayoutError::Primaries(5)));
}

#[test]
fn an_old_table_that_differs_is_refused() {
    let layout = plan(&wish(BootMode::Uefi, Kind::Gpt), 800 * MIB, 512).unwrap();
    let part = |(number, planned): (u32, &super::Planned)| table::Part {
        number,
        start: planned.start,
        length: planned.length,
        is_lvm: false,
    };
    let same: Vec<_> = (1..).zip(&layout.parts).map(part).collect();
    layout.check(Some(Kind::Gpt), &same).unwrap();
    assert!(layout.check(Some(Kind::Msdos), &same).is_err() && layout.check(None, &[]).is_err());
    assert!(layout.check(Some(Kind::Gpt), &same[..4]).unwrap_err().to_string().contains("Nothing was written"));
    for at in 0..same.len() {
        let mut other = same.clone();
        other[at].length += 512;
        let error = layout.check(Some(Kind::Gpt), &other).unwrap_err().to_string();
        assert!(error.contains(&format!("partition {}", at + 1)), "{error}");
    }
    assert_eq!(layout.find(Role::Root).unwrap().0, 5);
    assert_eq!(layout.find(Role::BiosBoot), None);
}

proptest! {
    #[test]
    fn partitions_never_overlap_nor_leave_the_disk(root in any::<u64>(), swap in 0_u64..5000, ephemeral in any::<u32>(), size in 0_u64..1 << 45, big in any::<bool>(), uefi in any::<bool>()) {
        let sector = if big { 4096 } else { 512 };
        let (mode, table) = if uefi { (BootMode::Uefi, Kind::Gpt) } else { (BootMode::Bios, Kind::Msdos) };
        let asked = Wish { mode, table, esp: 550, bios_boot: 1, root: root >> 30, swap, ephemeral: u64::from(ephemeral), config_drive: 64 };
        if let Ok(layout) = plan(&asked, size, sector) {
            let mut end = MIB;
            for part in &layout.parts {
                prop_assert!(part.start == end && part.length > 0 && part.start % MIB == 0);
                end = part.start + part.length;
            }
            prop_assert!(end <= size);
            prop_assert!(layout.parts.last().unwrap().role == Role::Root);
        }
        let _ = plan(&Wish { root, ..asked }, size, sector);
    }
}
