//! The fixtures' language, one thing a line:
//!
//! ```text
//! # a comment
//! everywhere PATCH /v1/nodes/ reservation : first cell of a line in docs/differences.md
//! 1.115 POST /v1/nodes {"driver": "fake-hardware"}      version, method, path, body; version `-` sends no header
//!     keep N /uuid                                      $N is this part of the answer from now on
//!     header Accept: text/html                          sent with the request
//!     differs status 500|405, text : first cell of a line
//! wait /v1/nodes/$N /provision_state manageable         until both show it and nobody holds the node
//! ```

use std::fs;
use std::path::Path;

/// One request to both.
#[derive(Debug, Default)]
pub struct Request {
    /// Where it stands.
    pub line: usize,
    /// Microversion header.
    pub version: Option<String>,
    /// `GET`, ...
    pub method: String,
    /// Path and query, with `$NAME`s.
    pub path: String,
    /// Sent as it is, as JSON.
    pub body: Option<String>,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// What to remember of the answers: name, JSON pointer.
    pub keep: Vec<(String, String)>,
    /// Differences that we accept, and the line that says why.
    pub differs: Vec<(Vec<String>, String)>,
}

impl Request {
    /// For reports.
    pub fn title(&self) -> String {
        let version = self.version.as_deref().unwrap_or("-");
        let text = format!("{version} {} {} {}", self.method, self.path, self.body.as_deref().unwrap_or_default());
        text.chars().take(300).collect()
    }
}

/// A difference that we accept wherever it appears.
#[derive(Debug)]
pub struct Everywhere {
    /// Where it stands.
    pub line: usize,
    method: String,
    prefix: String,
    /// What may differ.
    pub keys: Vec<String>,
    /// The line that says why.
    pub row: String,
    /// It has covered something.
    pub used: bool,
}

impl Everywhere {
    /// It is about this request.
    pub fn fits(&self, request: &Request) -> bool {
        ["*", &request.method].contains(&self.method.as_str()) && request.path.starts_with(&self.prefix)
    }

    /// It is about this part of the answer.
    pub fn covers(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known == key)
    }
}

/// A line that does something.
#[derive(Debug)]
pub enum Item {
    /// Asks both.
    Request(Request),
    /// Waits for both.
    Wait {
        /// Where it stands.
        line: usize,
        /// The document.
        path: String,
        /// The part of it.
        pointer: String,
        /// What it must become.
        value: String,
    },
}

/// One fixture.
#[derive(Debug, Default)]
pub struct Script {
    /// In order.
    pub items: Vec<Item>,
    /// For all of it.
    pub everywhere: Vec<Everywhere>,
}

impl Script {
    /// Reads a file.
    ///
    /// # Panics
    /// When it cannot be read or a line means nothing.
    pub fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut script = Script::default();
        for (at, line) in text.lines().enumerate() {
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            let read = if line.starts_with(' ') { script.detail(trimmed) } else { script.item(at + 1, trimmed) };
            read.unwrap_or_else(|| panic!("{}:{}: what does `{trimmed}` mean?", file.display(), at + 1));
        }
        script
    }

    fn item(&mut self, line: usize, text: &str) -> Option<()> {
        let (first, rest) = text.split_once(' ')?;
        match first {
            "wait" => {
                let mut words = rest.splitn(3, ' ').map(str::to_owned);
                let (path, pointer, value) = (words.next()?, words.next()?, words.next()?);
                self.items.push(Item::Wait { line, path, pointer, value });
            }
            "everywhere" => {
                let (method, rest) = rest.split_once(' ')?;
                let (prefix, rest) = rest.split_once(' ')?;
                let (keys, row) = reasoned(rest)?;
                let (method, prefix) = (method.to_owned(), prefix.to_owned());
                self.everywhere.push(Everywhere { line, method, prefix, keys, row, used: false });
            }
            version => {
                let (method, rest) = rest.split_once(' ')?;
                let (path, body) = rest.split_once(' ').map_or((rest, None), |(path, body)| (path, Some(body)));
                self.items.push(Item::Request(Request {
                    line,
                    version: Some(version.to_owned()).filter(|version| version != "-"),
                    method: method.to_owned(),
                    path: path.to_owned(),
                    body: body.map(|body| body.trim().to_owned()),
                    ..Request::default()
                }));
            }
        }
        Some(())
    }

    fn detail(&mut self, text: &str) -> Option<()> {
        let Some(Item::Request(request)) = self.items.last_mut() else { return None };
        let (word, rest) = text.split_once(' ')?;
        match word {
            "keep" => request.keep.push(rest.split_once(' ').map(|(name, at)| (name.to_owned(), at.to_owned()))?),
            "header" => {
                request.headers.push(rest.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()))?);
            }
            "differs" => request.differs.push(reasoned(rest)?),
            _ => return None,
        }
        Some(())
    }
}

/// `a, b : why`.
fn reasoned(text: &str) -> Option<(Vec<String>, String)> {
    let (keys, row) = text.split_once(" : ")?;
    Some((keys.split(", ").map(|key| key.trim().to_owned()).collect(), row.trim().to_owned()))
}
