//! What an image is, by its content, and whether that may be written. A name or a claim decides nothing.
//!
//! Agent-protocol section 11, "Safety of non-raw images".

/// Bytes from the start of a file that [`detect`] wants to see.
pub const HEAD: usize = 64 << 10;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing known: bytes.
    Raw,
    /// A disk with an MBR.
    Mbr,
    /// A disk with a GPT.
    Gpt,
    /// ISO 9660, hybrid or not.
    Iso,
    /// QEMU's format, version 2 or 3.
    Qcow2,
    /// Something that would have to be converted first; the name as qemu-img knows it.
    Foreign(&'static str),
    /// A file compressed in a way that is not read here, or twice.
    Packed(&'static str),
    /// An encrypted container.
    Luks,
}

/// How an accepted image is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Byte for byte.
    Copy,
    /// Cluster by cluster.
    Qcow2,
}

/// Why an image is refused.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// A format of another hypervisor.
    #[error(
        "the image is in {0} format, which is not written to disks. Convert it: \
         `qemu-img convert -f {0} -O qcow2 IMAGE IMAGE.qcow2` (or -O raw), and set its new checksum"
    )]
    Foreign(&'static str),
    /// Unreadable compression.
    #[error(
        "the image is packed with {0}. Unpack it, and compress it with zstd, gzip, xz or bzip2 if it must be small"
    )]
    Packed(&'static str),
    /// LUKS.
    #[error(
        "the image is a LUKS container, whose key is not here. Convert it where the key is: \
         `qemu-img convert --object secret,id=key,file=PASSPHRASE --image-opts \
         driver=luks,key-secret=key,file.filename=IMAGE -O qcow2 IMAGE.qcow2`, and set its new checksum"
    )]
    Luks,
    /// Valid as two things at once: somebody wants two readers to see different disks.
    #[error("the image is {first} and {second} at once, which no honest tool makes. It is not written")]
    Polyglot {
        /// One.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// Declared and found differ.
    #[error("the image was declared as `{declared}` but is {found}. Correct image_disk_format, or the image")]
    Differs {
        /// From the node.
        declared: String,
        /// By content.
        found: &'static str,
    },
    /// Not on the operator's list.
    #[error("images in {found} format are not permitted here (permitted_image_formats: {permitted})")]
    NotPermitted {
        /// By content.
        found: &'static str,
        /// The list.
        permitted: String,
    },
    /// Larger than the disk can be.
    #[error("the image is empty")]
    Empty,
}

impl Found {
    fn word(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Mbr => "raw (MBR)",
            Self::Gpt => "gpt",
            Self::Iso => "iso",
            Self::Qcow2 => "qcow2",
            Self::Foreign(name) | Self::Packed(name) => name,
            Self::Luks => "luks",
        }
    }
}

/// Signatures of formats that hide a disk, with their offsets.
const SIGNATURES: &[(usize, &[u8], Found)] = &[
    (0, b"QFI\xfb\0\0\0\x01", Found::Foreign("qcow")),
    (0, b"QFI\xfb", Found::Qcow2),
    (0, b"QED\0", Found::Foreign("qed")),
    (0, b"KDMV", Found::Foreign("vmdk")),
    (0, b"COWD", Found::Foreign("vmdk")),
    (0, b"# Disk DescriptorFile", Found::Foreign("vmdk")),
    (0, b"conectix", Found::Foreign("vpc")),
    (0, b"vhdxfile", Found::Foreign("vhdx")),
    (0x40, b"\x7f\x10\xda\xbe", Found::Foreign("vdi")),
    (0, b"WithoutFreeSpace", Found::Foreign("parallels")),
    (0, b"WithouFreSpacExt", Found::Foreign("parallels")),
    (0, b"Bochs Virtual HD Image", Found::Foreign("bochs")),
    (0, b"#!/bin/sh\n#V2.0 Format", Found::Foreign("cloop")),
    (0, b"koly", Found::Foreign("dmg")),
    (0, b"LUKS\xba\xbe", Found::Luks),
    (0, b"PK\x03\x04", Found::Packed("zip")),
    (0, b"7z\xbc\xaf\x27\x1c", Found::Packed("7-Zip")),
    (0, b"\x04\x22\x4d\x18", Found::Packed("lz4")),
    (0, b"\x89LZO\0", Found::Packed("lzop")),
    (0, b"\x1f\x8b\x08", Found::Packed("gzip inside another compression")),
    (0, b"\x28\xb5\x2f\xfd", Found::Packed("zstd inside another compression")),
    (0, b"\xfd7zXZ\0", Found::Packed("xz inside another compression")),
    (0, b"BZh91AY&SY", Found::Packed("bzip2 inside another compression")),
    (257, b"ustar", Found::Packed("tar (an OVA is one)")),
];

