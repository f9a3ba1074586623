//! "Which disk?": the pure matcher of root device hints (agent-protocol section 15).
//!
//! What a hint *means* is decided here; which disks there are, and which of them may be touched, is the agent's business.

mod expression;

use expression::{Compare, Expression, NumberTest, TextTest};
use serde_json::{Map, Value};

/// What a hint can be compared with. One place fills it: the agent's disk room.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DiskFacts {
    /// `/dev/sda`.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Spins.
    pub rotational: Option<bool>,
    /// As the disk says.
    pub model: Option<String>,
    /// As the disk says.
    pub vendor: Option<String>,
    /// Every serial known for the disk: any match counts.
    pub serials: Vec<String>,
    /// Every WWN known for the disk: any match counts.
    pub wwns: Vec<String>,
    /// udev's ID_WWN_WITH_EXTENSION.
    pub wwn_with_extension: Option<String>,
    /// udev's ID_WWN_VENDOR_EXTENSION.
    pub wwn_vendor_extension: Option<String>,
    /// SCSI address.
    pub hctl: Option<String>,
    /// Every `/dev/disk/by-path/...` of the disk: any match counts. (udev makes two for a SATA disk: `-ata-1` and `-ata-1.0`.)
    pub by_paths: Vec<String>,
    /// `sata`, `nvme`, ...
    pub tran: Option<String>,
}

/// A parsed hint map. All entries must hold for a disk to match.
#[derive(Clone, Debug, PartialEq)]
pub struct RootHints(Vec<Hint>);

#[derive(Clone, Debug, PartialEq)]
struct Hint {
    name: String,
    /// As the operator wrote it, for messages.
    written: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Size(NumberTest),
    Rotational(bool),
    Text(Expression),
}

/// A hint map that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HintError {
    /// A name outside the table of section 15.
    #[error(
        "unknown root device hint `{0}`; known are size, model, wwn, serial, vendor, wwn_with_extension, wwn_vendor_extension, name, rotational, hctl, by_path, tran"
    )]
    Unknown(String),
    /// A value that the hint cannot take.
    #[error("root device hint `{name}` has the value `{value}`: {why}")]
    Value {
        /// The hint.
        name: String,
        /// Its value.
        value: String,
        /// What is wrong.
        why: String,
    },
}

/// The first hint that a disk does not fulfil.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// `serial`
    pub hint: String,
    /// As the operator wrote it.
    pub wanted: String,
    /// What the disk has; `nothing` if it does not say.
    pub found: String,
}

impl std::fmt::Display for Miss {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} is {}, wanted `{}`", self.hint, self.found, self.wanted)
    }
}

impl std::fmt::Display for RootHints {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, hint) in self.0.iter().enumerate() {
            write!(out, "{}{}: `{}`", if at == 0 { "" } else { ", " }, hint.name, hint.written)?;
        }
        Ok(())
    }
}

const TEXT_HINTS: &[&str] = &[
    "model",
    "wwn",
    "serial",
    "vendor",
    "wwn_with_extension",
    "wwn_vendor_extension",
    "name",
    "hctl",
    "by_path",
    "tran",
];

impl RootHints {
    /// Checks names and values.
    ///
    /// # Errors
    /// [`HintError`] names the hint and what to correct.
    pub fn parse(map: &Map<String, Value>) -> Result<Self, HintError> {
        map.iter().map(|(name, value)| Hint::parse(name, value)).collect::<Result<_, _>>().map(Self)
    }

    /// No hints: every disk matches.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Do all hints hold for this disk?
    ///
    /// # Errors
    /// As [`RootHints::miss`].
    pub fn matches(&self, disk: &DiskFacts) -> Result<bool, HintError> {
        self.miss(disk).map(|miss| miss.is_none())
    }

    /// The first hint that does not hold for this disk, none if all hold.
    ///
    /// # Errors
    /// A comparison that has no meaning, such as a number operator on a text, spoils the whole choice (section 15):
    /// a hint that silently never matches would take the wrong disk, or none.
    pub fn miss(&self, disk: &DiskFacts) -> Result<Option<Miss>, HintError> {
        for hint in &self.0 {
            if !hint.holds(disk)? {
                let (hint_name, wanted) = (hint.name.clone(), hint.written.clone());
                return Ok(Some(Miss { hint: hint_name, wanted, found: hint.found(disk) }));
            }
        }
        Ok(None)
    }
}

