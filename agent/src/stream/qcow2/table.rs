//! Entries of the second-level tables: where the data of one cluster is.

use super::Qcow2Error;
use super::header::Header;

/// Bits 9 to 55.
pub(super) const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
const PACKED: u64 = 1 << 62;
const COPIED: u64 = 1 << 63;
/// In version 3: reads as zeroes, whatever the offset.
const ZERO: u64 = 1;
/// Subclusters in a cluster of an image with extended entries.
const PARTS: u64 = 32;

/// Where the bytes of a cluster, or of a part of one, are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: they are zeroes.
    Zero,
    /// At this offset of the file.
    Plain(u64),
    /// Packed, at this offset, within so many bytes.
    Packed(u64, u32),
}

/// One first-level entry: offset of a second-level table, 0 for none.
///
/// # Errors
/// Reserved bits, or an offset that is not at a cluster.
pub fn first_level(header: &Header, entry: u64) -> Result<u64, Qcow2Error> {
    let offset = entry & OFFSET;
    if entry & !(OFFSET | COPIED) != 0 || !offset.is_multiple_of(header.cluster()) {
        return Err(Qcow2Error::Invalid(format!("a first-level entry {entry:#018x}")));
    }
    Ok(offset)
}

/// Calls `found` with each run of bytes (start within the cluster, length, place) of one cluster, in order.
///
/// # Errors
/// Reserved bits, odd offsets, contradictions; or what `found` returns.
pub fn second_level(
    header: &Header,
    entry: u64,
    bitmap: u64,
    found: &mut dyn FnMut(u64, u64, Place) -> Result<(), Qcow2Error>,
) -> Result<(), Qcow2Error> {
    let invalid = || Qcow2Error::Invalid(format!("a second-level entry {entry:#018x}, {bitmap:#018x}"));
    if entry & PACKED != 0 {
        return found(0, header.cluster(), packed(header, entry).ok_or_else(invalid)?);
    }
    let offset = entry & OFFSET;
    let zero_bit = if header.version >= 3 && !header.extended { ZERO } else { 0 };
    if entry & !(OFFSET | COPIED | zero_bit) != 0 || !offset.is_multiple_of(header.cluster()) {
        return Err(invalid());
    }
    if !header.extended {
        let place = if entry & zero_bit != 0 || offset == 0 { Place::Zero } else { Place::Plain(offset) };
        return found(0, header.cluster(), place);
    }
    let (allocated, zero) = (bitmap & 0xffff_ffff, bitmap >> 32);
    if allocated & zero != 0 || (allocated != 0 && offset == 0) {
        return Err(invalid());
    }
    let part = header.cluster() / PARTS;
    let mut at = 0;
    while at < PARTS {
        let has_data = allocated >> at & 1 == 1;
        let end = (at..PARTS).find(|&other| (allocated >> other & 1 == 1) != has_data).unwrap_or(PARTS);
        let place = if has_data { Place::Plain(offset + at * part) } else { Place::Zero };
        found(at * part, (end - at) * part, place)?;
        at = end;
    }
    Ok(())
}

fn packed(header: &Header, entry: u64) -> Option<Place> {
    let offset_bits = 62 - (header.cluster_bits - 8);
    let offset = entry & ((1 << offset_bits) - 1);
    let sectors = (entry & (PACKED - 1)) >> offset_bits;
    // The data begins anywhere in its first sector and ends somewhere in its last.
    let length = (sectors + 1) * 512 - offset % 512;
    (entry & COPIED == 0 && offset != 0).then_some(Place::Packed(offset, u32::try_from(length).ok()?))
}

#[cfg(test)]
mod tests {
    use super::{COPIED, PACKED, Place, second_level};
    use crate::stream::qcow2::header::{Header, tests::sound};

    fn places(header: &Header, entry: u64, bitmap: u64) -> Option<Vec<(u64, u64, Place)>> {
        let mut all = Vec::new();
        second_level(header, entry, bitmap, &mut |start, length, place| {
            all.push((start, length, place));
            Ok(())
        })
        .ok()?;
        Some(all)
    }

    #[test]
    fn entries_of_all_kinds() {
        let header = Header::parse(&sound()).unwrap();
        let one = |place| Some(vec![(0, 65536, place)]);
        assert_eq!(places(&header, 0, 0), one(Place::Zero));
        assert_eq!(places(&header, COPIED | 0x50000, 0), one(Place::Plain(0x50000)));
        assert_eq!(places(&header, 0x50001, 0), one(Place::Zero));
        assert_eq!(places(&header, PACKED | 2 << 54 | 0x50010, 0), one(Place::Packed(0x50010, 3 * 512 - 16)));
        for bad in [0x50200, 0x50002, 1 << 56, PACKED | COPIED | 0x50000, PACKED] {
            assert_eq!(places(&header, bad, 0), None, "{bad:#x}");
        }
        assert_eq!(places(&Header { version: 2, ..header }, 0x50001, 0), None);
    }

    #[test]
    fn subclusters() {
        let header = Header { extended: true, ..Header::parse(&sound()).unwrap() };
        let found = places(&header, 0x50000, 0b0110 | 1 << 32).unwrap();
        let wanted = [(0, 2048, Place::Zero), (2048, 4096, Place::Plain(0x50800)), (6144, 59392, Place::Zero)];
        assert_eq!(found, wanted);
        assert_eq!(places(&header, 0x50000, 0xffff_ffff), Some(vec![(0, 65536, Place::Plain(0x50000))]));
        assert_eq!(places(&header, 0x50000, 1 | 1 << 32), None, "data and zero at once");
        assert_eq!(places(&header, 0, 1), None, "data nowhere");
        assert_eq!(places(&header, 0x50001, 0), None, "the zero bit is not for extended entries");
    }
}
