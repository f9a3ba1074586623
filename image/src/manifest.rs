//! What a build made and out of what: the record a second build is compared with.

use serde::{Deserialize, Serialize};

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The layout of this document. Changed when a reader has to change.
    pub format: u32,
    /// Debian's name of the machine type.
    pub architecture: String,
    /// What `uname -r` says in the ramdisk.
    pub kernel_release: String,
    /// The time stamp of every file inside, seconds since 1970 (`SOURCE_DATE_EPOCH`, or the kernel package's own).
    pub source_date: u32,
    /// The files beside this one.
    pub artifacts: Vec<Artifact>,
    /// The packages they were made of.
    pub packages: Vec<Source>,
    /// Every file, link and folder of the initramfs.
    pub contents: Vec<Content>,
    /// Every firmware file that a module of the ramdisk asks for; empty unless the build was given firmware.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub firmware: Vec<Firmware>,
}

/// One firmware file, below `/lib/firmware`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firmware {
    /// Its name there.
    pub file: String,
    /// The modules that ask for it.
    pub modules: Vec<String>,
    /// The package or folder it was taken from; absent when nobody has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// One file the build wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its name, without folder.
    pub file: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Digest, lower-case hexadecimal.
    pub sha256: String,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The digest of the .deb.
    pub sha256: String,
}

/// One path of the initramfs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Below `/`.
    pub path: String,
    /// `file`, `folder`, `link` or `device`.
    pub kind: String,
    /// Permission bits, octal.
    pub mode: String,
    /// The package it came from, or `recipe`, `agent`.
    pub origin: String,
    /// Size of a file in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Digest of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Target of a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

impl Manifest {
    /// The layout described here.
    pub const FORMAT: u32 = 1;

    /// The document, with a final newline. Fields stand in the order of the types, lists in the order given.
    pub fn to_json(&self) -> String {
        // Nothing in these types can fail to be written: no maps with odd keys, no floating point.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Artifact, Content, Manifest};

    #[test]
    fn what_is_written_can_be_read_back_and_absent_fields_are_left_out() {
        let content = Content {
            path: "etc".into(),
            kind: "folder".into(),
            mode: "755".into(),
            origin: "recipe".into(),
            bytes: None,
            sha256: None,
            target: None,
        };
        let manifest = Manifest {
            format: Manifest::FORMAT,
            architecture: "amd64".into(),
            kernel_release: "6.1.0-56-amd64".into(),
            source_date: 7,
            artifacts: vec![Artifact { file: "deploy.kernel".into(), bytes: 1, sha256: "00".into() }],
            packages: vec![],
            contents: vec![content],
            firmware: vec![],
        };
        let text = manifest.to_json();
        assert_eq!(serde_json::from_str::<Manifest>(&text).unwrap(), manifest);
        assert!(!text.contains("target") && !text.contains("firmware") && text.ends_with("}\n"), "{text}");
    }
}
