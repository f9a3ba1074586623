//! What is on disks and inside of images.

use agent::disk::config_drive::{decode, from_body};
use agent::disk::esp;
use agent::disk::fat::{Fat, Source};
use agent::disk::gpt::Gpt;
use agent::disk::iso::files;
use agent::disk::loader::choose;
use agent::disk::mbr;
use agent::disk::own_loader::config as loader_config;
use agent::disk::raid::config;
use agent::disk::raid::fat_fit::fit;
use agent::disk::raid::grub_copy::Grub;
use agent::disk::volume_label;
use agent::sys::block::{Access, BlockDevice};
use agent::sys::md;
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{self, Cursor};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

/// Partition tables with 512 and 4096 byte sectors: read, moved to the end, one partition more, read back.
pub fn gpt(data: &[u8]) {
    for (sector, size) in [(512, data.len() as u64), (512, 1 << 20), (4096, 1 << 20)] {
        // The disk is larger than the bytes: the rest is zeroes.
        let mut disk = data.to_vec();
        disk.resize(usize::try_from(size).expect("small"), 0);
        let mut disk = Cursor::new(disk);
        let Ok(Some(mut table)) = Gpt::read(&mut disk, size, sector) else { continue };
        let before = table.partitions().len();
        let _ = table.settle(&mut disk);
        if table.add_at_end(64 << 10, [7; 16], [9; 16], "config-2").is_ok() && table.write(&mut disk).is_ok() {
            let again = Gpt::read(&mut disk, size, sector).ok().flatten().expect("what was written can be read");
            assert_eq!(again.partitions().len(), before + 1);
        }
    }
}

/// DOS partition tables with their chains of logical partitions.
pub fn mbr(data: &[u8]) {
    let mut disk = data.to_vec();
    disk.resize(data.len().max(1 << 16), 0);
    let size = disk.len() as u64;
    let mut disk = Cursor::new(disk);
    let _ = mbr::disk_id(&mut disk);
    for sector in [512, 4096] {
        let _ = mbr::read(&mut disk, size, sector);
    }
    let _ = mbr::add(&mut disk, 0x0c, 64, 64);
}

struct Bytes<'a>(&'a [u8]);

impl Source for Bytes<'_> {
    fn read(&self, offset: u64, data: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let end = from.checked_add(data.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        data.copy_from_slice(self.0.get(from..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// What a tenant's image brings at the places that are copied or asked: GRUB's boot code and block lists, RAID superblocks, the
/// EFI system partition, a FAT that is to fit into a smaller place.
pub fn tenant_disk(data: &[u8]) {
    let file = memfd_create("disk", MFdFlags::empty()).map(File::from).expect("memory");
    file.write_all_at(data, 0).and_then(|()| file.set_len(1 << 20)).expect("memory");
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let device = BlockDevice::open(path.as_ref(), Access::Read).expect("a file");
    let _ = (Grub::take(&device), md::superblock(&device), esp::find(&device, Some(uuid::Uuid::nil())));
    let head = data.get(..512).unwrap_or(data);
    let read = |offset: u64, to: &mut [u8]| Bytes(data).read(offset, to);
    let have = data.len() as u64;
    if let Ok(found) = fit(head, &read, have, have / 2) {
        assert!(found.bytes <= have / 2, "{found:?}");
        assert!(found.changes.iter().all(|(at, bytes)| at + bytes.len() as u64 <= found.bytes), "{found:?}");
    }
}

/// Texts of a tenant's image that get into a boot configuration: no letter in them may mean something there.
pub fn tenant_texts(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let id = loader_config::system_id(&text);
    assert!(!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)), "{id}");
    let (defaults, kernel) = text.split_once('\0').unwrap_or((&text, ""));
    let line = loader_config::command_line(defaults, kernel);
    assert!(line.len() <= 2048 && !line.contains(['\n', '\'', '"', '$', '`', ';', '{', '}', '\\', '#']), "{line}");
    let names: Vec<String> = text.split('\0').map(str::to_owned).collect();
    if let Some((kernel, initrd)) = loader_config::newest(&names) {
        let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-+.~".contains(&byte));
        assert!(plain(&kernel) && initrd.as_deref().is_none_or(plain), "{kernel} {initrd:?}");
    }
}

/// FAT file systems, every file in them, and the boot loaders that lists in them name.
pub fn fat(data: &[u8]) {
    let source = Bytes(data);
    let Ok(fat) = Fat::open(&source) else { return };
    if let Ok(files) = fat.walk() {
        for (_, file) in files.iter().take(16) {
            let _ = fat.read(file, 64 << 10);
        }
    }
    let _ = choose(&fat);
}

/// base64, gzip and the image inside; the label of its file system.
pub fn config_drive(data: &[u8]) {
    let _ = decode(data);
    if let Ok(image) = from_body(data.to_vec()) {
        let _ = volume_label::of(&image);
    }
    let _ = volume_label::of(data);
}

/// A file system of a CD: what comes out is never more than went in, and no path leads out of the folder it is put into.
pub fn iso(data: &[u8]) {
    if let Ok(found) = files(data) {
        assert!(found.iter().map(|(_, content)| content.len()).sum::<usize>() <= data.len(), "files overlap");
        assert!(
            found.iter().all(|(path, _)| path.split('/').all(|part| !part.is_empty() && part != "..")),
            "{found:?}"
        );
    }
}

/// What a node's owner wrote into `target_raid_config`.
pub fn raid_config(data: &[u8]) {
    let Ok(wanted) = serde_json::from_slice::<Map<String, Value>>(data) else { return };
    let _ = config::wants_software(&wanted);
    for disks in [0, 2, 7] {
        if let Ok(volumes) = config::read(&wanted, &Map::new(), disks) {
            assert!(matches!(volumes.len(), 1 | 2) && volumes[0].level == config::Level::One, "{volumes:?}");
        }
    }
}
