//! Made file systems beside dosfstools, mtools, blkid, and our own reader.

use super::{image, make, shown};
use crate::disk::fat::Fat;
use proptest::prelude::{any, prop, prop_assert_eq, proptest};
use std::io;
use std::process::Command;

fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = vec![
        ("openstack/latest/meta_data.json".to_string(), b"{}".to_vec()),
        ("openstack/latest/meta_data.json2".into(), b"two".to_vec()),
        ("openstack/latest/user_data".into(), vec![b'u'; 100_000]),
        ("openstack/content/größe 文.txt".into(), vec![b'g'; 5000]),
        ("ec2/2009-04-04/meta-data.json".into(), Vec::new()),
        ("EFI/BOOT/BOOTX64.EFI".into(), vec![b'M'; 70_000]),
    ];
    files.extend((0..300).map(|at| (format!("many/a rather long name of file {at}"), vec![at as u8; at])));
    files
}

fn run(program: &str, args: &[&str]) -> String {
    let run = Command::new(program).args(args).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{program}: {text}");
    text
}

fn read_back(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let fat = Fat::open(&bytes).unwrap();
    let content = |entry| fat.read(entry, usize::MAX).unwrap();
    fat.walk().unwrap().iter().map(|(path, entry)| (path.join("/"), content(entry))).collect()
}

#[test]
fn every_width_and_sector_is_accepted_by_the_tools() {
    for (mib, sector, bits) in [
        (0, 512, "16"),
        (0, 4096, "12"),
        (2, 512, "12"),
        (40, 512, "16"),
        (40, 4096, "16"),
        (600, 512, "32"),
        (600, 4096, "32"),
    ] {
        let files = if mib == 2 { files()[..2].to_vec() } else { files() };
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        if mib == 0 {
            std::fs::write(path, image(sector, "CONFIG-2", &files).unwrap()).unwrap();
        } else {
            file.as_file().set_len(mib << 20).unwrap();
            make(&mut file.as_file(), mib << 20, sector, "CONFIG-2", 0x1a2b_3c4d, &files).unwrap();
            assert_eq!(run("blkid", &["-o", "value", "-s", "UUID", path]).trim(), shown(0x1a2b_3c4d));
        }
        let said = run("fsck.vfat", &["-n", "-v", path]);
        assert!(said.contains(&format!("{bits} bit")), "{mib} {sector}: {said}");
        assert_eq!(run("blkid", &["-o", "value", "-s", "LABEL", path]).trim(), "CONFIG-2");
        let mut ours = read_back(&std::fs::read(path).unwrap());
        let mut wanted = files.clone();
        ours.sort();
        wanted.sort();
        assert!(ours == wanted, "{mib} {sector}");
        if sector == 512 {
            assert_eq!(run("mtype", &["-i", path, "::/openstack/latest/meta_data.json2"]), "two");
        }
    }
}

#[test]
fn old_content_does_not_shine_through_and_nothing_is_written_behind() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![0x5a; 9 << 20]).unwrap();
    make(&mut file.as_file(), 8 << 20, 512, "ESP", 1, &files()[..3]).unwrap();
    let bytes = std::fs::read(file.path()).unwrap();
    assert!(bytes[8 << 20..].iter().all(|byte| *byte == 0x5a));
    assert_eq!(read_back(&bytes).len(), 3);
}

#[test]
fn what_fat_cannot_have_is_refused() {
    for name in ["", "a//b", "../x", "a/.", "a:b", "x\\y", "a\nb"] {
        assert!(image(512, "x", &[(name.into(), vec![])]).is_err(), "{name:?}");
    }
    let name = |name: &str| (name.to_string(), vec![1]);
    assert!(image(512, "x", &[name("a"), name("a/b")]).is_err() && image(512, "x", &[name("a/b"), name("a")]).is_err());
    let disk = &mut io::Cursor::new(Vec::new());
    assert!(make(disk, 1 << 20, 512, "x", 1, &[("a".into(), vec![0; 2 << 20])]).is_err());
    assert!(make(disk, 16 << 10, 512, "x", 1, &[]).is_err() && make(disk, 1 << 45, 4096, "x", 1, &[]).is_err());
    assert!(make(disk, 1 << 20, 520, "x", 1, &[]).is_err());
    assert!(disk.get_ref().is_empty(), "refused before the first byte");
}

proptest! {
    #[test]
    fn what_is_put_in_comes_out(tree in prop::collection::btree_map("[a-zA-Z0-9_ é~-]{0,20}[a-z]", prop::collection::vec(any::<u8>(), 0..3000), 0..12), big in any::<bool>()) {
        let mut names = std::collections::BTreeSet::new();
        let files: Vec<_> = tree.into_iter().filter(|(name, _)| names.insert(name.to_lowercase()))
            .map(|(name, content)| (format!("folder/{name}"), content)).collect();
        let mut back = read_back(&image(if big { 4096 } else { 512 }, "x", &files).unwrap());
        back.sort();
        prop_assert_eq!(back, files);
    }
}
