//! The one pass: the file goes by from front to back, and every byte that belongs on the disk is handed to its place.

use super::Qcow2Error;
use super::cluster::Unpacker;
use super::header::Header;
use super::map::{Map, Piece};
use crate::stream::error::StreamError;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;

/// Takes bytes of the disk: offset, bytes.
pub type Give<'a> = dyn FnMut(u64, &[u8]) -> Result<(), StreamError> + 'a;

/// A packed cluster that has begun.
struct Open {
    piece: Piece,
    stored: Vec<u8>,
}

/// State of the pass.
pub struct Pass<'a> {
    map: &'a Map,
    virtual_size: u64,
    at: u64,
    plain: usize,
    packed: usize,
    table: usize,
    digest: Sha256,
    open: VecDeque<Open>,
    unpacker: Unpacker,
}

impl<'a> Pass<'a> {
    /// Before the first byte.
    pub fn new(header: &Header, map: &'a Map) -> Self {
        Self {
            map,
            virtual_size: header.virtual_size,
            at: 0,
            plain: 0,
            packed: 0,
            table: 0,
            digest: Sha256::new(),
            open: VecDeque::new(),
            unpacker: Unpacker::new(header.packing, header.cluster()),
        }
    }

    /// The next bytes of the file.
    ///
    /// # Errors
    /// [`Qcow2Error::TablesDiffer`], a cluster that does not unpack, or what `give` returns.
    pub fn feed(&mut self, bytes: &[u8], give: &mut Give<'_>) -> Result<(), StreamError> {
        let end = self.at + bytes.len() as u64;
        self.compare_tables(bytes, end)?;
        while let Some(piece) = self.map.pieces.get(self.plain).filter(|piece| piece.host < end) {
            if piece.is_packed() {
                self.plain += 1;
                continue;
            }
            let (from, part) = overlap(self.at, bytes, piece.host, u64::from(piece.length));
            clipped(self.virtual_size, piece.guest() + (from - piece.host), part, give)?;
            if piece.host + u64::from(piece.length) > end {
                break;
            }
            self.plain += 1;
        }
        while let Some(piece) = self.map.pieces.get(self.packed).filter(|piece| piece.host < end) {
            if piece.is_packed() {
                self.open.push_back(Open { piece: *piece, stored: Vec::new() });
            }
            self.packed += 1;
        }
        // In file order, and none ends before an earlier one: the map made sure.
        for open in &mut self.open {
            let (_, part) = overlap(self.at, bytes, open.piece.host, u64::from(open.piece.length));
            open.stored.extend_from_slice(part);
        }
        while self.open.front().is_some_and(|open| open.stored.len() as u64 == u64::from(open.piece.length)) {
            self.close_first(give)?;
        }
        self.at = end;
        Ok(())
    }

    /// After the last byte. A last cluster that was cut off with the file reads as zeroes from there.
    ///
    /// # Errors
    /// Data or tables that never came.
    pub fn finish(mut self, give: &mut Give<'_>) -> Result<(), StreamError> {
        if let Some(table) = self.map.tables.get(self.table) {
            return Err(Qcow2Error::TablesDiffer(table.at).into());
        }
        while !self.open.is_empty() {
            self.close_first(give)?;
        }
        let nothing = vec![0; 65536];
        for piece in self.map.pieces[self.plain..].iter() {
            let Some(mut there) = self.at.checked_sub(piece.host).filter(|there| *there > 0) else {
                return Err(Qcow2Error::Invalid(format!("data at byte {} of {}", piece.host, self.at)).into());
            };
            if piece.is_packed() {
                continue;
            }
            while there < u64::from(piece.length) {
                let part = (u64::from(piece.length) - there).min(nothing.len() as u64);
                clipped(self.virtual_size, piece.guest() + there, &nothing[..part as usize], give)?;
                there += part;
            }
        }
        Ok(())
    }

    fn compare_tables(&mut self, bytes: &[u8], end: u64) -> Result<(), StreamError> {
        while let Some(table) = self.map.tables.get(self.table).filter(|table| table.at < end) {
            let (_, part) = overlap(self.at, bytes, table.at, table.length);
            self.digest.update(part);
            if table.at + table.length > end {
                break;
            }
            if self.digest.finalize_reset()[..] != table.digest {
                return Err(Qcow2Error::TablesDiffer(table.at).into());
            }
            self.table += 1;
        }
        Ok(())
    }

    fn close_first(&mut self, give: &mut Give<'_>) -> Result<(), StreamError> {
        let Some(open) = self.open.pop_front() else { return Ok(()) };
        let at = open.piece.host;
        let cluster = self.unpacker.unpack(&open.stored).map_err(|reason| Qcow2Error::Cluster { at, reason })?;
        clipped(self.virtual_size, open.piece.guest(), cluster, give)
    }
}

/// The part of `bytes`, which begin at file offset `at`, that lies in `length` bytes from `start`; and its file offset.
pub(super) fn overlap(at: u64, bytes: &[u8], start: u64, length: u64) -> (u64, &[u8]) {
    let end = at + bytes.len() as u64;
    let from = start.clamp(at, end);
    let to = start.saturating_add(length).clamp(from, end);
    (from, &bytes[(from - at) as usize..(to - at) as usize])
}

/// The last cluster may reach beyond the end of the disk.
pub(super) fn clipped(size: u64, guest: u64, bytes: &[u8], give: &mut Give<'_>) -> Result<(), StreamError> {
    let room = usize::try_from(size.saturating_sub(guest)).unwrap_or(usize::MAX);
    let part = &bytes[..bytes.len().min(room)];
    if part.is_empty() { Ok(()) } else { give(guest, part) }
}
