//! The header: version, sizes, features. What cannot be written from this file alone is refused here.

use super::{Qcow2Error, be32, be64};

/// Largest first-level table, entries: 512 TiB with the usual clusters of 64 KiB. It bounds the memory for tables.
const MAX_L1: u64 = 1 << 20;
/// What QEMU allows a first-level table to claim, entries (32 MiB); only those that the disk needs are read.
const MAX_L1_CLAIMED: u64 = 4 << 20;
const DIRTY: u64 = 1;
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const COMPRESSION: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;

/// How compressed clusters are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Raw deflate.
    Deflate,
    /// zstd frames.
    Zstd,
}

/// What the tables need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// 2 or 3.
    pub version: u32,
    /// 9 to 21.
    pub cluster_bits: u32,
    /// Size of the disk inside, bytes.
    pub virtual_size: u64,
    /// Where the first-level table is.
    pub l1_offset: u64,
    /// Its entries that matter.
    pub l1_entries: u64,
    /// For compressed clusters.
    pub packing: Packing,
    /// 32 subclusters to a cluster, 16-byte entries.
    pub extended: bool,
}

impl Header {
    /// Bytes in a cluster.
    pub fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Bytes of one second-level entry.
    pub fn entry(&self) -> u64 {
        if self.extended { 16 } else { 8 }
    }

    /// Bytes of the disk that one second-level table maps.
    pub fn reach(&self) -> u64 {
        self.cluster() / self.entry() * self.cluster()
    }

    /// Reads the first bytes of a file.
    ///
    /// # Errors
    /// [`Qcow2Error::Unsupported`] for backing files, external data, encryption, unknown features;
    /// [`Qcow2Error::Invalid`] for numbers that cannot be.
    pub fn parse(head: &[u8]) -> Result<Self, Qcow2Error> {
        let short = || Qcow2Error::Invalid("its header is cut off".into());
        let u32_at = |at| be32(head, at).ok_or_else(short);
        let u64_at = |at| be64(head, at).ok_or_else(short);
        let invalid = |text: String| Qcow2Error::Invalid(text);
        let unsupported = |text: &str| Qcow2Error::Unsupported(text.into());
        if u32_at(0)? != u32::from_be_bytes(*b"QFI\xfb") {
            return Err(invalid("it has no qcow2 signature".into()));
        }
        let version = u32_at(4)?;
        if !matches!(version, 2 | 3) {
            return Err(Qcow2Error::Unsupported(format!("has version {version}; versions 2 and 3 are known")));
        }
        if u64_at(8)? != 0 || u32_at(16)? != 0 {
            return Err(unsupported("refers to a backing file"));
        }
        if u32_at(32)? != 0 {
            return Err(unsupported("is encrypted"));
        }
        let cluster_bits = u32_at(20)?;
        if !(9..=21).contains(&cluster_bits) {
            return Err(invalid(format!("clusters of 2^{cluster_bits} bytes")));
        }
        let (mut features, mut packing) = (0, Packing::Deflate);
        if version == 3 {
            features = u64_at(72)?;
            let header_length = u32_at(100)?;
            if !(104..=4096).contains(&header_length) || header_length > 1 << cluster_bits || header_length % 8 != 0 {
                return Err(invalid(format!("a header of {header_length} bytes")));
            }
            let kind = if header_length > 104 { *head.get(104).ok_or_else(short)? } else { 0 };
            packing = match (features & COMPRESSION != 0, kind) {
                (false, 0) => Packing::Deflate,
                (true, 1) => Packing::Zstd,
                (_, kind) => return Err(Qcow2Error::Unsupported(format!("uses compression type {kind}"))),
            };
        }
        if features & EXTERNAL_DATA != 0 {
            return Err(unsupported("keeps its data in another file"));
        }
        if features & CORRUPT != 0 {
            return Err(unsupported("is marked as corrupt"));
        }
        let unknown = features & !(DIRTY | CORRUPT | EXTERNAL_DATA | COMPRESSION | EXTENDED_L2);
        if unknown != 0 {
            return Err(Qcow2Error::Unsupported(format!("uses unknown incompatible features ({unknown:#x})")));
        }
        let extended = features & EXTENDED_L2 != 0;
        if extended && cluster_bits < 14 {
            return Err(invalid(format!("clusters of 2^{cluster_bits} bytes")));
        }
        let virtual_size = u64_at(24)?;
        // QEMU counts disks in sectors of 512 bytes and makes no others.
        if virtual_size == 0 || virtual_size > i64::MAX as u64 || !virtual_size.is_multiple_of(512) {
            return Err(invalid(format!("a virtual size of {virtual_size} bytes")));
        }
        let mut header =
            Self { version, cluster_bits, virtual_size, l1_offset: u64_at(40)?, l1_entries: 0, packing, extended };
        header.l1_entries = virtual_size.div_ceil(header.reach());
        let l1_claimed = u64::from(u32_at(36)?);
        if header.l1_entries > l1_claimed {
            return Err(invalid(format!("its first-level table is too short for {virtual_size} bytes")));
        }
        if l1_claimed > MAX_L1_CLAIMED {
            return Err(invalid(format!("a first-level table of {l1_claimed} entries")));
        }
        if header.l1_entries > MAX_L1 {
            return Err(Qcow2Error::TooFragmented(format!("{} first-level entries", header.l1_entries)));
        }
        if !header.l1_offset.is_multiple_of(header.cluster()) || header.l1_offset == 0 {
            return Err(invalid(format!("its first-level table is at byte {}", header.l1_offset)));
        }
        Ok(header)
    }
}

