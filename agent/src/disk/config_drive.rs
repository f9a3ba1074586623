//! The config drive: taken out of its wrapping and put into a partition of the freshly written disk.
//!
//! Everything goes through the whole-disk device at the partition's offset: no partition node has to exist.
//! Ipa-features section 20, agent-protocol section 12.

use super::fat::{self, Fat};
use super::gpt::{Gpt, GptError};
use super::{fat_write, iso, mbr, volume_label};
use crate::sys::aligned::AlignedBuffer;
use crate::sys::block::BlockDevice;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::config_drive::MAX_BYTES;
use flate2::read::MultiGzDecoder;
use std::io::{self, Read};

/// The label that cloud-init and others look for, in any case.
const LABEL: &str = "config-2";
/// "Linux filesystem", 0FC63DAF-8483-4772-8E79-3D69D8477DE4, as bytes on the disk.
const LINUX: [u8; 16] =
    [0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4];
/// FAT32 with LBA, the type other deployers give this partition.
const FAT32_LBA: u8 = 0x0c;
const MIB: u64 = 1 << 20;
/// An MBR counts sectors in 32 bits; with 512-byte sectors that is 2 TiB, and nobody boots an MBR beyond.
const MBR_REACH: u64 = 2 << 40;

/// Why there is no config drive on the disk.
#[derive(Debug, thiserror::Error)]
pub enum ConfigDriveError {
    /// The wrapping.
    #[error("the config drive cannot be unpacked: {0}. It must be base64 of a gzipped ISO 9660 or vfat image")]
    Wrapping(String),
    /// More than fits.
    #[error("the config drive has more than {} MiB", MAX_BYTES / MIB)]
    TooLarge,
    /// Two partitions that could be meant.
    #[error("the image has {0} partitions labelled config-2, and only one can be the config drive")]
    Several(usize),
    /// The partition in the image is too small.
    #[error("the config drive has {need} bytes, and the image's own config-2 partition has room for {room}")]
    Cramped {
        /// Bytes of the config drive.
        need: u64,
        /// Bytes of the partition.
        room: u64,
    },
    /// No free entry in the MBR.
    #[error("no room for the config drive: the image has {0} primary partitions, and an MBR holds 4")]
    Primaries(usize),
    /// Partitions in the way.
    #[error("no room for the config drive: partition {0} of the image reaches into the last 64 MiB")]
    InTheWay(u32),
    /// A disk that is too small for another partition.
    #[error("no room for the config drive on a disk of {0} bytes")]
    TooSmall(u64),
    /// Neither GPT nor MBR.
    #[error("the image has no partition table, so it has no place for a config drive")]
    NoTable,
    /// The image inside cannot be read, so it cannot be put on this disk.
    #[error("the config drive must be made anew as vfat for this disk, and its image cannot be read: {0}")]
    Rebuild(io::Error),
    /// The GPT.
    #[error(transparent)]
    Gpt(#[from] GptError),
    /// The disk.
    #[error("writing the config drive: {0}")]
    Io(#[from] io::Error),
}

/// Where the config drive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Partition number.
    pub number: u32,
    /// Byte offset on the disk.
    pub start: u64,
    /// Bytes of the partition.
    pub length: u64,
    /// The image brought the partition.
    pub reused: bool,
}

/// The image inside base64 text, gzipped or not.
///
/// # Errors
/// [`ConfigDriveError::Wrapping`], [`ConfigDriveError::TooLarge`].
pub fn decode(text: &[u8]) -> Result<Vec<u8>, ConfigDriveError> {
    if text.len() as u64 > MAX_BYTES * 3 / 2 {
        return Err(ConfigDriveError::TooLarge);
    }
    let compact: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let bytes = STANDARD.decode(compact).map_err(|cause| ConfigDriveError::Wrapping(cause.to_string()))?;
    unzip(bytes)
}

/// The image in what a server sent: the same base64 text, or the image itself, told apart by what it looks like.
///
/// # Errors
/// As from [`decode`].
pub fn from_body(body: Vec<u8>) -> Result<Vec<u8>, ConfigDriveError> {
    if body.starts_with(&[0x1f, 0x8b]) || is_image(&body) { unzip(body) } else { decode(&body) }
}

fn unzip(bytes: Vec<u8>) -> Result<Vec<u8>, ConfigDriveError> {
    let image = if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut image = Vec::new();
        let mut reader = MultiGzDecoder::new(&bytes[..]).take(MAX_BYTES + 1);
        reader.read_to_end(&mut image).map_err(|cause| ConfigDriveError::Wrapping(cause.to_string()))?;
        image
    } else {
        bytes
    };
    if image.len() as u64 > MAX_BYTES {
        return Err(ConfigDriveError::TooLarge);
    }
    if !is_image(&image) {
        return Err(ConfigDriveError::Wrapping("what is inside is neither ISO 9660 nor FAT".into()));
    }
    Ok(image)
}

