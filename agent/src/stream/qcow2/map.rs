//! The whole mapping of an image, turned round: sorted by where the bytes are in the file.

use super::Qcow2Error;
use super::table::Place;

/// Runs of data kept at most: 24 bytes each.
const MAX_PIECES: usize = 4 << 20;
/// A run is not made longer than this, bytes.
const MAX_RUN: u64 = 1 << 30;

/// A run of bytes in the file and its place on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Offset in the file.
    pub host: u64,
    /// Offset on the disk, and in the lowest bit whether the bytes are one packed cluster. Clusters are even.
    guest: u64,
    /// Bytes in the file.
    pub length: u32,
}

impl Piece {
    /// Offset on the disk.
    pub fn guest(&self) -> u64 {
        self.guest & !1
    }

    /// One packed cluster.
    pub fn is_packed(&self) -> bool {
        self.guest & 1 == 1
    }

    /// Offset in the file of what follows.
    pub fn end(&self) -> u64 {
        self.host + u64::from(self.length)
    }
}

/// A table of the image, and what it held when it was read.
#[derive(Clone, Debug)]
pub struct Table {
    /// Offset in the file.
    pub at: u64,
    /// Bytes.
    pub length: u64,
    /// SHA-256 of the bytes.
    pub digest: [u8; 32],
}

/// Collects what the tables say.
#[derive(Default)]
pub struct Builder {
    pieces: Vec<Piece>,
    tables: Vec<Table>,
    /// Pieces before this one were handed out and do not grow any more.
    fence: usize,
}

/// The mapping, complete and checked.
#[derive(Debug, Default)]
pub struct Map {
    /// Runs and packed clusters by file offset, without overlap; only packed neighbours may share a sector.
    pub pieces: Vec<Piece>,
    /// Tables by file offset.
    pub tables: Vec<Table>,
    /// Runs of the disk that are zeroes: start and length.
    pub zeroes: Vec<(u64, u64)>,
}

impl Builder {
    /// A table that was read. Big ones come in several parts.
    pub fn table(&mut self, table: Table) {
        self.tables.push(table);
    }

    /// `length` bytes of the disk from `guest` are at `place`; zeroes need not be told.
    ///
    /// # Errors
    /// [`Qcow2Error::TooFragmented`].
    pub fn add(&mut self, guest: u64, length: u64, place: Place) -> Result<(), Qcow2Error> {
        let piece = match place {
            Place::Zero => return Ok(()),
            Place::Packed(host, stored) => Piece { host, guest: guest | 1, length: stored },
            Place::Plain(host) => {
                if let Some(last) = self.pieces[self.fence..].last_mut()
                    && !last.is_packed()
                    && last.end() == host
                    && last.guest + u64::from(last.length) == guest
                    && u64::from(last.length) + length <= MAX_RUN
                {
                    last.length += length as u32;
                    return Ok(());
                }
                Piece { host, guest, length: length as u32 }
            }
        };
        if self.pieces.len() >= MAX_PIECES {
            return Err(Qcow2Error::TooFragmented(format!("more than {MAX_PIECES} runs of data")));
        }
        self.pieces.push(piece);
        Ok(())
    }

    /// What was added since this was last asked.
    pub fn news(&mut self) -> Vec<Piece> {
        let news = self.pieces[self.fence..].to_vec();
        self.fence = self.pieces.len();
        news
    }

    /// Sorts, and refuses overlaps and what lies outside a file of `file_size` bytes.
    ///
    /// # Errors
    /// [`Qcow2Error::Invalid`].
    pub fn finish(self, cluster: u64, virtual_size: u64, file_size: u64) -> Result<Map, Qcow2Error> {
        let Self { mut pieces, mut tables, .. } = self;
        pieces.sort_unstable_by_key(|piece| piece.guest);
        let zeroes = zeroes(&pieces, cluster, virtual_size);
        pieces.sort_unstable_by_key(|piece| (piece.host, piece.length));
        tables.sort_unstable_by_key(|table| table.at);
        if let Some(beyond) = pieces.last().filter(|piece| piece.host >= file_size) {
            return Err(Qcow2Error::Invalid(format!("data at byte {} of {file_size}", beyond.host)));
        }
        overlaps(&pieces, &tables, cluster)?;
        Ok(Map { pieces, tables, zeroes })
    }
}

