//! Tests of `pour`: the whole stack against a server with faults. What qemu-img has to say is in `stream::oracle`.

use super::{Job, Poured, Sink, pour};
use crate::stream::checksum::{Choice, Expected};
use crate::stream::error::{FetchError, SinkError, StreamError};
use crate::stream::request::DownloadRules;
use crate::stream::test_server::{Fault, Server, noise};
use crate::sys::progress::Progress;
use bytes::Bytes;
use common::digest::Hasher;
use common::image_ref::DigestKind;
use std::process::Command;
use std::time::Duration;

/// A disk in memory that notices what is written twice or never.
#[derive(Default)]
pub(in crate::stream) struct Memory {
    pub disk: Vec<u8>,
    times: Vec<u8>,
    begun: usize,
    /// Bytes that came in memory that may be kept.
    kept: usize,
}

impl Memory {
    fn take(&mut self, offset: u64, length: u64) -> std::ops::Range<usize> {
        let range = offset as usize..(offset + length) as usize;
        if self.disk.len() < range.end {
            self.disk.resize(range.end, 0xee);
            self.times.resize(range.end, 0);
        }
        self.times[range.clone()].iter_mut().for_each(|times| *times += 1);
        range
    }
}

impl Sink for Memory {
    fn begin(&mut self, size: Option<u64>) -> Result<(), SinkError> {
        if size.is_some_and(|size| size > 64 << 20) {
            return Err("too large".into());
        }
        let size = size.unwrap_or(0) as usize;
        *self = Self { disk: vec![0xee; size], times: vec![0; size], begun: self.begun + 1, kept: 0 };
        Ok(())
    }

    fn data(&mut self, offset: u64, bytes: &[u8]) -> Result<(), SinkError> {
        let range = self.take(offset, bytes.len() as u64);
        self.disk[range].copy_from_slice(bytes);
        Ok(())
    }

    fn piece(&mut self, offset: u64, bytes: Bytes) -> Result<(), SinkError> {
        self.kept += bytes.len();
        self.data(offset, &bytes)
    }

    fn zero(&mut self, offset: u64, length: u64) -> Result<(), SinkError> {
        let range = self.take(offset, length);
        self.disk[range].fill(0);
        Ok(())
    }
}

/// The image `file` as `server` has it, with its right checksum.
pub(in crate::stream) fn job(server: &Server, file: &[u8]) -> Job {
    let mut hasher = Hasher::new(DigestKind::Sha256);
    hasher.update(file);
    Job {
        request: server.request("/image"),
        rules: DownloadRules {
            timeout: Duration::from_secs(5),
            retries: 2,
            pause: Duration::from_millis(10),
            whole: None,
            deadline: None,
            insecure: false,
            ca_file: None,
            client: None,
            tls13_only: false,
        },
        checksum: Choice::Known(Expected { kind: DigestKind::Sha256, hex: hasher.hex() }),
        md5: false,
        declared: None,
        permitted: ["raw", "gpt", "qcow2"].map(String::from).to_vec(),
        inspect: true,
        room: 64 << 20,
        spool_dir: std::env::temp_dir(),
    }
}

/// Pours into memory, where every byte must arrive once.
pub(in crate::stream) fn poured(server: &Server, file: &[u8]) -> Result<(Memory, Poured), StreamError> {
    let mut disk = Memory::default();
    let poured = pour(&job(server, file), &mut disk, &Progress::default())?;
    assert!(disk.times.iter().all(|times| *times == 1), "every byte of the disk exactly once");
    Ok((disk, poured))
}

#[test]
fn a_wrong_checksum_fails_and_the_next_mirror_is_tried() {
    let good = noise(2 << 20, 1);
    let bad = Server::new(noise(2 << 20, 2)).start();
    let mut memory = Memory::default();
    let outcome = pour(&job(&bad, &good), &mut memory, &Progress::default());
    assert!(matches!(outcome.unwrap_err(), StreamError::Checksum(_)));
    assert_eq!(memory.begun, 2, "the only source is asked once more, not for ever");
    let (mut once, mut memory) = (job(&bad, &good), Memory::default());
    once.rules.retries = 0;
    assert!(pour(&once, &mut memory, &Progress::default()).is_err());
    assert_eq!(memory.begun, 1, "nobody wants retries");
    let mirror = Server::new(good.clone()).start();
    let mut job = job(&bad, &good);
    job.request.urls.extend(mirror.request("/image").urls);
    let mut memory = Memory::default();
    pour(&job, &mut memory, &Progress::default()).unwrap();
    assert!(memory.disk == good && memory.begun == 2);
}

#[test]
fn the_longest_time_is_for_all_downloads_of_an_image_together() {
    let good = noise(2 << 20, 1);
    let slow = |body: &[u8]| Server::new(body.to_vec()).always(Fault::StallAfter(10)).start();
    let (image, sums) = (slow(&good), slow(b"never read to its end"));
    let mut job = job(&image, &good);
    job.checksum = Choice::File { url: sums.url("/SUMS").parse().unwrap(), kind: None };
    job.rules.whole = Some(Duration::from_secs(3600));
    job.rules = job.rules.begun();
    job.rules.deadline = job.rules.deadline.and_then(|end| end.checked_sub(Duration::from_secs(3600)));
    let outcome = pour(&job, &mut Memory::default(), &Progress::default());
    assert!(matches!(outcome, Err(StreamError::Fetch(FetchError::OutOfTime { .. }))), "{outcome:?}");
    assert_eq!(job.rules.begun().deadline, job.rules.deadline, "what has begun goes on");
}

