//! Packs and compresses the initramfs. It is two archives, one after the other: what comes from packages, which is slow
//! to compress and kept in the cache, and the agent. The kernel unpacks them in turn.

use std::fs;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::packages::hex;
use crate::tree::Tree;

/// Best ratio whose window (8 MiB) the kernel's decoder takes in a machine with 256 MiB of memory.
pub const LEVEL: i32 = 19;

/// The whole initramfs. `cache` keeps the compressed base by the digest of its contents.
///
/// # Errors
/// The cache cannot be read or written.
pub fn initramfs(base: &Tree, agent: &Tree, time: u32, cache: &Path) -> io::Result<Vec<u8>> {
    let packed = base.pack(Vec::new(), time)?;
    let kept = cache.join(format!("base-{}-zstd{LEVEL}", &hex(&Sha256::digest(&packed))[..32]));
    let mut whole = match fs::read(&kept) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tracing::info!(bytes = packed.len(), level = LEVEL, "compressing what comes from packages");
            let bytes = compress(&packed)?;
            let file = tempfile::NamedTempFile::new_in(cache)?;
            fs::write(file.path(), &bytes)?;
            file.persist(&kept).map_err(|error| error.error)?;
            bytes
        }
        Err(error) => return Err(error),
    };
    whole.extend(compress(&agent.pack(Vec::new(), time)?)?);
    Ok(whole)
}

/// The same archive with an empty one, not compressed, before it. Ironic decompresses on its own disk whatever begins like a
/// zstd file: it could not read the padding between the frames, and the machine would fetch three times the bytes.
///
/// # Errors
/// As from writing to memory.
pub fn for_ironic(archive: &[u8], time: u32) -> io::Result<Vec<u8>> {
    let mut whole = Tree::default().pack(Vec::new(), time)?;
    whole.resize(whole.len().next_multiple_of(512), 0);
    whole.extend_from_slice(archive);
    Ok(whole)
}

/// One frame with a checksum, padded to four bytes: the kernel looks for the next archive there.
pub(super) fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(bytes.len() as u64))?;
    io::Write::write_all(&mut encoder, bytes)?;
    let mut frame = encoder.finish()?;
    frame.resize(frame.len().next_multiple_of(4), 0);
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::{compress, for_ironic, initramfs};
    use crate::tree::{Node, Tree};

    fn tree(path: &str) -> Tree {
        let mut tree = Tree::default();
        tree.insert(path, Node::File { mode: 0o644, data: vec![7; 5000] }, "x").unwrap();
        tree
    }

    #[test]
    fn two_builds_are_equal_whether_the_cache_was_warm_or_not() {
        let cold = tempfile::tempdir().unwrap();
        let first = initramfs(&tree("a/b"), &tree("c"), 7, cold.path()).unwrap();
        let second = initramfs(&tree("a/b"), &tree("c"), 7, cold.path()).unwrap();
        let other = tempfile::tempdir().unwrap();
        assert_eq!(first, second);
        assert_eq!(first, initramfs(&tree("a/b"), &tree("c"), 7, other.path()).unwrap());
        assert_ne!(first, initramfs(&tree("a/b"), &tree("d"), 7, other.path()).unwrap());
    }

    #[test]
    fn ironic_does_not_take_the_archive_for_a_zstd_file_and_the_kernel_finds_both() {
        let cache = tempfile::tempdir().unwrap();
        let plain = initramfs(&tree("a"), &tree("b"), 7, cache.path()).unwrap();
        assert!(plain.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
        let whole = for_ironic(&plain, 7).unwrap();
        assert!(whole.starts_with(b"070701"), "a cpio archive comes first");
        assert!(
            whole.ends_with(&plain)
                && (whole.len() - plain.len()).is_multiple_of(4)
                && whole.len() - plain.len() <= 1024
        );
    }

    #[test]
    fn a_frame_ends_on_four_and_decodes() {
        for size in 0..9 {
            let frame = compress(&vec![b'x'; size]).unwrap();
            assert_eq!(frame.len() % 4, 0);
            let mut decoder = zstd::Decoder::new(&frame[..]).unwrap().single_frame();
            let mut out = Vec::new();
            std::io::Read::read_to_end(&mut decoder, &mut out).unwrap();
            assert_eq!(out.len(), size);
        }
    }
}
