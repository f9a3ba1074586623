//! Which kernel modules go along: what the recipe names, and everything those need. Works on the text indexes that
//! `depmod` writes (modules.dep, modules.softdep, modules.alias, modules.builtin); touches no file itself.

use std::collections::{BTreeMap, BTreeSet};

/// The recipe's choice. Paths are those of modules.dep: `kernel/drivers/net/ethernet/intel/igb/igb.ko`.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// Whole folders.
    pub folders: &'static [&'static str],
    /// Parts of those folders that stay out.
    pub except: &'static [&'static str],
    /// Single modules by name; a module that is built into the kernel is fine, one that does not exist is an error.
    pub names: &'static [&'static str],
}

/// Why the choice cannot be followed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// The kernel has no such module.
    #[error("the kernel has no module `{0}`; correct the recipe")]
    Unknown(String),
    /// The kernel has nothing there.
    #[error("the kernel has no modules under `{0}`; correct the recipe")]
    Empty(String),
    /// The index names a module it does not list.
    #[error("the module index is inconsistent: `{needed_by}` needs `{path}`, which is not listed")]
    Broken {
        /// The missing file.
        path: String,
        /// Who asked for it.
        needed_by: String,
    },
}

/// The indexes of one kernel.
#[derive(Debug, Default)]
pub struct Index {
    /// File to the files it needs.
    needs: BTreeMap<String, Vec<String>>,
    /// Module name to file.
    by_name: BTreeMap<String, String>,
    /// Module name to the modules or aliases it would like to have.
    soft: BTreeMap<String, Vec<String>>,
    /// Exact alias to module names. Patterns are of no use here: soft dependencies name things exactly.
    aliases: BTreeMap<String, Vec<String>>,
    builtin: BTreeSet<String>,
}

impl Index {
    /// Reads the four texts. Lines that say nothing known are passed over: the index is the kernel package's own.
    pub fn parse(dep: &str, softdep: &str, alias: &str, builtin: &str) -> Self {
        let mut index = Index::default();
        for (path, needs) in dep.lines().filter_map(|line| line.split_once(':')) {
            index.by_name.insert(name_of(path), path.to_owned());
            index.needs.insert(path.to_owned(), needs.split_whitespace().map(str::to_owned).collect());
        }
        for mut words in softdep.lines().map(str::split_whitespace) {
            if let (Some("softdep"), Some(module)) = (words.next(), words.next()) {
                let wanted = words.filter(|word| !matches!(*word, "pre:" | "post:")).map(str::to_owned);
                index.soft.entry(plain(module)).or_default().extend(wanted);
            }
        }
        for mut words in alias.lines().map(str::split_whitespace) {
            if let (Some("alias"), Some(pattern), Some(module)) = (words.next(), words.next(), words.next())
                && !pattern.contains(['*', '?', '['])
            {
                index.aliases.entry(plain(pattern)).or_default().push(plain(module));
            }
        }
        index.builtin = builtin.lines().map(name_of).collect();
        index
    }

    /// The files of the choice and of everything it needs, soft dependencies included.
    ///
    /// # Errors
    /// The choice names something this kernel does not have.
    pub fn closure(&self, choice: &Choice) -> Result<BTreeSet<String>, ChoiceError> {
        let mut open: Vec<String> = Vec::new();
        for folder in choice.folders {
            let below = |path: &&String| path.starts_with(folder) && path[folder.len()..].starts_with('/');
            let chosen: Vec<&String> = self.needs.keys().filter(below).collect();
            if chosen.is_empty() {
                return Err(ChoiceError::Empty((*folder).to_owned()));
            }
            let stays_out = |path: &str| choice.except.iter().any(|part| path.starts_with(part));
            open.extend(chosen.into_iter().filter(|path| !stays_out(path)).cloned());
        }
        for name in choice.names {
            match self.by_name.get(&plain(name)) {
                Some(path) => open.push(path.clone()),
                None if self.builtin.contains(&plain(name)) => {}
                None => return Err(ChoiceError::Unknown((*name).to_owned())),
            }
        }
        self.follow(open)
    }