#[test]
fn a_checksum_file_is_fetched() {
    let good = noise(2 << 20, 1);
    let image = Server::new(good.clone()).start();
    let mut job = job(&image, &good);
    let Choice::Known(expected) = job.checksum.clone() else { panic!() };
    let sums = Server::new(format!("# sums\n{} *image\n", expected.hex).into_bytes()).start();
    job.checksum = Choice::File { url: sums.url("/SUMS").parse().unwrap(), kind: None };
    pour(&job, &mut Memory::default(), &Progress::default()).unwrap();
    let endless = Server::new(Vec::new()).always(Fault::Endless).start();
    job.checksum = Choice::File { url: endless.url("/SUMS").parse().unwrap(), kind: None };
    assert!(matches!(pour(&job, &mut Memory::default(), &Progress::default()), Err(StreamError::Fetch(_))));
}

#[test]
fn a_stop_is_heard() {
    let good = noise(3 << 20, 1);
    let server = Server::new(good.clone()).start();
    let progress = Progress::default();
    progress.cancel();
    let result = pour(&job(&server, &good), &mut Memory::default(), &progress);
    assert!(matches!(result, Err(StreamError::Cancelled)));
}

#[test]
fn plain_clusters_reach_the_sink_in_the_memory_they_were_received_in() {
    let dir = tempfile::tempdir().unwrap();
    let (raw, image) = (dir.path().join("raw"), dir.path().join("image"));
    let disk = [&noise(4 << 20, 1)[..], &[0; 1 << 20], &[5; 1 << 20]].concat();
    std::fs::write(&raw, &disk).unwrap();
    for (packed, plain) in [(None, 5 << 20), (Some("-c"), 4 << 20)] {
        let mut args = vec!["convert", "-f", "raw", "-O", "qcow2"];
        args.extend(packed);
        let made = Command::new("qemu-img").args(args).args([&raw, &image]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let file = std::fs::read(&image).unwrap();
        for server in [Server::new(file.clone()), Server::new(file.clone()).without_ranges()] {
            let memory = poured(&server.start(), &file).unwrap().0;
            assert!(memory.disk == disk);
            // Noise does not pack, so qemu-img leaves it plain; what was unpacked is copied.
            assert_eq!(memory.kept, plain, "packed: {packed:?}");
        }
    }
}

/// Takes everything and keeps nothing.
struct Nothing;

impl Sink for Nothing {
    fn begin(&mut self, _: Option<u64>) -> Result<(), SinkError> {
        Ok(())
    }

    fn data(&mut self, _: u64, _: &[u8]) -> Result<(), SinkError> {
        Ok(())
    }

    fn zero(&mut self, _: u64, _: u64) -> Result<(), SinkError> {
        Ok(())
    }
}

/// In a child process, because the image is in the memory of this one.
#[test]
fn memory_is_bounded_whatever_the_size_of_the_image() {
    const PLACE: &str = "POUR_AND_TELL_THE_MEMORY";
    if let Ok(place) = std::env::var(PLACE) {
        let (url, digest) = place.split_once(' ').unwrap();
        let server = Server::new(Vec::new()).start();
        let mut job = job(&server, b"");
        job.request.urls = vec![url.parse().unwrap()];
        job.checksum = Choice::Known(Expected { kind: DigestKind::Sha256, hex: digest.into() });
        job.room = 1 << 40;
        let poured = pour(&job, &mut Nothing, &Progress::default()).unwrap();
        assert!(poured.qcow2 && poured.spooled == 0);
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (raw, image) = (dir.path().join("raw"), dir.path().join("image"));
    for packed in [false, true] {
        let mut disk = noise(192 << 20, 1);
        disk.chunks_mut(4096).for_each(|block| block[..1000].fill(1));
        std::fs::write(&raw, disk).unwrap();
        let mut args = vec!["convert", "-f", "raw", "-O", "qcow2", "-o", "compression_type=zstd"];
        args.extend(packed.then_some("-c"));
        let made = Command::new("qemu-img").args(args).args([&raw, &image]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let file = std::fs::read(&image).unwrap();
        assert!(file.len() > 130 << 20);
        let mut hasher = Hasher::new(DigestKind::Sha256);
        hasher.update(&file);
        let server = Server::new(file).start();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "stream::pour::tests::memory_is_bounded_whatever_the_size_of_the_image", "--nocapture"])
            .env(PLACE, format!("{} {}", server.url("/image"), hasher.hex()))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        let line = said.lines().find_map(|line| line.split_once("VmHWM:")).unwrap_or_else(|| panic!("{said}")).1;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        // With the program itself.
        assert!(kib < 64 << 10, "{kib} KiB, packed {packed}");
    }
}
