//! Builds captured-looking `/sys`, `/proc` and `/dev` trees for tests.

use crate::sys::sysfs::Roots;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// A tree in a folder of its own, removed at the end.
pub struct TestTree(tempfile::TempDir);

impl TestTree {
    /// An empty one.
    #[allow(clippy::new_without_default, reason = "made by name in tests only")]
    pub fn new() -> TestTree {
        TestTree(tempfile::tempdir().unwrap())
    }

    /// A machine captured as `tests/fixtures/machines/README.md` says: `[folder]`, then a line for each file, link and folder in it.
    pub fn captured(text: &str) -> TestTree {
        let tree = TestTree::new();
        let mut folder = "";
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(name) = line.strip_prefix('[') {
                folder = name.strip_suffix(']').unwrap();
            } else if let Some((name, target)) = line.split_once(" -> ") {
                symlink(target, tree.place(&format!("{folder}/{name}"))).unwrap();
            } else if let Some(name) = line.strip_suffix('/') {
                tree.folder(&format!("{folder}/{name}"));
            } else {
                let at = [": ", "= "].into_iter().filter_map(|sign| line.find(sign)).min().unwrap();
                let (name, value) = line.split_at(at);
                let mut content = unescaped(&value[2..]);
                content.extend(value.starts_with(':').then_some(b'\n'));
                tree.file(&format!("{folder}/{name}"), content);
            }
        }
        tree
    }

    /// The tree as the code under test sees it.
    pub fn roots(&self) -> Roots {
        Roots::at(self.0.path())
    }

    fn place(&self, path: &str) -> PathBuf {
        let place = self.0.path().join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        place
    }

    /// Writes a file.
    pub fn file(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        fs::write(self.place(path), content).unwrap();
        self
    }

    /// Makes a folder.
    pub fn folder(&self, path: &str) -> &Self {
        fs::create_dir_all(self.place(path)).unwrap();
        self
    }

    /// A link to a place in the tree, relative as the kernel makes them.
    pub fn link(&self, path: &str, target: &str) -> &Self {
        let up = "../".repeat(path.split('/').count() - 1);
        symlink(format!("{up}{target}"), self.place(path)).unwrap();
        self
    }

    /// A disk below the folder `device` (`sys/devices/...`), with its links in `/sys/block` and `/sys/class/block`.
    pub fn disk(&self, name: &str, number: &str, gib: u64, device: &str) -> String {
        let folder = format!("{device}/block/{name}");
        self.file(&format!("{folder}/size"), format!("{}\n", gib * 2 * 1024 * 1024));
        self.file(&format!("{folder}/dev"), format!("{number}\n"));
        self.file(&format!("{folder}/hidden"), "0\n");
        self.file(&format!("{folder}/queue/rotational"), "0\n");
        self.file(&format!("{folder}/queue/logical_block_size"), "512\n");
        self.file(&format!("{folder}/queue/physical_block_size"), "4096\n");
        self.link(&format!("{folder}/device"), device);
        self.link(&format!("sys/block/{name}"), &folder);
        self.link(&format!("sys/class/block/{name}"), &folder);
        folder
    }

    /// A multipath map of 2 GiB, `mpath-3600`, over disks of its own.
    pub fn multipath(&self, name: &str, paths: &[&str]) -> &Self {
        let map = self.disk(name, "253:0", 2, "sys/devices/virtual");
        self.file(&format!("{map}/dm/uuid"), "mpath-3600\n");
        for (at, path) in paths.iter().enumerate() {
            let folder = self.disk(path, &format!("8:{}", (at + 8) * 16), 2, &format!("sys/devices/pci/host{at}"));
            self.folder(&format!("{map}/slaves/{path}")).folder(&format!("{folder}/holders/{name}"));
        }
        self
    }

    /// A map of 1 GiB over another: a partition made by kpartx, or whatever its UUID says.
    pub fn map_part(&self, name: &str, uuid: &str, below: &str) -> &Self {
        let minor = name.trim_start_matches("dm-");
        let map = self.disk(name, &format!("253:{minor}"), 1, "sys/devices/virtual");
        self.file(&format!("{map}/dm/uuid"), format!("{uuid}\n")).folder(&format!("{map}/slaves/{below}"));
        self.folder(&format!("sys/block/{below}/holders/{name}"))
    }

    /// A network interface; `device` is empty for virtual ones.
    pub fn interface(&self, name: &str, index: u32, mac: &str, device: &str) -> String {
        let parent = if device.is_empty() { "sys/devices/virtual" } else { device };
        let folder = format!("{parent}/net/{name}");
        self.file(&format!("{folder}/address"), format!("{mac}\n"));
        self.file(&format!("{folder}/ifindex"), format!("{index}\n"));
        self.file(&format!("{folder}/type"), "1\n");
        self.file(&format!("{folder}/carrier"), "1\n");
        if !device.is_empty() {
            self.link(&format!("{folder}/device"), device);
        }
        self.link(&format!("sys/class/net/{name}"), &folder);
        folder
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut content = Vec::new();
    while let Some(byte) = bytes.next() {
        let escape = if byte == b'\\' { bytes.next() } else { None };
        content.push(match escape {
            None => byte,
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'x') => {
                let digits = String::from_utf8(bytes.by_ref().take(2).collect()).unwrap();
                u8::from_str_radix(&digits, 16).unwrap()
            }
            Some(other) => other,
        });
    }
    content
}