/// What a file is, by its first [`HEAD`] bytes (of what is left after decompression).
///
/// # Errors
/// [`FormatError::Polyglot`] and [`FormatError::Empty`].
pub fn detect(head: &[u8]) -> Result<Found, FormatError> {
    if head.is_empty() {
        return Err(FormatError::Empty);
    }
    let has = |at: usize, magic: &[u8]| head.get(at..at + magic.len()) == Some(magic);
    let mut containers = SIGNATURES.iter().filter(|(at, magic, _)| has(*at, magic)).map(|row| row.2);
    let container = containers.next();
    // `qcow` and `qcow2` share a beginning; signatures at other offsets belong to somebody else.
    let second = containers.find(|other| container != Some(Found::Foreign("qcow")) && Some(*other) != container);
    if let (Some(first), Some(second)) = (container, second) {
        return Err(FormatError::Polyglot { first: first.word(), second: second.word() });
    }
    let iso = has(0x8001, b"CD001");
    let gpt = [512, 2048, 4096].into_iter().any(|at| has(at, b"EFI PART"));
    let mbr = has(510, b"\x55\xaa");
    let disk = match (iso, gpt, mbr) {
        (true, ..) => Some(Found::Iso),
        (_, true, _) => Some(Found::Gpt),
        (_, _, true) => Some(Found::Mbr),
        _ => None,
    };
    match (container, disk) {
        // The header has the first 512 bytes at least, and no business with a boot signature there. Beyond them MBR and GPT
        // signatures do not count: a small first cluster of a qcow2 image may hold the guest's own.
        (Some(Found::Qcow2), _) if mbr => {
            Err(FormatError::Polyglot { first: Found::Qcow2.word(), second: Found::Mbr.word() })
        }
        (Some(first), Some(Found::Iso)) if !matches!(first, Found::Packed(_)) => {
            Err(FormatError::Polyglot { first: first.word(), second: Found::Iso.word() })
        }
        (Some(found), _) => Ok(found),
        (None, Some(found)) => Ok(found),
        (None, None) => Ok(Found::Raw),
    }
}

/// Bytes from the end of a file that [`detect_end`] wants to see.
pub const END: usize = 512;

/// Formats that say what they are at their end: a fixed VHD and a DMG look like plain bytes until then.
///
/// # Errors
/// [`FormatError::Foreign`].
pub fn detect_end(end: &[u8]) -> Result<(), FormatError> {
    let at = end.len().saturating_sub(END);
    match &end[at..] {
        [b'c', b'o', b'n', b'e', b'c', b't', b'i', b'x', ..] => Err(FormatError::Foreign("vpc")),
        [b'k', b'o', b'l', b'y', 0, 0, 0, 4, ..] => Err(FormatError::Foreign("dmg")),
        _ => Ok(()),
    }
}

/// What the operator and the node say about formats.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    /// `disk_format` of the image.
    pub declared: Option<&'a str>,
    /// `permitted_image_formats`.
    pub permitted: &'a [String],
    /// False: what was declared is believed (`disable_deep_image_inspection`).
    pub inspect: bool,
}

/// Decides how `found` is written, if at all.
///
/// # Errors
/// See [`FormatError`].
pub fn decide(found: Found, policy: Policy<'_>) -> Result<Way, FormatError> {
    let declared = policy.declared.map(str::to_ascii_lowercase);
    let declared = declared.as_deref().filter(|word| !word.is_empty() && *word != "unknown");
    if !policy.inspect {
        match declared {
            Some("raw" | "gpt" | "mbr" | "iso") => return Ok(Way::Copy),
            Some("qcow2") => return Ok(Way::Qcow2),
            _ => {}
        }
    }
    let differs = |declared: &str| FormatError::Differs { declared: declared.into(), found: found.word() };
    let permits =
        |words: &[&str]| policy.permitted.iter().any(|have| words.contains(&have.to_ascii_lowercase().as_str()));
    let (accepted, words, way): (bool, &[&str], Way) = match found {
        Found::Foreign(name) => return Err(FormatError::Foreign(name)),
        Found::Packed(name) => return Err(FormatError::Packed(name)),
        Found::Luks => return Err(FormatError::Luks),
        // Bytes are copied and never parsed by a converter, so these are one family.
        Found::Raw | Found::Mbr | Found::Gpt => {
            let family = matches!(declared, None | Some("raw" | "gpt" | "mbr"));
            (family, if found == Found::Raw { &["raw"] } else { &["raw", "gpt"] }, Way::Copy)
        }
        Found::Iso => {
            let as_bytes = declared == Some("raw");
            (
                matches!(declared, None | Some("raw" | "iso")),
                if as_bytes { &["iso", "raw"] } else { &["iso"] },
                Way::Copy,
            )
        }
        Found::Qcow2 => (matches!(declared, None | Some("qcow2")), &["qcow2"], Way::Qcow2),
    };
    if !accepted {
        return Err(differs(declared.unwrap_or_default()));
    }
    if policy.inspect && !permits(words) {
        return Err(FormatError::NotPermitted { found: found.word(), permitted: policy.permitted.join(", ") });
    }
    Ok(way)
}

#[cfg(test)]
mod tests;