/// What no piece (sorted by guest offset) covers.
fn zeroes(pieces: &[Piece], cluster: u64, virtual_size: u64) -> Vec<(u64, u64)> {
    let mut holes = Vec::new();
    let mut covered = 0;
    for piece in pieces {
        if piece.guest() > covered {
            holes.push((covered, piece.guest() - covered));
        }
        covered = piece.guest() + if piece.is_packed() { cluster } else { u64::from(piece.length) };
    }
    if covered < virtual_size {
        holes.push((covered, virtual_size - covered));
    }
    holes
}

fn overlaps(pieces: &[Piece], tables: &[Table], cluster: u64) -> Result<(), Qcow2Error> {
    let fail = |at: u64| Err(Qcow2Error::Invalid(format!("two uses of the bytes at {at}")));
    // The header owns the first cluster.
    let mut end = cluster;
    let mut packed_before = None;
    let mut tables = tables.iter().peekable();
    let mut pieces = pieces.iter().peekable();
    loop {
        let table_first = match (tables.peek(), pieces.peek()) {
            (None, None) => return Ok(()),
            (Some(table), Some(piece)) => table.at <= piece.host,
            (Some(_), None) => true,
            (None, Some(_)) => false,
        };
        let (at, length, packed) = if table_first {
            tables.next().map_or((0, 0, false), |table| (table.at, table.length, false))
        } else {
            pieces.next().map_or((0, 0, false), |piece| (piece.host, u64::from(piece.length), piece.is_packed()))
        };
        // A packed cluster is told in whole sectors, so it may seem to reach into the sector where the next begins,
        // never further. This also bounds how many can be open at one time in the pass.
        let free_from = if packed { packed_before.map_or(end, |before| (end - 512).max(before + 1)) } else { end };
        if at < free_from {
            return fail(at);
        }
        end = end.max(at + length);
        packed_before = packed.then_some(at);
    }
}

#[cfg(test)]
mod tests {
    use super::Builder;
    use crate::stream::qcow2::table::Place;

    const CLUSTER: u64 = 65536;

    fn build(parts: &[(u64, Place)]) -> Result<super::Map, String> {
        let mut builder = Builder::default();
        for (cluster, place) in parts {
            builder.add(cluster * CLUSTER, CLUSTER, *place).unwrap();
        }
        builder.finish(CLUSTER, 10 * CLUSTER, 100 * CLUSTER).map_err(|error| error.to_string())
    }

    #[test]
    fn runs_are_merged_and_holes_found() {
        let at = |cluster: u64| Place::Plain(cluster * CLUSTER);
        let map = build(&[(1, at(5)), (2, at(6)), (4, at(3)), (7, Place::Packed(9 * CLUSTER + 7, 505))]).unwrap();
        let runs: Vec<_> =
            map.pieces.iter().map(|piece| (piece.host, piece.guest(), u64::from(piece.length))).collect();
        let wanted = [
            (3 * CLUSTER, 4 * CLUSTER, CLUSTER),
            (5 * CLUSTER, CLUSTER, 2 * CLUSTER),
            (9 * CLUSTER + 7, 7 * CLUSTER, 505),
        ];
        assert_eq!(runs, wanted);
        assert!(map.pieces[2].is_packed());
        let holes: Vec<_> = map.zeroes.iter().map(|(start, length)| (start / CLUSTER, length / CLUSTER)).collect();
        assert_eq!(holes, [(0, 1), (3, 1), (5, 2), (8, 2)]);
    }

    #[test]
    fn overlaps_and_strays_are_refused() {
        let at = |cluster: u64| Place::Plain(cluster * CLUSTER);
        assert!(build(&[(1, at(5)), (3, at(5))]).is_err(), "one cluster twice");
        assert!(build(&[(1, at(0))]).is_err(), "the header");
        assert!(build(&[(1, at(100))]).unwrap_err().contains("of 6553600"));
        assert!(build(&[(1, at(5)), (2, Place::Packed(5 * CLUSTER + 9, 503))]).is_err(), "packed inside plain");
        let neighbours = [(1, Place::Packed(5 * CLUSTER + 9, 503)), (2, Place::Packed(5 * CLUSTER + 90, 422 + 512))];
        assert!(build(&neighbours).is_ok());
        let nested = [(1, Place::Packed(5 * CLUSTER + 9, 503 + 1024)), (2, Place::Packed(5 * CLUSTER + 90, 422))];
        assert!(build(&nested).is_err());
        let same = [(1, Place::Packed(5 * CLUSTER + 9, 503)), (2, Place::Packed(5 * CLUSTER + 9, 503))];
        assert!(build(&same).is_err(), "a bomb: one packed cluster for many");
    }
}