/// The image as a disk with sectors of `sector` bytes can have it. ISO 9660 counts in blocks of 2048 bytes and a FAT in its
/// own sectors: on disks with larger ones nobody can mount them, so the files move to a FAT made for the disk. `always`
/// asks for that on every disk (`config_drive_rebuild`). Answers the image as it is when nothing has to be done.
///
/// # Errors
/// [`ConfigDriveError::Rebuild`] for an image that cannot be read.
pub fn fit(image: Vec<u8>, sector: u32, always: bool) -> Result<Vec<u8>, ConfigDriveError> {
    let iso = image.get(32769..32774) == Some(b"CD001");
    let own = if iso { 2048 } else { u32::from(u16::from_le_bytes([image[11], image[12]])) };
    if !always && own >= sector {
        return Ok(image);
    }
    let files = if iso { iso::files(&image) } else { fat_files(&image) };
    let made = files.and_then(|files| fat_write::image(sector.max(512), "CONFIG-2", &files));
    tracing::info!(iso, sector, always, "the config drive is made anew as vfat");
    let made = made.map_err(ConfigDriveError::Rebuild)?;
    if made.len() as u64 > MAX_BYTES { Err(ConfigDriveError::TooLarge) } else { Ok(made) }
}

fn fat_files(image: &[u8]) -> io::Result<Vec<fat_write::NewFile>> {
    let fat = Fat::open(&image)?;
    let content = |entry: &fat::Entry| fat.read(entry, image.len());
    fat.walk()?.iter().map(|(path, entry)| Ok((path.join("/"), content(entry)?))).collect()
}

fn is_image(bytes: &[u8]) -> bool {
    let fat = bytes.get(510..512) == Some(&[0x55, 0xaa])
        && (bytes.get(54..57) == Some(b"FAT") || bytes.get(82..87) == Some(b"FAT32"));
    fat || bytes.get(32769..32774) == Some(b"CD001")
}

