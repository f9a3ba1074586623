//! Paths as directories and files, with the place of each on the volume.

use super::record::{Naming, directory_bytes};
use super::{IsoError, SECTOR};

/// A directory. The first one is the root, its own parent; parents come before their children.
pub struct Directory {
    /// As the reader shall see it; empty for the root.
    pub name: String,
    /// Index of the parent.
    pub parent: usize,
    pub plain_extent: u32,
    pub plain_size: u32,
    pub joliet_extent: u32,
    pub joliet_size: u32,
}

impl Directory {
    /// First sector.
    pub fn extent(&self, naming: Naming) -> u32 {
        match naming {
            Naming::RockRidge => self.plain_extent,
            Naming::Joliet => self.joliet_extent,
        }
    }

    /// Bytes, whole sectors.
    pub fn size(&self, naming: Naming) -> u32 {
        match naming {
            Naming::RockRidge => self.plain_size,
            Naming::Joliet => self.joliet_size,
        }
    }
}

/// A file.
pub struct Leaf<'a> {
    pub name: String,
    pub parent: usize,
    pub content: &'a [u8],
    pub extent: u32,
}

/// Everything on the volume. Directories by depth, then parent, then name, as path tables want them.
pub struct Tree<'a> {
    pub directories: Vec<Directory>,
    pub files: Vec<Leaf<'a>>,
}

impl<'a> Tree<'a> {
    /// Takes the paths apart.
    pub fn of(list: &[(&str, &'a [u8])]) -> Result<Self, IsoError> {
        let mut tree = Self { directories: vec![Directory::new(String::new(), 0)], files: Vec::new() };
        let mut split = Vec::new();
        for &(path, content) in list {
            let names: Vec<&str> = path.split('/').collect();
            if names.len() > 7 || !names.iter().all(|name| is_name(name)) {
                return Err(IsoError::Path(path.chars().take(80).collect()));
            }
            split.push((path, names, content));
        }
        split.sort_by(|a, b| a.1.cmp(&b.1));
        // Level by level, so that the path tables' order comes by itself.
        for depth in 1..7 {
            for (_, names, _) in &split {
                if names.len() > depth {
                    tree.directory(&names[..depth]);
                }
            }
        }
        for (path, names, content) in split {
            let parent = tree.directory(&names[..names.len() - 1]);
            let name = names[names.len() - 1];
            if tree.has(parent, name) {
                return Err(IsoError::Twice(path.to_owned()));
            }
            tree.files.push(Leaf { name: name.to_owned(), parent, content, extent: 0 });
        }
        Ok(tree)
    }

    /// The directory of this path, made if it is not there.
    fn directory(&mut self, names: &[&str]) -> usize {
        let mut at = 0;
        for name in names {
            let found = (1..self.directories.len())
                .find(|&index| self.directories[index].parent == at && self.directories[index].name == *name);
            at = found.unwrap_or_else(|| {
                self.directories.push(Directory::new((*name).to_owned(), at));
                self.directories.len() - 1
            });
        }
        at
    }

    /// A name that is the same without regard to case, as the plain names have none.
    fn has(&self, parent: usize, name: &str) -> bool {
        let files = self.files.iter().filter(|file| file.parent == parent).map(|file| &file.name);
        let directories =
            self.directories.iter().skip(1).filter(|child| child.parent == parent).map(|child| &child.name);
        files.chain(directories).any(|other| other.eq_ignore_ascii_case(name))
    }

    /// Gives everything its sectors from `first` on, and says how many the volume has.
    pub fn place(&mut self, first: u32) -> u32 {
        let mut next = first;
        for naming in [Naming::RockRidge, Naming::Joliet] {
            for index in 0..self.directories.len() {
                // The length does not depend on the places, which are not known yet.
                let size = directory_bytes(self, &self.directories[index], naming).len() as u32;
                let directory = &mut self.directories[index];
                match naming {
                    Naming::RockRidge => (directory.plain_extent, directory.plain_size) = (next, size),
                    Naming::Joliet => (directory.joliet_extent, directory.joliet_size) = (next, size),
                }
                next += size / SECTOR as u32;
            }
        }
        for file in &mut self.files {
            file.extent = next;
            next += file.content.len().div_ceil(SECTOR) as u32;
        }
        next
    }
}

impl Directory {
    fn new(name: String, parent: usize) -> Self {
        Self { name, parent, plain_extent: 0, plain_size: 0, joliet_extent: 0, joliet_size: 0 }
    }
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (1..=28).contains(&name.len()) && name != "." && name != ".." && name.chars().all(plain)
}
