//! The workspace's files as the rules read them: paths, lines, code without comments and texts.

use std::fs;
use std::path::{Path, PathBuf};

/// The crates whose sources the rules hold for.
pub const CRATES: &[&str] = &["common", "conductor", "agent", "image", "tests"];

/// The workspace's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

/// One source file.
pub struct Source {
    /// Path from the root, with `/`.
    pub path: String,
    /// What is in it.
    pub text: String,
}

impl Source {
    /// Number and text of each line, comments cut off and what stands in quotes emptied.
    pub fn code(&self) -> impl Iterator<Item = (usize, String)> + '_ {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, code_of(line)))
    }

    /// The lines before the unit tests.
    pub fn without_tests(&self) -> usize {
        self.text.lines().position(|line| line.starts_with("#[cfg(test)]")).unwrap_or(self.text.lines().count())
    }
}

/// A line without its comment and without the insides of its texts. One line at a time: enough for code that rustfmt wrote.
fn code_of(line: &str) -> String {
    let (mut code, mut quoted, mut escaped) = (String::new(), false, false);
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        match (quoted, char) {
            (true, _) if escaped => escaped = false,
            (true, '\\') => escaped = true,
            (_, '"') => {
                quoted = !quoted;
                code.push(char);
            }
            (true, _) => {}
            (false, '/') if chars.peek() == Some(&'/') => break,
            (false, '\'') if chars.peek() == Some(&'"') => {
                // The character '"' opens no text.
                chars.next();
                code.push(' ');
            }
            (false, _) => code.push(char),
        }
    }
    code
}

/// Every Rust file of a crate.
pub fn sources(krate: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root().join(krate), krate, &mut found);
    assert!(!found.is_empty(), "{krate} has no sources");
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

fn collect(folder: &Path, name: &str, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable")) {
        let (path, file) = (entry.path(), entry.file_name().into_string().expect("UTF-8 name"));
        let name = format!("{name}/{file}");
        if path.is_dir() {
            if file != "target" && file != "fixtures" {
                collect(&path, &name, found);
            }
        } else if file.ends_with(".rs") {
            found.push(Source { path: name, text: fs::read_to_string(&path).expect("UTF-8 text") });
        }
    }
}

/// Fails with all complaints at once: one run shows the whole work.
pub fn complain(rule: &str, complaints: &[String]) {
    assert!(complaints.is_empty(), "{rule}\n  {}\n", complaints.join("\n  "));
}

#[test]
fn comments_and_texts_are_no_code() {
    assert_eq!(code_of(r#"let a = "b // c"; // unsafe"#), r#"let a = ""; "#);
    assert_eq!(code_of(r#"say("\"quoted\" unsafe");"#), r#"say("");"#);
    assert_eq!(code_of(r#"if char == '"' { x }"#), "if char ==  ' { x }");
}