    fn follow(&self, mut open: Vec<String>) -> Result<BTreeSet<String>, ChoiceError> {
        let mut taken = BTreeSet::new();
        while let Some(path) = open.pop() {
            if !taken.insert(path.clone()) {
                continue;
            }
            for needed in self.needs.get(&path).into_iter().flatten() {
                if !self.needs.contains_key(needed) {
                    return Err(ChoiceError::Broken { path: needed.clone(), needed_by: path });
                }
                open.push(needed.clone());
            }
            let wishes = self.soft.get(&name_of(&path)).into_iter().flatten();
            open.extend(wishes.flat_map(|wish| self.answering(wish)));
        }
        Ok(taken)
    }

    /// The files that answer to a soft dependency. None is no error: it may be built in, or simply a wish.
    fn answering(&self, wish: &str) -> Vec<String> {
        let wish = plain(wish);
        let by_alias = self.aliases.get(&wish).into_iter().flatten().filter_map(|name| self.by_name.get(name));
        self.by_name.get(&wish).into_iter().chain(by_alias).cloned().collect()
    }
}

/// The kernel treats `-` and `_` in module names alike; files use either.
fn plain(name: &str) -> String {
    name.replace('-', "_")
}

fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    plain(file.split(".ko").next().unwrap_or(file))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::{Choice, ChoiceError, Index};

    const DEP: &str = "kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko kernel/lib/crc16.ko\n\
        kernel/fs/jbd2/jbd2.ko:\nkernel/lib/crc16.ko:\nkernel/crypto/crc32c_generic.ko:\n\
        kernel/arch/x86/crypto/crc32c-intel.ko:\nkernel/drivers/net/ethernet/intel/igb/igb.ko: kernel/drivers/dca/dca.ko\n\
        kernel/drivers/dca/dca.ko:\nkernel/drivers/net/ethernet/old/ne2k.ko:\n";
    const SOFTDEP: &str = "# comment\nsoftdep ext4 pre: crypto-crc32c\n";
    const ALIAS: &str = "alias crypto-crc32c crc32c_intel\nalias crypto-crc32c crc32c_generic\nalias pci:v* igb\n";

    fn index() -> Index {
        Index::parse(DEP, SOFTDEP, ALIAS, "kernel/drivers/tty/serial/8250/8250.ko\n")
    }

    #[test]
    fn a_module_brings_what_it_needs_and_every_provider_of_its_soft_dependency() {
        let choice = Choice { folders: &[], except: &[], names: &["ext4", "8250"] };
        let files: Vec<String> = index().closure(&choice).unwrap().into_iter().collect();
        let expected = [
            "kernel/arch/x86/crypto/crc32c-intel.ko",
            "kernel/crypto/crc32c_generic.ko",
            "kernel/fs/ext4/ext4.ko",
            "kernel/fs/jbd2/jbd2.ko",
            "kernel/lib/crc16.ko",
        ];
        assert_eq!(files, expected);
    }

    #[test]
    fn a_folder_leaves_its_exceptions_out() {
        let except = &["kernel/drivers/net/ethernet/old/"];
        let choice = Choice { folders: &["kernel/drivers/net/ethernet"], except, names: &[] };
        let files: Vec<String> = index().closure(&choice).unwrap().into_iter().collect();
        assert_eq!(files, ["kernel/drivers/dca/dca.ko", "kernel/drivers/net/ethernet/intel/igb/igb.ko"]);
    }

    #[test]
    fn a_recipe_that_names_nothing_real_is_an_error() {
        let choice = Choice { folders: &[], except: &[], names: &["no_such"] };
        assert_eq!(index().closure(&choice), Err(ChoiceError::Unknown("no_such".into())));
        let choice = Choice { folders: &["kernel/sound"], except: &[], names: &[] };
        assert_eq!(index().closure(&choice), Err(ChoiceError::Empty("kernel/sound".into())));
    }

    #[test]
    fn an_index_that_misses_a_file_is_found_out() {
        let broken = Index::parse("a/x.ko: a/y.ko\n", "", "", "");
        let choice = Choice { folders: &[], except: &[], names: &["x"] };
        assert!(matches!(broken.closure(&choice), Err(ChoiceError::Broken { .. })));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(dep in "[a-z/:. \n-]{0,200}", soft in "[a-z: \n]{0,80}", alias in "[a-z *\n]{0,80}") {
            let choice = Choice { folders: &["a"], except: &[], names: &[] };
            let _ = Index::parse(&dep, &soft, &alias, &dep).closure(&choice);
        }
    }
}
