//! qemu-img makes the images and says what they mean; our readers must agree, byte for byte.

mod many;

use super::decompress::fill;
use super::decompress::tests::{ALL, pack};
use super::error::StreamError;
use super::pour::tests::poured;
use super::qcow2::Qcow2Error;
use super::qcow2::flow::Flow;
use super::qcow2::header::Header;
use super::qcow2::load::{TableSource, load};
use super::qcow2::map::Map;
use super::qcow2::pass::Pass;
use super::spool::Spool;
use super::test_server::{Fault, Server, noise};
use bytes::Bytes;
use proptest::prelude::{any, prop, proptest};
use std::io::Read;
use std::path::Path;
use std::process::Command;

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap_or_else(|cause| panic!("{program}: {cause}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What qemu-img reads from an image; None if it refuses.
fn meant(image: &Path) -> Option<Vec<u8>> {
    let raw = image.with_extension("meant");
    let args = ["convert", "-f", "qcow2", "-O", "raw", text(image), text(&raw)];
    let ok = Command::new("qemu-img").args(args).output().unwrap().status.success();
    ok.then(|| std::fs::read(&raw).unwrap())
}

/// A disk with everything: noise, text, zeroes, odd corners.
fn disk(bytes: usize, seed: u64) -> Vec<u8> {
    let mut disk = vec![0; bytes];
    let spots = [(0, 700), (4096, 70_000), (300_000, 100), (1 << 20, 400_000), (bytes - 5000, 5000)];
    for (index, (at, length)) in spots.into_iter().enumerate() {
        let part = match index % 2 {
            0 => noise(length, seed + index as u64),
            _ => (0..length).map(|at| (at / 100 % 50) as u8 + 1).collect(),
        };
        disk[at..at + length].copy_from_slice(&part);
    }
    disk
}

struct Made {
    name: String,
    file: Vec<u8>,
    disk: Vec<u8>,
}

fn make(dir: &Path, name: &str, options: &str, packed: bool, more: &[&[&str]]) -> Made {
    let (raw, image) = (dir.join(format!("{name}.raw")), dir.join(format!("{name}.qcow2")));
    std::fs::write(&raw, disk(3 * (1 << 20) + 512 * 3, name.len() as u64)).unwrap();
    let mut args = vec!["convert", "-f", "raw", "-O", "qcow2", "-o", options];
    if packed {
        args.push("-c");
    }
    args.extend([text(&raw), text(&image)]);
    run("qemu-img", &args);
    for step in more {
        let step: Vec<&str> = step.iter().map(|word| if *word == "IMAGE" { text(&image) } else { word }).collect();
        run(step[0], &step[1..]);
    }
    Made { name: name.into(), file: std::fs::read(&image).unwrap(), disk: meant(&image).unwrap() }
}

fn all(dir: &Path) -> Vec<Made> {
    let mut made = Vec::new();
    for size in ["512", "4096", "65536", "262144", "2097152"] {
        for compat in ["0.10", "1.1"] {
            let options = format!("cluster_size={size},compat={compat}");
            made.push(make(dir, &format!("plain-{size}-{compat}"), &options, false, &[]));
            made.push(make(dir, &format!("deflate-{size}-{compat}"), &options, true, &[]));
        }
        let options = format!("cluster_size={size},compression_type=zstd");
        made.push(make(dir, &format!("zstd-{size}"), &options, true, &[]));
    }
    let zero = ["qemu-io", "-f", "qcow2", "-c", "write -z 1M 128k", "-c", "write -P 7 2M 100k", "IMAGE"];
    let unmap = ["qemu-io", "-f", "qcow2", "-d", "unmap", "-c", "write -zu 1M 128k", "-c", "discard 64k 64k", "IMAGE"];
    let snapshot = ["qemu-img", "snapshot", "-c", "one", "IMAGE"];
    let scatter = [
        "qemu-io",
        "-f",
        "qcow2",
        "-c",
        "write -P 1 2560k 64k",
        "-c",
        "write -P 2 640k 64k",
        "-c",
        "write -P 3 128k 1k",
        "IMAGE",
    ];
    let extended = "extended_l2=on,cluster_size=65536";
    made.push(make(dir, "zeroed", "compat=1.1", false, &[&zero]));
    made.push(make(dir, "zeroed-v2", "compat=0.10", false, &[&zero]));
    made.push(make(dir, "unmapped", "compat=1.1", false, &[&unmap]));
    made.push(make(dir, "scattered", "cluster_size=4096", false, &[&scatter]));
    made.push(make(dir, "snapshot", "compat=1.1", false, &[&snapshot, &scatter, &snapshot, &zero]));
    made.push(make(dir, "packed-then-written", "cluster_size=16384", true, &[&scatter, &zero, &unmap]));
    made.push(make(dir, "extended", extended, false, &[]));
    made.push(make(dir, "extended-written", extended, false, &[&scatter, &zero]));
    made.push(make(dir, "extended-packed", &format!("{extended},compression_type=zstd"), true, &[&scatter, &unmap]));
    made.push(make(dir, "preallocated", "preallocation=metadata", false, &[]));
    made.push(make(dir, "grown", "cluster_size=65536", false, &[&["qemu-img", "resize", "IMAGE", "9M"]]));
    made.push(make(dir, "lazy", "lazy_refcounts=on", false, &[&scatter]));
    made
}

#[test]
fn images_of_every_kind_read_as_qemu_reads_them_with_and_without_ranges() {
    let dir = tempfile::tempdir().unwrap();
    let images = all(dir.path());
    assert!(images.len() > 30);
    for made in images {
        for ranges in [true, false] {
            let server = Server::new(made.file.clone());
            let server = if ranges { server } else { server.without_ranges() }.start();
            let (disk, facts) = poured(&server, &made.file).unwrap_or_else(|error| panic!("{}: {error}", made.name));
            assert!(disk.disk == made.disk, "{} differs, ranges {ranges}", made.name);
            assert_eq!((facts.qcow2, facts.size), (true, made.disk.len() as u64));
            assert!(facts.spooled == 0 || !ranges, "{}: a temporary copy beside ranges", made.name);
            assert_eq!(facts.downloaded, made.file.len() as u64);
        }
    }
}

#[test]
fn a_qcow2_image_survives_a_dropped_connection_and_an_unknown_size() {
    let dir = tempfile::tempdir().unwrap();
    let made = make(dir.path(), "a", "compat=1.1", true, &[]);
    let server = Server::new(made.file.clone()).fault(Fault::DropAfter(made.file.len() / 2)).start();
    assert!(poured(&server, &made.file).unwrap().0.disk == made.disk);
    let server = Server::new(made.file.clone()).without_length().start();
    let (disk, facts) = poured(&server, &made.file).unwrap();
    assert!(disk.disk == made.disk && facts.spooled < 1 << 20, "{facts:?}");
}

#[test]
fn compressed_files_are_unpacked_and_the_digest_is_of_the_file_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let made = make(dir.path(), "a", "compat=1.1", false, &[]);
    let raw = disk(3 << 20, 5);
    for kind in ALL {
        for (plain, disk, qcow2) in [(&raw, &raw, false), (&made.file, &made.disk, true)] {
            let file = pack(kind, plain);
            let server = Server::new(file.clone()).start();
            let (memory, facts) = poured(&server, &file).unwrap();
            assert!(memory.disk == *disk, "{kind:?} {qcow2}");
            assert_eq!((facts.qcow2, facts.compression), (qcow2, Some(kind)));
            let wrong = poured(&server, plain).err().unwrap();
            assert!(matches!(wrong, StreamError::Checksum(_)), "{wrong}");
            let cut = &file[..file.len() - 20];
            let server = Server::new(cut.to_vec()).start();
            assert!(matches!(poured(&server, cut).err().unwrap(), StreamError::Compressed { .. }));
        }
    }
}

#[test]
fn other_tables_by_range_than_in_the_file_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let made = make(dir.path(), "a", "cluster_size=4096", false, &[]);
    let header = Header::parse(&made.file).unwrap();
    // A first-level entry fewer: the server hides a part of the disk from the tables it sends by range.
    let mut other = made.file.clone();
    other[header.l1_offset as usize..][..8].fill(0);
    let server = Server::new(made.file.clone()).other_for_ranges(other).start();
    let error = poured(&server, &made.file).err().unwrap();
    assert!(matches!(error, StreamError::Qcow2(Qcow2Error::TablesDiffer(at)) if at == header.l1_offset), "{error}");
}

