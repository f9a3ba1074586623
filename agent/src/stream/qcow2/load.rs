//! Reads the mapping tables, wherever they can be read from, in few and bounded requests.

use super::header::Header;
use super::map::{Builder, Map, Table};
use super::table::{first_level, second_level};
use super::{Qcow2Error, be64};
use crate::stream::error::StreamError;
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// Largest single read, bytes.
const READ: u64 = 4 << 20;
/// Second-level tables closer together than this are read in one go, with what is between them.
const GAP: u64 = 128 << 10;

/// Where tables can be read.
pub trait TableSource {
    /// Exactly `length` bytes from `offset`.
    ///
    /// # Errors
    /// The source's.
    fn read(&mut self, offset: u64, length: usize) -> Result<Bytes, StreamError>;
}

/// Reads all tables of the image and builds its map.
///
/// # Errors
/// [`Qcow2Error`] for tables outside the file, overlaps, reserved bits; or what the source returns.
pub fn load(header: &Header, file_size: u64, source: &mut dyn TableSource) -> Result<Map, StreamError> {
    let mut builder = Builder::default();
    let outside = |at: u64| Qcow2Error::Invalid(format!("a table at byte {at} of {file_size}"));
    let inside = |at: u64, length: u64| at.checked_add(length).is_some_and(|end| end <= file_size);
    let l1_bytes = header.l1_entries * 8;
    if !inside(header.l1_offset, l1_bytes) {
        return Err(outside(header.l1_offset).into());
    }
    // Offset of each second-level table, and which.
    let mut tables: Vec<(u64, u32)> = Vec::new();
    let mut done = 0;
    while done < l1_bytes {
        let part = READ.min(l1_bytes - done);
        let bytes = source.read(header.l1_offset + done, part as usize)?;
        builder.table(table(header.l1_offset + done, &bytes));
        for at in (0..bytes.len()).step_by(8) {
            let offset = first_level(header, be64(&bytes, at).unwrap_or(0))?;
            if offset == 0 {
                continue;
            }
            if !inside(offset, header.cluster()) {
                return Err(outside(offset).into());
            }
            tables.push((offset, ((done + at as u64) / 8) as u32));
        }
        done += part;
    }
    tables.sort_unstable();
    let mut rest = &tables[..];
    while let [(start, _), ..] = rest {
        let mut end = start + header.cluster();
        let mut count = 1;
        while let Some((next, _)) = rest.get(count)
            && next.saturating_sub(end) <= GAP
            && next + header.cluster() - start <= READ
        {
            // The same table twice would be two uses of the same bytes.
            if *next < end {
                return Err(Qcow2Error::Invalid(format!("two uses of the bytes at {next}")).into());
            }
            end = next + header.cluster();
            count += 1;
        }
        let bytes = source.read(*start, (end - start) as usize)?;
        for (offset, index) in &rest[..count] {
            let from = (offset - start) as usize;
            let one = bytes.get(from..from + header.cluster() as usize).unwrap_or_default();
            builder.table(table(*offset, one));
            read_second_level(header, u64::from(*index), one, &mut builder)?;
        }
        rest = &rest[count..];
    }
    Ok(builder.finish(header.cluster(), header.virtual_size, file_size)?)
}

fn table(at: u64, bytes: &[u8]) -> Table {
    Table { at, length: bytes.len() as u64, digest: Sha256::digest(bytes).into() }
}

/// Tells `builder` what the second-level table number `index` says.
///
/// # Errors
/// See [`second_level`], and [`Qcow2Error::TooFragmented`].
pub fn read_second_level(header: &Header, index: u64, bytes: &[u8], builder: &mut Builder) -> Result<(), Qcow2Error> {
    let mut guest = index * header.reach();
    for entry in bytes.chunks_exact(header.entry() as usize) {
        // Entries beyond the end of the disk mean nothing.
        if guest >= header.virtual_size {
            break;
        }
        let (word, bitmap) = (be64(entry, 0).unwrap_or(0), be64(entry, 8).unwrap_or(0));
        second_level(header, word, bitmap, &mut |start, length, place| builder.add(guest + start, length, place))?;
        guest += header.cluster();
    }
    Ok(())
}
