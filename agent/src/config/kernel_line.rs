//! The kernel command line: `key=value` words, the last of a key wins, words without `=` are no concern of ours.
//!
//! No quoting rules (ipa-features section 2). Foreign parameters are kept and ignored.

use std::io::Read;
use std::path::Path;

/// Longest command line that is looked at, bytes; the kernel's own limit is far below.
const MAX: u64 = 64 * 1024;

/// The words of a kernel command line.
#[derive(Clone, Debug, Default)]
pub struct KernelLine {
    pairs: Vec<(String, String)>,
}

impl KernelLine {
    /// The running kernel's, or an empty one where it cannot be read.
    pub fn of_this_machine() -> Self {
        Self::read(Path::new("/proc/cmdline"))
    }

    /// From a file.
    pub fn read(path: &Path) -> Self {
        let mut bytes = Vec::new();
        let read = std::fs::File::open(path).and_then(|file| file.take(MAX).read_to_end(&mut bytes));
        if read.is_err() {
            return Self::default();
        }
        Self::parse(&String::from_utf8_lossy(&bytes))
    }

    /// From text.
    pub fn parse(text: &str) -> Self {
        let pairs = text
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Self { pairs }
    }

    /// The same with more words behind, which win.
    #[must_use]
    pub fn with(mut self, text: &str) -> Self {
        self.pairs.extend(Self::parse(text).pairs);
        self
    }

    /// The last value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|pair| pair.0 == key).map(|pair| pair.1.as_str())
    }

    /// Every key once, with its last value, in order of first appearance.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().enumerate().filter_map(|(at, (key, _))| {
            let first = self.pairs[..at].iter().all(|earlier| earlier.0 != *key);
            first.then(|| (key.as_str(), self.get(key).unwrap_or_default()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::proptest;

    #[test]
    fn the_last_wins_and_foreign_words_do_no_harm() {
        let line = KernelLine::parse("BOOT_IMAGE=/vmlinuz quiet a=1 -- a=2 b==x= =y\n");
        assert_eq!(line.get("a"), Some("2"));
        assert_eq!(line.get("b"), Some("=x="));
        assert_eq!(line.get("quiet"), None);
        assert_eq!(line.iter().filter(|pair| pair.0 == "a").count(), 1);
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in "\\PC{0,400}") {
            let line = KernelLine::parse(&text);
            for (key, value) in line.iter() {
                assert_eq!(line.get(key), Some(value));
            }
        }
    }
}
