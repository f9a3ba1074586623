//! The archive format of an initramfs ("newc" cpio, kernel documentation `early-userspace/buffer-format`), written so
//! that the same tree always gives the same bytes: one time stamp for all, inodes in order, owner root.

use std::io::{self, Write};

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER: u32 = 0o020_000;
/// The kernel reads names up to PATH_MAX, its NUL included.
const NAME_LIMIT: usize = 4095;

/// What one entry is. Modes are the permission bits alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A folder.
    Directory {
        /// Permission bits.
        mode: u32,
    },
    /// A file with all of its bytes.
    File {
        /// Permission bits.
        mode: u32,
        /// Contents.
        data: &'a [u8],
    },
    /// A symbolic link.
    Link {
        /// Where it points, as written.
        target: &'a str,
    },
    /// A character device.
    Device {
        /// Permission bits.
        mode: u32,
        /// Major and minor number.
        number: (u32, u32),
    },
}

/// Writes one archive.
pub struct Archive<W: Write> {
    out: W,
    time: u32,
    inode: u32,
    written: u64,
}

impl<W: Write> Archive<W> {
    /// Every entry will carry `time` (seconds since 1970).
    pub fn new(out: W, time: u32) -> Self {
        Archive { out, time, inode: 0, written: 0 }
    }

    /// Appends an entry. Folders must come before what is in them: the kernel unpacks in order.
    ///
    /// # Errors
    /// The name or the data does not fit the format, or the writer failed.
    pub fn append(&mut self, name: &str, kind: Kind<'_>) -> io::Result<()> {
        let (mode, data, number, links) = match kind {
            Kind::Directory { mode } => (DIRECTORY | mode, &[][..], (0, 0), 2),
            Kind::File { mode, data } => (REGULAR | mode, data, (0, 0), 1),
            Kind::Link { target } => (SYMLINK | 0o777, target.as_bytes(), (0, 0), 1),
            Kind::Device { mode, number } => (CHARACTER | mode, &[][..], number, 1),
        };
        if name.is_empty() || name.len() >= NAME_LIMIT || name.contains('\0') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{name}` cannot be a name in an archive"),
            ));
        }
        self.inode += 1;
        self.header(name, Header { inode: self.inode, mode, links, time: self.time, number }, data)
    }

    /// Ends the archive and pads it to four bytes, so that another may follow it directly.
    ///
    /// # Errors
    /// The writer failed.
    pub fn finish(mut self) -> io::Result<W> {
        self.header("TRAILER!!!", Header { inode: 0, mode: 0, links: 1, time: 0, number: (0, 0) }, &[])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn header(&mut self, name: &str, head: Header, data: &[u8]) -> io::Result<()> {
        let size = u32::try_from(data.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, format!("{name}: 4 GiB and more do not fit")))?;
        let Header { inode, mode, links, time, number: (major, minor) } = head;
        let name_size = name.len() + 1;
        let fields = format!(
            "070701{inode:08x}{mode:08x}{uid:08x}{gid:08x}{links:08x}{time:08x}{size:08x}\
             {device:08x}{device:08x}{major:08x}{minor:08x}{name_size:08x}{check:08x}",
            uid = 0,
            gid = 0,
            device = 0,
            check = 0
        );
        self.put(fields.as_bytes())?;
        self.put(name.as_bytes())?;
        self.put(&[0])?;
        self.pad()?;
        self.put(data)?;
        self.pad()
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    fn pad(&mut self) -> io::Result<()> {
        let short = (4 - self.written % 4) % 4;
        self.put(&[0; 3][..usize::try_from(short).unwrap_or(0)])
    }
}

struct Header {
    inode: u32,
    mode: u32,
    links: u32,
    time: u32,
    number: (u32, u32),
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use proptest::prelude::{any, proptest};

    use super::{Archive, Kind, Write};

    fn sample() -> Vec<u8> {
        let mut archive = Archive::new(Vec::new(), 1_700_000_000);
        archive.append("etc", Kind::Directory { mode: 0o755 }).unwrap();
        archive.append("etc/motd", Kind::File { mode: 0o644, data: b"hello" }).unwrap();
        archive.append("init", Kind::Link { target: "etc/motd" }).unwrap();
        archive.append("console", Kind::Device { mode: 0o600, number: (5, 1) }).unwrap();
        archive.finish().unwrap()
    }

    /// GNU cpio is the independent reader.
    fn listed(archive: &[u8]) -> String {
        let mut cpio = Command::new("cpio")
            .args(["-tv", "--quiet", "--numeric-uid-gid"])
            .env("TZ", "UTC")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("GNU cpio: install the Debian package `cpio`");
        cpio.stdin.take().unwrap().write_all(archive).unwrap();
        let output = cpio.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn gnu_cpio_reads_what_was_written() {
        let lines = listed(&sample());
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(lines[0].starts_with("drwxr-xr-x   2 0        0"), "{}", lines[0]);
        assert!(lines[1].contains("        5 Nov 14  2023 etc/motd"), "{}", lines[1]);
        assert!(lines[2].ends_with("init -> etc/motd"), "{}", lines[2]);
        assert!(lines[3].starts_with("crw-------") && lines[3].contains("5,   1"), "{}", lines[3]);
    }

    #[test]
    fn the_same_tree_gives_the_same_bytes_and_ends_on_four() {
        assert_eq!(sample(), sample());
        assert_eq!(sample().len() % 4, 0);
    }

    #[test]
    fn names_that_do_not_fit_are_refused() {
        let mut archive = Archive::new(Vec::new(), 0);
        for name in ["", "a\0b", &"x".repeat(5000)] {
            assert!(archive.append(name, Kind::Directory { mode: 0o755 }).is_err(), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn any_contents_keep_the_next_entry_in_place(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut archive = Archive::new(Vec::new(), 1);
            archive.append("first", Kind::File { mode: 0o644, data: &data }).unwrap();
            archive.append("second", Kind::Link { target: "first" }).unwrap();
            let bytes = archive.finish().unwrap();
            let first = 112 + 4; // header, name and padding of `first`
            let expected = first + data.len().next_multiple_of(4);
            assert_eq!(&bytes[expected..expected + 6], b"070701");
        }
    }
}
