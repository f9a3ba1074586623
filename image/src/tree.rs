//! The files of a ramdisk before they are packed: a sorted tree in memory, every path once, folders made as needed.
//! The layout is Debian's merged one: `/bin`, `/sbin`, `/lib`, `/lib64` are links into `/usr`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::cpio::{Archive, Kind};

/// The folders that are links into `/usr`.
const MERGED: &[&str] = &["bin", "sbin", "lib", "lib64"];

/// What a path holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A folder.
    Directory {
        /// Permission bits.
        mode: u32,
    },
    /// A file.
    File {
        /// Permission bits.
        mode: u32,
        /// Contents.
        data: Vec<u8>,
    },
    /// A symbolic link.
    Link {
        /// Where it points.
        target: String,
    },
    /// A character device.
    Device {
        /// Permission bits.
        mode: u32,
        /// Major and minor number.
        number: (u32, u32),
    },
}

/// A node and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub node: Node,
    /// The package, or `recipe`, `agent`.
    pub origin: String,
}

/// A path was given two different contents, or is not one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Two sources disagree.
    #[error("`{path}` comes from both {first} and {second}, and they differ")]
    Clash {
        /// The path.
        path: String,
        /// Who put it there.
        first: String,
        /// Who came later.
        second: String,
    },
    /// Not a plain path below the root.
    #[error("`{0}` is not a path below the root")]
    Path(String),
}

/// A ramdisk's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    items: BTreeMap<String, Item>,
}

impl Tree {
    /// A root with nothing but the merged layout's links.
    ///
    /// # Errors
    /// Never in practice: the paths are constants.
    pub fn merged() -> Result<Self, TreeError> {
        let mut tree = Tree::default();
        for name in MERGED {
            let folder = Node::Directory { mode: 0o755 };
            tree.insert(&format!("usr/{name}"), folder, "recipe")?;
            let item = Item { node: Node::Link { target: format!("usr/{name}") }, origin: "recipe".to_owned() };
            tree.items.insert((*name).to_owned(), item);
        }
        Ok(tree)
    }

    /// Puts a node at `path` (with or without leading slash) and makes the folders above it. The same contents twice is
    /// fine: packages share folders.
    ///
    /// # Errors
    /// The path leaves the root, or holds something else already.
    pub fn insert(&mut self, path: &str, node: Node, origin: &str) -> Result<(), TreeError> {
        let path = canonical(path)?;
        let mut above = path.as_str();
        while let Some((folder, _)) = above.rsplit_once('/') {
            above = folder;
            let made = Item { node: Node::Directory { mode: 0o755 }, origin: "recipe".to_owned() };
            let there = self.items.entry(above.to_owned()).or_insert(made);
            if !matches!(there.node, Node::Directory { .. }) {
                return Err(TreeError::Clash {
                    path: above.to_owned(),
                    first: there.origin.clone(),
                    second: origin.to_owned(),
                });
            }
        }
        match self.items.get_mut(&path) {
            Some(there) if there.node == node => {}
            // A folder made on the way to a file may get its own mode later.
            Some(there) if folders(&there.node, &node) => there.node = node,
            Some(there) => {
                return Err(TreeError::Clash { path, first: there.origin.clone(), second: origin.to_owned() });
            }
            None => drop(self.items.insert(path, Item { node, origin: origin.to_owned() })),
        }
        Ok(())
    }

    /// Whether something is at `path`.
    pub fn has(&self, path: &str) -> bool {
        canonical(path).is_ok_and(|path| self.items.contains_key(&path))
    }

    /// Everything, sorted: a folder before what it holds.
    pub fn items(&self) -> impl Iterator<Item = (&str, &Item)> {
        self.items.iter().map(|(path, item)| (path.as_str(), item))
    }

    /// What `self` has and `other` does not.
    pub fn beyond(&self, other: &Tree) -> Tree {
        let more = self.items.iter().filter(|(path, _)| !other.items.contains_key(*path));
        Tree { items: more.map(|(path, item)| (path.clone(), item.clone())).collect() }
    }

    /// Packs the tree; every entry carries `time`.
    ///
    /// # Errors
    /// The writer failed.
    pub fn pack<W: Write>(&self, out: W, time: u32) -> io::Result<W> {
        let mut archive = Archive::new(out, time);
        for (path, item) in &self.items {
            let kind = match &item.node {
                Node::Directory { mode } => Kind::Directory { mode: *mode },
                Node::File { mode, data } => Kind::File { mode: *mode, data },
                Node::Link { target } => Kind::Link { target },
                Node::Device { mode, number } => Kind::Device { mode: *mode, number: *number },
            };
            archive.append(path, kind)?;
        }
        archive.finish()
    }
}

fn folders(first: &Node, second: &Node) -> bool {
    matches!((first, second), (Node::Directory { .. }, Node::Directory { .. }))
}

/// The path below the root, in the merged layout.
fn canonical(path: &str) -> Result<String, TreeError> {
    let bare = path.strip_prefix('/').unwrap_or(path);
    if bare.is_empty() || bare.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(TreeError::Path(path.to_owned()));
    }
    let top = bare.split('/').next().unwrap_or(bare);
    Ok(if MERGED.contains(&top) { format!("usr/{bare}") } else { bare.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::{Node, Tree, TreeError};

    fn file(text: &str) -> Node {
        Node::File { mode: 0o644, data: text.as_bytes().to_vec() }
    }

    #[test]
    fn paths_of_the_old_layout_land_below_usr() {
        let mut tree = Tree::merged().unwrap();
        tree.insert("/lib/udev/rules.d/80-drivers.rules", file("x"), "udev").unwrap();
        assert!(tree.has("/usr/lib/udev/rules.d/80-drivers.rules") && tree.has("lib/udev"));
        let paths: Vec<&str> = tree.items().map(|(path, _)| path).collect();
        assert!(paths.is_sorted());
        assert!(paths.contains(&"lib64"), "{paths:?}");
    }

    #[test]
    fn two_sources_that_differ_are_an_error_and_equal_ones_are_not() {
        let mut tree = Tree::default();
        tree.insert("etc/hosts", file("a"), "one").unwrap();
        tree.insert("etc/hosts", file("a"), "two").unwrap();
        let clash = tree.insert("etc/hosts", file("b"), "three").unwrap_err();
        assert!(clash.to_string().contains("one and three"), "{clash}");
        assert!(tree.insert("etc/hosts/below", file("b"), "four").is_err());
    }

    #[test]
    fn nothing_leaves_the_root() {
        for path in ["", "/", "../etc", "a//b", "a/./b", "a/.."] {
            assert_eq!(Tree::default().insert(path, file("x"), "x"), Err(TreeError::Path(path.to_owned())));
        }
    }

    #[test]
    fn the_order_of_insertion_does_not_show() {
        let (mut one, mut two) = (Tree::default(), Tree::default());
        for (tree, order) in [(&mut one, ["a/b", "c"]), (&mut two, ["c", "a/b"])] {
            for path in order {
                tree.insert(path, file(path), "x").unwrap();
            }
        }
        assert_eq!(one.pack(Vec::new(), 7).unwrap(), two.pack(Vec::new(), 7).unwrap());
    }

    #[test]
    fn what_one_has_beyond_another() {
        let mut base = Tree::default();
        base.insert("usr/lib/libc.so.6", file("c"), "libc6").unwrap();
        let mut all = base.clone();
        all.insert("usr/sbin/agent", file("agent"), "agent").unwrap();
        let more = all.beyond(&base);
        assert_eq!(more.items().map(|(path, _)| path).collect::<Vec<_>>(), ["usr/sbin", "usr/sbin/agent"]);
    }
}
