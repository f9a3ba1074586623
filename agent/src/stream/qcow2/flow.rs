//! qcow2 from a stream that is seen once and in order, as out of a decompressor: tables are read when they come by, and only
//! what came before the table that maps it waits in a [`Spool`]. QEMU allocates a table before the data it maps, so in
//! images as `qemu-img` makes them that is next to nothing; it is the whole image in one whose first-level table moved to
//! the end of the file when the disk was grown.
//!
//! Overlaps are judged at the end, over the whole map: until then the disk does not boot.

use super::cluster::Unpacker;
use super::header::Header;
use super::load::read_second_level;
use super::map::{Builder, Map, Piece, Table};
use super::pass::{Give, clipped, overlap};
use super::table::first_level;
use super::{Qcow2Error, be64};
use crate::stream::error::StreamError;
use crate::stream::spool::Spool;
use std::collections::BTreeMap;

/// Bytes read back from the spool at once.
const READ: u64 = 1 << 20;
/// The claim of a packed cluster ends at a sector, and the next one may begin in it.
const SECTOR: u64 = 512;

/// A table of which more bytes are to come.
struct Reading {
    /// Which second-level table; None for the first-level one.
    index: Option<u32>,
    length: u64,
    bytes: Vec<u8>,
}

/// Data as it is, of which more bytes are to come. Any byte can be the first one, so this is no [`Piece`].
#[derive(Clone, Copy)]
struct Run {
    guest: u64,
    length: u64,
}

/// A packed cluster of which more bytes are to come.
struct Open {
    piece: Piece,
    stored: Vec<u8>,
}

/// State of the pass.
pub struct Flow {
    header: Header,
    at: u64,
    builder: Builder,
    tables: BTreeMap<u64, Reading>,
    plain: BTreeMap<u64, Run>,
    packed: BTreeMap<u64, Open>,
    spool: Spool,
    unpacker: Unpacker,
}

/// Whose the next bytes are.
enum Owner {
    Table(u64),
    Plain(u64),
    /// A packed cluster's, or nobody's yet.
    Gap,
}

impl Flow {
    /// Before the first byte.
    pub fn new(header: Header, spool: Spool) -> Self {
        let unpacker = Unpacker::new(header.packing, header.cluster());
        let first = Reading { index: None, length: header.l1_entries * 8, bytes: Vec::new() };
        let tables = BTreeMap::from([(header.l1_offset, first)]);
        let (builder, plain, packed) = (Builder::default(), BTreeMap::new(), BTreeMap::new());
        Self { header, at: 0, builder, tables, plain, packed, spool, unpacker }
    }

