//! What an image server sends.

use agent::stream::decompress::{Compression, fill};
use agent::stream::error::StreamError;
use agent::stream::format::{END, HEAD, Policy, decide, detect, detect_end};
use agent::stream::qcow2::flow::Flow;
use agent::stream::qcow2::header::Header;
use agent::stream::qcow2::load::{TableSource, load};
use agent::stream::qcow2::map::Map;
use agent::stream::qcow2::pass::Pass;
use agent::stream::spool::Spool;

/// Larger disks are not unpacked: they take time, and are no other parser.
const ROOM: u64 = 8 << 20;

/// Which format it is, and what may be done with it.
pub fn format(data: &[u8]) {
    let _ = detect_end(&data[data.len().saturating_sub(END)..]);
    let Ok(found) = detect(&data[..data.len().min(HEAD)]) else { return };
    let permitted = ["raw".to_owned(), "qcow2".to_owned()];
    for declared in [None, Some("raw"), Some("qcow2"), Some("vmdk")] {
        for inspect in [true, false] {
            let _ =
                decide(found, Policy { declared, permitted: &permitted, inspect }).map_err(|error| error.to_string());
        }
    }
}

/// gzip, zstd, xz, bzip2; the first byte can choose, so that damage to the first bytes is seen, too.
pub fn compressed(data: &[u8]) {
    let kinds = [Compression::Gzip, Compression::Zstd, Compression::Xz, Compression::Bzip2];
    let Some((first, rest)) = data.split_first() else { return };
    let found = Compression::detect(data).map(|kind| (kind, data));
    let (kind, data) = found.unwrap_or((kinds[usize::from(*first) % kinds.len()], rest));
    let Ok(mut reader) = kind.open(data) else { return };
    let mut buffer = vec![0; 64 << 10];
    for _ in 0..64 {
        match fill(&mut *reader, &mut buffer) {
            Ok(count) if count == buffer.len() => {}
            _ => return,
        }
    }
}

struct Slice<'a>(&'a [u8]);

impl TableSource for Slice<'_> {
    fn read(&mut self, offset: u64, length: usize) -> Result<bytes::Bytes, StreamError> {
        // `load` was told the size: what lies outside is its fault.
        let from = usize::try_from(offset).expect("inside of the file");
        Ok(bytes::Bytes::copy_from_slice(&self.0[from..from + length]))
    }
}

/// Both readers of qcow2, which must agree.
pub fn qcow2(data: &[u8]) {
    let Ok(header) = Header::parse(data) else { return };
    if header.virtual_size > ROOM {
        return;
    }
    let known = by_tables(&header, data);
    let learned = learned(&header, data);
    match (known, learned) {
        (Ok(known), Ok(learned)) => assert!(known == learned, "the readers disagree about the disk"),
        (Err(_), Err(_)) => {}
        (known, learned) => panic!("by tables {:?}, learned {:?}", known.err(), learned.err()),
    }
}

fn by_tables(header: &Header, data: &[u8]) -> Result<Vec<u8>, StreamError> {
    let map = load(header, data.len() as u64, &mut Slice(data))?;
    let mut disk = vec![0xee; usize::try_from(header.virtual_size).expect("small")];
    let mut pass = Pass::new(header, &map);
    for piece in data.chunks(777) {
        pass.feed(piece, &mut into(&mut disk))?;
    }
    pass.finish(&mut into(&mut disk))?;
    Ok(zeroed(disk, &map))
}

fn learned(header: &Header, data: &[u8]) -> Result<Vec<u8>, StreamError> {
    let mut disk = vec![0xee; usize::try_from(header.virtual_size).expect("small")];
    let mut flow = Flow::new(*header, Spool::new(&std::env::temp_dir()));
    for piece in data.chunks(777) {
        flow.feed(piece, &mut into(&mut disk))?;
    }
    let (map, _) = flow.finish(&mut into(&mut disk))?;
    Ok(zeroed(disk, &map))
}

fn into(disk: &mut [u8]) -> impl FnMut(u64, &[u8]) -> Result<(), StreamError> + '_ {
    |offset, bytes| {
        // Nothing outside of the disk is ever given: this would panic.
        let at = usize::try_from(offset).expect("small");
        disk[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

fn zeroed(mut disk: Vec<u8>, map: &Map) -> Vec<u8> {
    for (start, length) in &map.zeroes {
        let at = usize::try_from(*start).expect("small");
        disk[at..at + usize::try_from(*length).expect("small")].fill(0);
    }
    disk
}