/// Writes `image` into the disk's config-2 partition, made at the end of the disk if there is none. The spare GPT
/// must be at the end already ([`Gpt::settle`]). The kernel does not know of the new partition yet.
///
/// # Errors
/// See [`ConfigDriveError`].
pub fn place(disk: &BlockDevice, image: &[u8]) -> Result<Placed, ConfigDriveError> {
    let (size, sector) = (disk.size(), u64::from(disk.logical_sector()));
    let gpt = Gpt::read(&mut disk.cursor(), size, sector)?;
    let primaries = if gpt.is_some() { None } else { mbr::read(&mut disk.cursor(), size, sector)? };
    let candidates: Vec<Placed> = match (&gpt, &primaries) {
        (Some(gpt), _) => {
            let found = gpt.partitions().into_iter();
            let known = |number, start, length| Placed { number, start, length, reused: true };
            found
                .filter(|part| is_config(&part.name) || labelled(disk, part.start, part.length))
                .map(|part| known(part.number, part.start, part.length))
                .collect()
        }
        (None, Some(parts)) => parts
            .iter()
            .filter(|part| !part.is_extended() && labelled(disk, part.start, part.length))
            .map(|part| Placed { number: part.number, start: part.start, length: part.length, reused: true })
            .collect(),
        (None, None) => return Err(ConfigDriveError::NoTable),
    };
    let placed = match (candidates.as_slice(), gpt, primaries) {
        ([one], ..) => *one,
        ([_, _, ..], ..) => return Err(ConfigDriveError::Several(candidates.len())),
        ([], Some(gpt), _) => in_gpt(disk, gpt)?,
        ([], None, parts) => in_mbr(disk, &parts.unwrap_or_default(), sector)?,
    };
    if image.len() as u64 > placed.length || placed.start + placed.length > size {
        return Err(ConfigDriveError::Cramped { need: image.len() as u64, room: placed.length });
    }
    if !placed.reused && disk.zero_out(placed.start, placed.length).is_err() {
        disk.write_zeroes(placed.start, placed.length)?;
    }
    let mut buffer = AlignedBuffer::zeroed(MIB as usize);
    for (index, piece) in image.chunks(MIB as usize).enumerate() {
        buffer[..piece.len()].copy_from_slice(piece);
        disk.write_at(placed.start + index as u64 * MIB, &buffer[..piece.len()])?;
    }
    disk.sync()?;
    tracing::info!(disk = %disk.path().display(), partition = placed.number, start = placed.start, reused = placed.reused,
        bytes = image.len(), "config drive written");
    Ok(placed)
}

fn is_config(label: &str) -> bool {
    label.eq_ignore_ascii_case(LABEL)
}

fn labelled(disk: &BlockDevice, start: u64, length: u64) -> bool {
    let end = start.saturating_add(length).min(disk.size());
    let readable = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX).min(volume_label::HEAD);
    let mut head = vec![0; readable];
    disk.read_at(start, &mut head).is_ok() && volume_label::of(&head).is_some_and(|label| is_config(&label))
}

fn in_gpt(disk: &BlockDevice, mut gpt: Gpt) -> Result<Placed, ConfigDriveError> {
    let part = gpt.add_at_end(MAX_BYTES, LINUX, uuid::Uuid::new_v4().to_bytes_le(), LABEL)?;
    gpt.write(&mut disk.cursor())?;
    Ok(Placed { number: part.number, start: part.start, length: part.length, reused: false })
}

fn in_mbr(disk: &BlockDevice, parts: &[mbr::Partition], sector: u64) -> Result<Placed, ConfigDriveError> {
    let primaries = parts.iter().filter(|part| part.number <= 4).count();
    if primaries > 3 {
        return Err(ConfigDriveError::Primaries(primaries));
    }
    let (start, length) = last_place(disk.size())?;
    let in_the_way = parts.iter().find(|part| part.start < start + length && part.start + part.length > start);
    if let Some(part) = in_the_way {
        return Err(ConfigDriveError::InTheWay(part.number));
    }
    let too_small = || ConfigDriveError::TooSmall(disk.size());
    let sectors = |bytes: u64| u32::try_from(bytes / sector).map_err(|_| too_small());
    let added = mbr::add(&mut disk.cursor(), FAT32_LBA, sectors(start)?, sectors(length)?)?;
    let number = added.ok_or(ConfigDriveError::Primaries(4))?;
    Ok(Placed { number, start, length, reused: false })
}

/// The last 64 MiB of a disk, or below 2 TiB, at a multiple of 1 MiB.
fn last_place(size: u64) -> Result<(u64, u64), ConfigDriveError> {
    let end = size.min(MBR_REACH);
    let start = end.checked_sub(MAX_BYTES).ok_or(ConfigDriveError::TooSmall(size))?;
    let start = start - start % MIB;
    if start == 0 { Err(ConfigDriveError::TooSmall(size)) } else { Ok((start, MAX_BYTES)) }
}

#[cfg(test)]
mod tests;