struct Slice<'a>(&'a [u8]);

impl TableSource for Slice<'_> {
    fn read(&mut self, offset: u64, length: usize) -> Result<Bytes, StreamError> {
        assert!(length <= 4 << 20, "reads are bounded");
        let from = usize::try_from(offset).unwrap();
        Ok(Bytes::copy_from_slice(&self.0[from..from + length]))
    }
}

/// Both readers without a network: the one that knows the tables and the one that learns them. They must agree.
fn read(file: &[u8], room: u64) -> Result<Vec<u8>, StreamError> {
    let known = read_by_tables(file, room);
    let learned = learn(&mut &file[..], room, 1000);
    match (&known, &learned) {
        (Ok(known), Ok(learned)) => assert!(known == learned, "the readers disagree"),
        (Err(_), Err(_)) => {}
        (known, learned) => panic!("{:?} by tables, {:?} learned", known.as_ref().err(), learned.as_ref().err()),
    }
    known
}

fn read_by_tables(file: &[u8], room: u64) -> Result<Vec<u8>, StreamError> {
    let header = Header::parse(file)?;
    let map = load(&header, file.len() as u64, &mut Slice(file))?;
    let mut disk = blank(&header, room)?;
    let mut pass = Pass::new(&header, &map);
    for piece in file.chunks(1000) {
        pass.feed(piece, &mut into(&mut disk))?;
    }
    pass.finish(&mut into(&mut disk))?;
    zero(&map, &mut disk);
    Ok(disk)
}