impl Hint {
    fn parse(name: &str, value: &Value) -> Result<Self, HintError> {
        let written = value.as_str().map_or_else(|| value.to_string(), str::to_string);
        let wrong = |why: &str| HintError::Value { name: name.into(), value: written.clone(), why: why.into() };
        let test = match name {
            "size" => {
                if !(value.is_string() || value.is_number()) {
                    return Err(wrong("size is a number of GiB, or an operator and a number"));
                }
                let expression = Expression::parse(&written).map_err(wrong)?;
                Test::Size(NumberTest::new(&expression).map_err(wrong)?)
            }
            "rotational" => match written.trim().to_lowercase().as_str() {
                "1" | "t" | "true" | "on" | "y" | "yes" => Test::Rotational(true),
                "0" | "f" | "false" | "off" | "n" | "no" => Test::Rotational(false),
                _ => return Err(wrong("it is true or false")),
            },
            name if TEXT_HINTS.contains(&name) => {
                let text = value.as_str().ok_or_else(|| wrong("it is a text; put it in quotes"))?;
                Test::Text(Expression::parse(text).map_err(wrong)?)
            }
            _ => return Err(HintError::Unknown(name.into())),
        };
        Ok(Self { name: name.into(), written, test })
    }

    fn holds(&self, disk: &DiskFacts) -> Result<bool, HintError> {
        match &self.test {
            Test::Size(test) => test.holds(disk.size as f64 / f64::from(1 << 30)).map_err(|why| self.wrong(why)),
            Test::Rotational(wanted) => Ok(disk.rotational == Some(*wanted)),
            Test::Text(expression) => self.text_holds(&expression.text_test(), disk),
        }
    }

    fn text_holds(&self, test: &TextTest<'_>, disk: &DiskFacts) -> Result<bool, HintError> {
        // Serial and WWN have several spellings and any of them counts; one that is no number is passed over, and a
        // disk without any does not match. For the others a missing value is the text `none`, and a disk can have several
        // links. Empty ones never match.
        let (mut values, spellings): (Vec<&str>, bool) = match self.name.as_str() {
            "serial" => (disk.serials.iter().map(String::as_str).collect(), true),
            "wwn" => (disk.wwns.iter().map(String::as_str).collect(), true),
            "by_path" if !disk.by_paths.is_empty() => (disk.by_paths.iter().map(String::as_str).collect(), false),
            _ => (vec![attribute(&self.name, disk).unwrap_or("none")], false),
        };
        values.retain(|value| !value.trim().is_empty());
        match test {
            _ if values.is_empty() => return Ok(false),
            TextTest::Unusable => return Err(self.wrong("this operator cannot be used with any hint")),
            TextTest::Number(_, None) => {
                return Err(self.wrong("this operator compares numbers; for texts write s==, s!=, s<, <in> or <or>"));
            }
            _ => {}
        }
        for value in values {
            match test.holds(&expression::encode(value)) {
                Compare::Yes => return Ok(true),
                Compare::No => {}
                Compare::NotANumber if spellings => {}
                Compare::NotANumber => {
                    let text =
                        format!("{} has `{value}`, which is no number; for texts write s==, s!=, <in>", disk.name);
                    return Err(self.wrong(&text));
                }
            }
        }
        Ok(false)
    }

    fn wrong(&self, why: &str) -> HintError {
        HintError::Value { name: self.name.clone(), value: self.written.clone(), why: why.into() }
    }

    fn found(&self, disk: &DiskFacts) -> String {
        let quoted = |text: &str| format!("`{text}`");
        let found = match self.name.as_str() {
            "size" => Some(format!("{:.2} GiB", disk.size as f64 / f64::from(1 << 30))),
            "rotational" => disk.rotational.map(|spins| spins.to_string()),
            "serial" => (!disk.serials.is_empty()).then(|| quoted(&disk.serials.join("`, `"))),
            "wwn" => (!disk.wwns.is_empty()).then(|| quoted(&disk.wwns.join("`, `"))),
            "by_path" => (!disk.by_paths.is_empty()).then(|| quoted(&disk.by_paths.join("`, `"))),
            name => attribute(name, disk).map(quoted),
        };
        found.unwrap_or_else(|| "unknown".into())
    }
}

fn attribute<'a>(name: &str, disk: &'a DiskFacts) -> Option<&'a str> {
    match name {
        "name" => Some(&disk.name),
        "model" => disk.model.as_deref(),
        "vendor" => disk.vendor.as_deref(),
        "wwn_with_extension" => disk.wwn_with_extension.as_deref(),
        "wwn_vendor_extension" => disk.wwn_vendor_extension.as_deref(),
        "hctl" => disk.hctl.as_deref(),
        "tran" => disk.tran.as_deref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