    /// The next bytes of the file.
    ///
    /// # Errors
    /// [`Qcow2Error`], no room for what must wait, or what `give` returns.
    pub fn feed(&mut self, bytes: &[u8], give: &mut Give<'_>) -> Result<(), StreamError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (owner, length) = self.owner(rest.len() as u64)?;
            let (part, later) = rest.split_at(length as usize);
            match owner {
                Owner::Table(start) => self.table(start, part, give)?,
                Owner::Plain(start) => self.data(start, part, give)?,
                Owner::Gap => self.gap(part, give)?,
            }
            rest = later;
        }
        Ok(())
    }

    /// After the last byte: the whole map, and how many bytes had to wait. A last cluster that was cut off with the file
    /// reads as zeroes from there.
    ///
    /// # Errors
    /// Data or tables that never came; two uses of the same bytes.
    pub fn finish(mut self, give: &mut Give<'_>) -> Result<(Map, u64), StreamError> {
        let beyond = |what, at: u64, end: u64| Err(Qcow2Error::Invalid(format!("{what} at byte {at} of {end}")).into());
        if let Some((at, _)) = self.tables.first_key_value() {
            return beyond("a table", *at, self.at);
        }
        while let Some((at, open)) = self.packed.pop_first() {
            if open.stored.is_empty() {
                return beyond("data", at, self.at);
            }
            self.unpack(open.piece, &open.stored, give)?;
        }
        let nothing = vec![0; 65536];
        for (at, run) in std::mem::take(&mut self.plain) {
            if at >= self.at {
                return beyond("data", at, self.at);
            }
            let mut done = self.at - at;
            while done < run.length {
                let part = (run.length - done).min(nothing.len() as u64);
                clipped(self.header.virtual_size, run.guest + done, &nothing[..part as usize], give)?;
                done += part;
            }
        }
        let map = self.builder.finish(self.header.cluster(), self.header.virtual_size, self.at)?;
        Ok((map, self.spool.kept()))
    }

    /// Who owns the byte at `self.at`, and for how many of the next `available` bytes that holds.
    fn owner(&self, available: u64) -> Result<(Owner, u64), StreamError> {
        let (at, end) = (self.at, self.at + available);
        // Whoever began before and still waits, but ends before, lost bytes to another owner.
        let until =
            |start: u64, stop: u64| stop.min(end).checked_sub(at).filter(|&left| left > 0).ok_or_else(|| twice(start));
        if let Some((start, table)) = self.tables.range(..=at).next_back() {
            return Ok((Owner::Table(*start), until(*start, start + table.length)?));
        }
        let plain = self.plain.range(..=at).next_back();
        let owner =
            plain.map(|(start, run)| Ok::<_, StreamError>((Owner::Plain(*start), until(*start, start + run.length)?)));
        let next_table = self.tables.range(at..).next().map_or(end, |(start, _)| *start);
        let (owner, length) = match owner {
            Some(owner) => owner?,
            None => (Owner::Gap, self.plain.range(at..).next().map_or(end, |(start, _)| *start).min(end) - at),
        };
        Ok((owner, length.min(next_table - at)))
    }

    fn data(&mut self, start: u64, part: &[u8], give: &mut Give<'_>) -> Result<(), StreamError> {
        let Some(run) = self.plain.get(&start).copied() else { return Ok(()) };
        clipped(self.header.virtual_size, run.guest + (self.at - start), part, give)?;
        self.at += part.len() as u64;
        if self.at >= start + run.length {
            self.plain.remove(&start);
        }
        Ok(())
    }

    fn gap(&mut self, part: &[u8], give: &mut Give<'_>) -> Result<(), StreamError> {
        let (start, end) = (self.at, self.at + part.len() as u64);
        let mut unknown = start;
        for open in self.packed.range_mut(..end).map(|(_, open)| open) {
            let host = open.piece.host;
            open.stored.extend_from_slice(overlap(start, part, host, u64::from(open.piece.length)).1);
            keep(&mut self.spool, start, part, unknown, host)?;
            unknown = unknown.max(open.piece.end().saturating_sub(SECTOR - 1).max(host));
        }
        keep(&mut self.spool, start, part, unknown, end)?;
        self.at = end;
        while let Some(entry) = self.packed.first_entry()
            && entry.get().stored.len() as u64 >= u64::from(entry.get().piece.length)
        {
            let open = entry.remove();
            self.unpack(open.piece, &open.stored, give)?;
        }
        Ok(())
    }

    fn table(&mut self, start: u64, part: &[u8], give: &mut Give<'_>) -> Result<(), StreamError> {
        self.at += part.len() as u64;
        let Some(reading) = self.tables.get_mut(&start) else { return Ok(()) };
        reading.bytes.extend_from_slice(part);
        if (reading.bytes.len() as u64) < reading.length {
            return Ok(());
        }
        let Some(reading) = self.tables.remove(&start) else { return Ok(()) };
        self.read_table(start, &reading, give)
    }

    fn read_table(&mut self, at: u64, reading: &Reading, give: &mut Give<'_>) -> Result<(), StreamError> {
        // The digest is for tables that are read twice; these are not.
        self.builder.table(Table { at, length: reading.length, digest: [0; 32] });
        let Some(index) = reading.index else { return self.first_table(&reading.bytes, give) };
        read_second_level(&self.header, u64::from(index), &reading.bytes, &mut self.builder)?;
        for piece in self.builder.news() {
            self.place(piece, give)?;
        }
        Ok(())
    }

    fn first_table(&mut self, bytes: &[u8], give: &mut Give<'_>) -> Result<(), StreamError> {
        let mut found: Vec<(u64, u32)> = Vec::new();
        for (index, at) in (0..bytes.len()).step_by(8).enumerate() {
            let offset = first_level(&self.header, be64(bytes, at).unwrap_or(0))?;
            if offset != 0 {
                found.push((offset, index as u32));
            }
        }
        found.sort_unstable();
        if let Some(twice) = found.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Qcow2Error::Invalid(format!("two uses of the bytes at {}", twice[0].0)).into());
        }
        let length = self.header.cluster();
        for (offset, index) in found {
            let mut bytes = vec![0; self.at.saturating_sub(offset).min(length) as usize];
            self.spool.read(offset, &mut bytes)?;
            let reading = Reading { index: Some(index), length, bytes };
            if offset + length <= self.at {
                self.read_table(offset, &reading, give)?;
            } else {
                self.tables.insert(offset, reading);
            }
        }
        Ok(())
    }

    /// A run that a table told of: what has gone by comes from the spool, the rest is waited for.
    fn place(&mut self, piece: Piece, give: &mut Give<'_>) -> Result<(), StreamError> {
        let gone = self.at.saturating_sub(piece.host).min(u64::from(piece.length));
        if piece.is_packed() {
            let mut stored = vec![0; gone as usize];
            self.spool.read(piece.host, &mut stored)?;
            if gone == u64::from(piece.length) {
                return self.unpack(piece, &stored, give);
            }
            return self.wait_for_packed(piece, stored);
        }
        let mut buffer = vec![0; gone.min(READ) as usize];
        let mut done = 0;
        while done < gone {
            let part = &mut buffer[..(gone - done).min(READ) as usize];
            self.spool.read(piece.host + done, part)?;
            clipped(self.header.virtual_size, piece.guest() + done, part, give)?;
            done += part.len() as u64;
        }
        let rest = Run { guest: piece.guest() + gone, length: u64::from(piece.length) - gone };
        let at = piece.host + gone;
        match rest.length > 0 && self.plain.insert(at, rest).is_some() {
            true => Err(twice(at)),
            false => Ok(()),
        }
    }

    /// Neighbours may share a sector, no more: this bounds how many are open at a time.
    fn wait_for_packed(&mut self, piece: Piece, stored: Vec<u8>) -> Result<(), StreamError> {
        let before = self.packed.range(..=piece.host).next_back().map(|(_, open)| open.piece);
        let behind = self.packed.range(piece.host..).next().map(|(at, _)| *at);
        let reaches = |first: Piece, second: u64| second <= first.host || second < first.end().saturating_sub(SECTOR);
        if before.is_some_and(|before| reaches(before, piece.host)) || behind.is_some_and(|at| reaches(piece, at)) {
            return Err(twice(piece.host));
        }
        self.packed.insert(piece.host, Open { piece, stored });
        Ok(())
    }

    fn unpack(&mut self, piece: Piece, stored: &[u8], give: &mut Give<'_>) -> Result<(), StreamError> {
        let at = piece.host;
        let cluster = self.unpacker.unpack(stored).map_err(|reason| Qcow2Error::Cluster { at, reason })?;
        clipped(self.header.virtual_size, piece.guest(), cluster, give)
    }
}

fn twice(at: u64) -> StreamError {
    Qcow2Error::Invalid(format!("two uses of the bytes at {at}")).into()
}

/// Puts `from..to` of `part`, which begins at `start`, aside; zeroes need no place.
fn keep(spool: &mut Spool, start: u64, part: &[u8], from: u64, to: u64) -> Result<(), StreamError> {
    let (at, bytes) = overlap(start, part, from, to.saturating_sub(from));
    if bytes.iter().all(|byte| *byte == 0) { Ok(()) } else { spool.put(at, bytes) }
}
