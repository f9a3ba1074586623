//! gzip, zstd, xz and bzip2, found by content.

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};
use std::io::{self, BufRead, Read};

/// Memory a decoder may use, bytes: enough for every preset of the usual tools, refused beyond.
const MEMORY: u64 = 160 << 20;
/// The same for zstd, as a power of two of its window.
const ZSTD_WINDOW_LOG: u32 = 27;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// The xz format, not bare lzma.
    Xz,
    /// As the tool of this name writes it.
    Bzip2,
}

impl Compression {
    /// By the first bytes of a file.
    pub fn detect(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            // The level, then the first block's mark, or that of an empty stream.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => Some(Self::Bzip2),
            _ => None,
        }
    }

    /// For messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        }
    }

    /// A reader of the decompressed bytes: all members, frames or streams of the file. What follows the last of them and
    /// is none is an error: nobody can say what it was meant to be. Zeroes after an xz stream, in fours, belong to it (the
    /// format's section 2.2, "Stream Padding").
    ///
    /// # Errors
    /// When the decoder cannot be set up.
    pub fn open<'a>(self, source: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(source)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
            Self::Bzip2 => Box::new(MultiBzDecoder::new(source)),
            Self::Xz => {
                let stream = Stream::new_stream_decoder(MEMORY, CONCATENATED).map_err(io::Error::other)?;
                Box::new(XzDecoder::new_stream(source, stream))
            }
        })
    }
}

/// Fills `into` as far as the source goes.
///
/// # Errors
/// The source's.
pub fn fill(source: &mut dyn Read, into: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < into.len() {
        match source.read(&mut into[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

#[cfg(test)]
pub(in crate::stream) mod tests {
    use super::Compression;
    use proptest::prelude::{any, prop, proptest};
    use std::io::{Read, Write};

    /// `bytes` in two members (frames, streams) of `kind`.
    pub fn pack(kind: Compression, bytes: &[u8]) -> Vec<u8> {
        let (one, two) = bytes.split_at(bytes.len() / 2);
        [one, two]
            .into_iter()
            .flat_map(|part| match kind {
                Compression::Gzip => {
                    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                    encoder.write_all(part).unwrap();
                    encoder.finish().unwrap()
                }
                Compression::Zstd => zstd::stream::encode_all(part, 1).unwrap(),
                Compression::Bzip2 => {
                    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                    encoder.write_all(part).unwrap();
                    encoder.finish().unwrap()
                }
                Compression::Xz => {
                    let mut packed = Vec::new();
                    liblzma::read::XzEncoder::new(part, 1).read_to_end(&mut packed).unwrap();
                    packed
                }
            })
            .collect()
    }

    /// Every kind.
    pub const ALL: [Compression; 4] = [Compression::Gzip, Compression::Zstd, Compression::Xz, Compression::Bzip2];

    #[test]
    fn what_follows_the_last_member_is_refused() {
        let plain = crate::stream::test_server::noise(50_000, 4);
        for kind in ALL {
            for garbage in [&b"garbage that is no member"[..], &[0; 511], b"x", &[0x1f, 0x8b]] {
                let packed = [&pack(kind, &plain)[..], garbage].concat();
                let read = kind.open(&packed[..]).unwrap().read_to_end(&mut Vec::new());
                assert!(read.is_err(), "{kind:?} followed by {} bytes", garbage.len());
            }
        }
    }

    #[test]
    fn every_kind_is_recognised_and_unpacked_whole() {
        let plain = [crate::stream::test_server::noise(100_000, 1), vec![0; 300_000]].concat();
        for kind in ALL {
            let packed = pack(kind, &plain);
            assert_eq!(Compression::detect(&packed), Some(kind));
            let mut back = Vec::new();
            kind.open(&packed[..]).unwrap().read_to_end(&mut back).unwrap();
            assert!(back == plain, "{kind:?}");
            let cut = kind.open(&packed[..packed.len() - 9]).unwrap().read_to_end(&mut back);
            assert!(cut.is_err(), "{kind:?} hides that its end is missing");
        }
        assert_eq!(Compression::detect(b"QFI\xfb"), None);
        assert_eq!(Compression::detect(b""), None);
    }

    proptest! {
        #[test]
        fn damaged_input_is_an_error_and_nothing_worse(noise in any::<Vec<u8>>(), at in 0..200_usize, kind in prop::sample::select(&ALL)) {
            let mut packed = pack(kind, &vec![7; 5000]);
            let at = at.min(packed.len());
            packed.splice(at.., noise);
            let mut reader = kind.open(&packed[..]).unwrap().take(1 << 20);
            let _ = reader.read_to_end(&mut Vec::new());
        }
    }
}
