//! Tests of `write`.

use super::{CHUNK, DiskWriter, END, WriteError};
use crate::sys::aligned::{AlignedBuffer, BufferPool};
use crate::sys::loop_device::LoopDevice;
use bytes::Bytes;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const SIZE: u64 = 24 << 20;

/// Not a multiple of anything, with zeroes long enough to be skipped.
fn image() -> Vec<u8> {
    let mut image: Vec<u8> = (0..SIZE as usize - 777).map(|at| (at * 7 / 1000) as u8 | 1).collect();
    image[5 << 20..17 << 20].fill(0);
    image
}

fn fill(path: &Path) {
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(&vec![0xaa; SIZE as usize], 0).unwrap();
    // While anybody else has the device open, closing does not write: the writer's direct writes would meet dirty pages.
    file.sync_all().unwrap();
}

fn content(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

fn check(path: &Path) {
    let image = image();
    fill(path);
    let mut writer = DiskWriter::open(path).unwrap();
    writer.begin(Some(image.len() as u64)).unwrap();
    for (index, piece) in image.chunks(1_000_003).enumerate() {
        writer.data(index as u64 * 1_000_003, piece).unwrap();
    }
    writer.finish().unwrap();
    let disk = content(path);
    assert!(disk[..image.len()] == image);
    assert!(disk[image.len()..].iter().all(|&byte| byte == 0), "the old end of the disk is wiped");

    // Lent memory, in runs that begin and end inside of pieces: well placed ones are written from there, others copied.
    for start in [0, 4096, 777] {
        fill(path);
        let pool = BufferPool::new(CHUNK, 20);
        let mut writer = DiskWriter::open(path).unwrap();
        writer.begin(None).unwrap();
        let (first, rest) = image.split_at(start);
        writer.data(0, first).unwrap();
        for (index, part) in rest.chunks(CHUNK).enumerate() {
            let mut lent = pool.take();
            lent.as_mut()[..part.len()].copy_from_slice(part);
            let (piece, at) = (lent.freeze(part.len()), (start + index * CHUNK) as u64);
            let middle = piece.len().min(3 << 18);
            writer.piece(at + middle as u64, &piece.slice(middle..)).unwrap();
            writer.piece(at, &piece.slice(..middle)).unwrap();
        }
        writer.finish().unwrap();
        assert!(content(path)[..image.len()] == image, "in lent memory from {start}");
    }

    fill(path);
    let mut writer = DiskWriter::open(path).unwrap();
    writer.begin(None).unwrap();
    let cluster = 1536;
    for (index, piece) in image.chunks(cluster).enumerate().collect::<Vec<_>>().into_iter().rev() {
        let at = (index * cluster) as u64;
        match piece.iter().all(|&byte| byte == 0) {
            true => writer.zero(at, piece.len() as u64).unwrap(),
            false => writer.data(at, piece).unwrap(),
        }
    }
    writer.finish().unwrap();
    assert!(content(path)[..image.len()] == image, "in any order");

    fill(path);
    let mut writer = DiskWriter::open(path).unwrap();
    writer.begin(None).unwrap();
    writer.data(0, &image).unwrap();
    drop(writer);
    let disk = content(path);
    let end = END as usize;
    assert!(disk[..end].iter().chain(&disk[disk.len() - end..]).all(|&byte| byte == 0), "not finished: does not boot");
}

#[test]
fn plain_files() {
    let file = tempfile::NamedTempFile::new().unwrap();
    check(file.path());
}

#[test]
fn sparse_areas_are_given_back_and_not_written() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fill(file.path());
    let used = || file.as_file().metadata().unwrap().blocks() * 512;
    assert!(used() >= SIZE, "the file system has no holes to show");
    let mut writer = DiskWriter::open(file.path()).unwrap();
    writer.begin(None).unwrap();
    let image = image();
    writer.data(0, &image[..9 << 20]).unwrap();
    writer.data(9 << 20, &image[9 << 20..12 << 20]).unwrap();
    writer.zero(12 << 20, 5 << 20).unwrap();
    writer.data(17 << 20, &image[17 << 20..]).unwrap();
    writer.finish().unwrap();
    assert!(content(file.path())[..image.len()] == image);
    assert!(used() <= SIZE - (11 << 20), "12 MiB are sparse, and {} bytes of {SIZE} are in use", used());
}

#[test]
fn loop_devices_of_both_sector_sizes() {
    for sector in [512, 4096] {
        let Some(disk) = LoopDevice::new(SIZE, sector) else { return };
        check(disk.path());
    }
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_touched() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fill(file.path());
    let mut writer = DiskWriter::open(file.path()).unwrap();
    assert!(matches!(writer.begin(Some(SIZE + 1)), Err(WriteError::TooLarge { need, .. }) if need == SIZE + 1));
    assert!(content(file.path()).iter().all(|&byte| byte == 0xaa));
    writer.begin(None).unwrap();
    writer.data(SIZE - 3, b"abc").unwrap();
    assert!(matches!(writer.data(SIZE - 3, b"abcd"), Err(WriteError::TooLarge { .. })));
    assert!(matches!(writer.data(u64::MAX, b"abcd"), Err(WriteError::TooLarge { .. })));
    assert!(matches!(writer.zero(1, SIZE), Err(WriteError::TooLarge { .. })));
}

#[test]
fn tiny_disks_and_starting_over() {
    for size in [512, END, END + 512, 2 * END, CHUNK as u64 + 512] {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(size).unwrap();
        let mut writer = DiskWriter::open(file.path()).unwrap();
        for value in [9, 7] {
            writer.begin(None).unwrap();
            writer.data(0, &vec![value; size as usize]).unwrap();
        }
        writer.finish().unwrap();
        assert!(content(file.path()).iter().all(|&byte| byte == 7), "{size}");
    }
}

#[test]
fn starting_over_waits_for_what_was_ordered_before() {
    /// Counts when the writer is done with it.
    struct Counted(AlignedBuffer, Arc<AtomicUsize>);
    impl AsRef<[u8]> for Counted {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl Drop for Counted {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(512 << 20).unwrap();
    let mut writer = DiskWriter::open(file.path()).unwrap();
    writer.begin(None).unwrap();
    let (done, length) = (Arc::new(AtomicUsize::new(0)), 32 << 20);
    for at in 0..4 {
        let mut data = AlignedBuffer::zeroed(length);
        data.fill(0xbb);
        let piece = Bytes::from_owner(Counted(data, Arc::clone(&done)));
        writer.piece(END + at * length as u64, &piece).unwrap();
    }
    let threads = |writer: &DiskWriter| writer.threads.iter().map(|thread| thread.thread().id()).collect::<Vec<_>>();
    let before = threads(&writer);
    writer.begin(None).unwrap();
    assert!(threads(&writer).iter().all(|thread| !before.contains(thread)), "the old threads came to their end");
    assert_eq!(done.load(Ordering::SeqCst), 4, "the first image could still be written over the second");
    writer.data(0, b"second").unwrap();
    writer.finish().unwrap();
}