/// Out of a stream, in steps of `step` bytes.
fn learn(file: &mut dyn Read, room: u64, step: usize) -> Result<Vec<u8>, StreamError> {
    let mut piece = vec![0; step.max(4096)];
    let got = fill(file, &mut piece).unwrap();
    piece.truncate(got);
    let header = Header::parse(&piece)?;
    let mut disk = blank(&header, room)?;
    let mut flow = Flow::new(header, Spool::new(&std::env::temp_dir()));
    while !piece.is_empty() {
        flow.feed(&piece, &mut into(&mut disk))?;
        piece.resize(step, 0);
        let got = fill(file, &mut piece).unwrap();
        piece.truncate(got);
    }
    let (map, _) = flow.finish(&mut into(&mut disk))?;
    zero(&map, &mut disk);
    Ok(disk)
}

fn blank(header: &Header, room: u64) -> Result<Vec<u8>, StreamError> {
    match header.virtual_size > room {
        true => Err(StreamError::Sink("too large".into())),
        false => Ok(vec![0xee; header.virtual_size as usize]),
    }
}

fn into(disk: &mut [u8]) -> impl FnMut(u64, &[u8]) -> Result<(), StreamError> + '_ {
    |offset, bytes| {
        disk[offset as usize..offset as usize + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

fn zero(map: &Map, disk: &mut [u8]) {
    for (start, length) in &map.zeroes {
        disk[*start as usize..(start + length) as usize].fill(0);
    }
}

fn small(dir: &Path, options: &str, packed: bool) -> Vec<u8> {
    let (raw, image) = (dir.join("small.raw"), dir.join("small.qcow2"));
    let mut disk = vec![0; 128 << 10];
    disk[2000..9000].fill(5);
    disk[70_000..90_000].copy_from_slice(&noise(20_000, 3));
    std::fs::write(&raw, disk).unwrap();
    let mut args = vec!["convert", "-f", "raw", "-O", "qcow2", "-o", options];
    args.extend(packed.then_some("-c"));
    args.extend([text(&raw), text(&image)]);
    run("qemu-img", &args);
    std::fs::read(&image).unwrap()
}

#[test]
fn damaged_images_are_refused_or_read_as_qemu_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut agreed = 0;
    for (options, packed) in [("cluster_size=512", false), ("cluster_size=1024", true), ("extended_l2=on", false)] {
        let sound = small(dir.path(), options, packed);
        assert_eq!(Some(read(&sound, 1 << 20).unwrap()), meant(&dir.path().join("small.qcow2")));
        let header = Header::parse(&sound).unwrap();
        let l1 = header.l1_offset as usize;
        let l2 = (u64::from_be_bytes(sound[l1..l1 + 8].try_into().unwrap()) & 0x00ff_ffff_ffff_fe00) as usize;
        for seed in 0..60_u64 {
            let dice = noise(16, seed + 1);
            let mut file = sound.clone();
            let at = match seed % 3 {
                0 => dice[0] as usize % 112,
                1 => l1 + dice[0] as usize % (header.l1_entries as usize * 8),
                _ => l2 + u16::from_le_bytes([dice[0], dice[1]]) as usize % 512,
            };
            file[at] ^= 1 << (dice[2] % 8);
            if let Ok(disk) = read(&file, 1 << 24) {
                let image = dir.path().join("damaged.qcow2");
                std::fs::write(&image, &file).unwrap();
                // Reference counts and snapshots concern writers only; qemu looks at them all the same.
                let ignored = (48..72).contains(&at) || (96..100).contains(&at);
                match meant(&image) {
                    Some(meant) => assert!(meant == disk, "{options}: byte {at} changed"),
                    None => assert!(ignored, "{options}: byte {at}: qemu refuses what we read"),
                }
                agreed += 1;
            }
        }
    }
    assert!(agreed > 10, "{agreed}");
}

proptest! {
    #[test]
    fn no_tables_break_the_reader(
        words in prop::collection::vec((0..600_usize, any::<u64>()), 0..40),
        near in prop::collection::vec((0..600_usize, 0..40_u64, 0..8_u64), 0..40),
        version in 2..4_u8,
        length in 0..20_000_usize,
    ) {
        let mut file = super::qcow2::header::tests::sound();
        file.resize(20_000, 0);
        file[7] = version;
        file[23] = 9;
        file[36..40].copy_from_slice(&2000_u32.to_be_bytes());
        file[40..48].copy_from_slice(&512_u64.to_be_bytes());
        for (at, word) in words {
            file[512 + at * 8..520 + at * 8].copy_from_slice(&word.to_be_bytes());
        }
        for (at, cluster, bits) in near {
            let word = (cluster * 512) | ((bits & 6) << 61) | (bits & 1);
            file[512 + at * 8..520 + at * 8].copy_from_slice(&word.to_be_bytes());
        }
        let _ = read(&file[..length], 1 << 24);
        let _ = read(&file, 1 << 24);
    }
}