#[cfg(test)]
pub(in crate::stream) mod tests {
    use super::{Header, Packing};
    use proptest::prelude::{any, prop, proptest};

    /// A version 3 header without faults: 64 KiB clusters, 1 MiB disk, L1 in the second cluster.
    pub fn sound() -> Vec<u8> {
        let mut head = vec![0_u8; 512];
        head[..4].copy_from_slice(b"QFI\xfb");
        head[7] = 3;
        head[23] = 16;
        head[24..32].copy_from_slice(&(1_u64 << 20).to_be_bytes());
        head[39] = 1;
        head[40..48].copy_from_slice(&65536_u64.to_be_bytes());
        head[103] = 112;
        head
    }

    #[test]
    fn a_sound_header_is_read() {
        let header = Header::parse(&sound()).unwrap();
        let wanted = Header {
            version: 3,
            cluster_bits: 16,
            virtual_size: 1 << 20,
            l1_offset: 65536,
            l1_entries: 1,
            packing: Packing::Deflate,
            extended: false,
        };
        assert_eq!(header, wanted);
    }

    #[test]
    fn what_cannot_be_written_is_refused_by_name() {
        let cases: &[(usize, u8, &str)] = &[
            (15, 8, "backing file"),
            (19, 8, "backing file"),
            (35, 2, "encrypted"),
            (79, 4, "another file"),
            (79, 2, "corrupt"),
            (79, 32, "unknown incompatible features (0x20)"),
            (72, 1, "unknown incompatible"),
            (79, 8, "compression type 0"),
            (104, 1, "compression type 1"),
            (104, 7, "compression type 7"),
            (7, 4, "version 4"),
            (23, 8, "clusters of 2^8"),
            (23, 22, "clusters of 2^22"),
            (24, 0x80, "virtual size"),
            (29, 0, "virtual size of 0"),
            (30, 1, "virtual size of 1048832"),
            (27, 1, "too short"),
            (36, 1, "table of 16777217 entries"),
            (47, 1, "first-level table is at"),
            (45, 0, "first-level table is at"),
            (103, 90, "header of 90"),
            (0, 0, "signature"),
        ];
        for (at, value, text) in cases {
            let mut head = sound();
            head[*at] = *value;
            let error = Header::parse(&head).unwrap_err().to_string();
            assert!(error.contains(text), "byte {at} = {value}: {error}");
        }
        assert!(Header::parse(&sound()[..100]).unwrap_err().to_string().contains("cut off"));
    }

    proptest! {
        #[test]
        fn no_header_breaks_the_parser(changes in prop::collection::vec((0..120_usize, any::<u8>()), 0..12), length in 0..512_usize) {
            let mut head = sound();
            for (at, value) in changes {
                head[at] = value;
            }
            let _ = Header::parse(&head[..length]);
            if let Ok(header) = Header::parse(&head) {
                assert!(header.l1_entries * header.reach() >= header.virtual_size);
            }
        }
    }
}
