//! The label of the file system in a partition, read from its first bytes: ISO 9660, FAT and ext.
//!
//! Read by ourselves because a partition may have no device node yet; what is written there is hostile.

/// Bytes from the start of a partition that [`of`] wants to see.
pub const HEAD: usize = 34 << 10;

/// The label, trimmed, if these are the first bytes of a file system that has one.
pub fn of(head: &[u8]) -> Option<String> {
    let text = |at: usize, length: usize| head.get(at..at + length);
    let label = if text(32769, 5) == Some(b"CD001") {
        text(32808, 32)?
    } else if text(1080, 2) == Some(&[0x53, 0xef]) {
        text(1144, 16)?
    } else if text(510, 2) == Some(&[0x55, 0xaa]) && text(82, 5) == Some(b"FAT32") {
        text(71, 11)?
    } else if text(510, 2) == Some(&[0x55, 0xaa]) && text(54, 3) == Some(b"FAT") {
        text(43, 11)?
    } else {
        return None;
    };
    let end = label.iter().position(|byte| *byte == 0).unwrap_or(label.len());
    let label = String::from_utf8_lossy(&label[..end]).trim().to_owned();
    (!label.is_empty()).then_some(label)
}

#[cfg(test)]
mod tests {
    use super::{HEAD, of};
    use proptest::prelude::{any, prop, proptest};
    use std::path::Path;
    use std::process::Command;

    fn made(program: &str, args: &[&str], path: &Path) -> Vec<u8> {
        let run =
            Command::new(program).args(args).arg(path).output().unwrap_or_else(|cause| panic!("{program}: {cause}"));
        assert!(run.status.success(), "{program}: {}", String::from_utf8_lossy(&run.stderr));
        let mut bytes = std::fs::read(path).unwrap();
        bytes.resize(bytes.len().max(HEAD), 0);
        bytes
    }

    #[test]
    fn labels_by_real_tools() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: u64| {
            let path = dir.path().join(name);
            std::fs::File::create(&path).unwrap().set_len(bytes).unwrap();
            path
        };
        let ext = made("/sbin/mkfs.ext4", &["-q", "-L", "Config-2"], &file("ext", 8 << 20));
        assert_eq!(of(&ext).as_deref(), Some("Config-2"));
        let fat = made("mformat", &["-C", "-v", "CONFIG-2", "-T", "8192", "::", "-i"], &dir.path().join("fat"));
        assert_eq!(of(&fat).as_deref(), Some("CONFIG-2"));
        let iso = dir.path().join("iso");
        let inside = file("inside", 5);
        let run = Command::new("xorrisofs").args(["-quiet", "-V", "config-2", "-o"]).arg(&iso).arg(inside).output();
        assert!(run.unwrap().status.success());
        assert_eq!(of(&std::fs::read(&iso).unwrap()).as_deref(), Some("config-2"));
        assert_eq!(of(&[0; HEAD]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(head in prop::collection::vec(any::<u8>(), 0..2000)) {
            let _ = of(&head);
        }
    }
}
