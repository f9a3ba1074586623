//! Unpacks one compressed cluster.

use super::header::Packing;
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

/// Unpacks clusters of one size, with memory that is used again.
pub struct Unpacker {
    packing: Packing,
    inflate: Decompress,
    cluster: Vec<u8>,
}

impl Unpacker {
    /// For clusters of `size` bytes.
    pub fn new(packing: Packing, size: u64) -> Self {
        Self { packing, inflate: Decompress::new(false), cluster: vec![0; size as usize] }
    }

    /// A whole cluster out of `stored`, which may go on behind the packed data.
    ///
    /// # Errors
    /// The reason, when the data ends early, is too long, or is no such data.
    pub fn unpack(&mut self, stored: &[u8]) -> Result<&[u8], String> {
        match self.packing {
            Packing::Deflate => {
                self.inflate.reset(false);
                let status = self.inflate.decompress(stored, &mut self.cluster, FlushDecompress::Finish);
                let status = status.map_err(|cause| cause.to_string())?;
                let full = self.inflate.total_out() == self.cluster.len() as u64;
                if !full || !matches!(status, Status::StreamEnd | Status::BufError | Status::Ok) {
                    return Err(format!("deflate gave {} bytes", self.inflate.total_out()));
                }
            }
            Packing::Zstd => {
                let mut decoder = Decoder::new().map_err(|cause| cause.to_string())?;
                let mut input = InBuffer::around(stored);
                let mut output = OutBuffer::around(&mut self.cluster[..]);
                loop {
                    let before = (input.pos(), output.pos());
                    decoder.run(&mut input, &mut output).map_err(|cause| cause.to_string())?;
                    if output.pos() == output.capacity() {
                        break;
                    }
                    if (input.pos(), output.pos()) == before {
                        return Err(format!("zstd gave {} bytes", output.pos()));
                    }
                }
            }
        }
        Ok(&self.cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::{Packing, Unpacker};
    use proptest::prelude::{any, proptest};
    use std::io::Write;

    fn pack(packing: Packing, plain: &[u8]) -> Vec<u8> {
        match packing {
            Packing::Zstd => zstd::bulk::compress(plain, 1).unwrap(),
            Packing::Deflate => {
                let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    #[test]
    fn whole_clusters_only() {
        let plain: Vec<u8> = (0..65536_u32).map(|at| (at / 7) as u8).collect();
        for packing in [Packing::Deflate, Packing::Zstd] {
            let mut unpacker = Unpacker::new(packing, 65536);
            let mut stored = pack(packing, &plain);
            stored.extend([0xaa; 300]);
            for _ in 0..2 {
                assert!(unpacker.unpack(&stored).unwrap() == plain, "{packing:?}");
            }
            assert!(unpacker.unpack(&stored[..100]).is_err(), "{packing:?}: cut");
            assert!(unpacker.unpack(&pack(packing, &plain[..65535])).is_err(), "{packing:?}: short");
            assert!(unpacker.unpack(&[]).is_err());
        }
    }

    proptest! {
        #[test]
        fn damaged_clusters_are_errors(noise in any::<Vec<u8>>(), zstd in any::<bool>(), at in 0..40_usize) {
            let packing = if zstd { Packing::Zstd } else { Packing::Deflate };
            let mut stored = pack(packing, &[9; 4096]);
            stored.splice(at.min(stored.len()).., noise);
            let _ = Unpacker::new(packing, 4096).unpack(&stored);
        }
    }
}
