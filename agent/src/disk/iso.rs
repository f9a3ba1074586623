//! A small reader of ISO 9660 with Rock Ridge or Joliet names, for config drives that must become another file system.
//!
//! ECMA-119, IEEE P1282 (names only), Joliet. Nothing is mounted; lengths, depth and number of entries are bounded, because
//! a tenant or a broken server made the bytes.

use std::collections::BTreeSet;
use std::io;

const SECTOR: usize = 2048;
/// Volume descriptors looked at; three are usual.
const MAX_DESCRIPTORS: usize = 32;
const MAX_DEPTH: usize = 16;
const MAX_ENTRIES: usize = 4096;
/// Most bytes of one folder.
const MAX_FOLDER: usize = 1 << 20;
/// Continuation areas followed for one entry.
const MAX_CONTINUED: usize = 8;

/// Which names are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    RockRidge,
    Joliet,
    Plain,
}

struct Walk<'a> {
    image: &'a [u8],
    names: Names,
    /// Bytes before the entries' own in a system use area.
    skip: usize,
    left: usize,
    /// Folders on the way, by place: a loop ends here.
    seen: BTreeSet<usize>,
    files: Vec<(String, Vec<u8>)>,
}

/// Every regular file with its path, `openstack/latest/meta_data.json`.
///
/// # Errors
/// `InvalidData` when this is no ISO 9660 image or points outside itself.
pub fn files(image: &[u8]) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut primary = None;
    let mut joliet = None;
    for at in 16..16 + MAX_DESCRIPTORS {
        let descriptor =
            image.get(at * SECTOR..(at + 1) * SECTOR).ok_or_else(|| wrong("it ends within its descriptors"))?;
        if &descriptor[1..6] != b"CD001" {
            break;
        }
        match descriptor[0] {
            1 if primary.is_none() => primary = Some(&descriptor[156..190]),
            2 if [b"%/@", b"%/C", b"%/E"].iter().any(|level| descriptor[88..91] == **level) => {
                joliet = Some(&descriptor[156..190])
            }
            255 => break,
            _ => {}
        }
    }
    let primary = primary.ok_or_else(|| wrong("it has no primary descriptor"))?;
    let (first, _) = extent(primary)?;
    let skip = rock_ridge(image, first);
    let (root, names) = match (skip, joliet) {
        (Some(_), _) => (primary, Names::RockRidge),
        (None, Some(joliet)) => (joliet, Names::Joliet),
        (None, None) => (primary, Names::Plain),
    };
    let (at, length) = extent(root)?;
    let mut walk =
        Walk { image, names, skip: skip.unwrap_or(0), left: MAX_ENTRIES, seen: BTreeSet::new(), files: Vec::new() };
    walk.folder(at, length, "", 0)?;
    Ok(walk.files)
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the ISO 9660 image is damaged: {what}"))
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize)
}

/// Byte offset and length of what a record points to.
fn extent(record: &[u8]) -> io::Result<(usize, usize)> {
    let place = word(record, 2).and_then(|block| block.checked_mul(SECTOR));
    place.zip(word(record, 10)).ok_or_else(|| wrong("a record is too short"))
}

/// Does the first entry of the root say SP (system use sharing)? Then how many bytes to skip in the others.
fn rock_ridge(image: &[u8], root: usize) -> Option<usize> {
    let length = usize::from(*image.get(root)?);
    let record = image.get(root..root.checked_add(length)?)?;
    let area = record.get(34..)?;
    (area.get(..2) == Some(b"SP") && area.get(4..6) == Some(&[0xbe, 0xef])).then(|| usize::from(area[6]))
}

impl Walk<'_> {
    fn folder(&mut self, at: usize, length: usize, above: &str, depth: usize) -> io::Result<()> {
        if depth > MAX_DEPTH || !self.seen.insert(at) {
            return Err(wrong("its folders are nested too deeply, or in a circle"));
        }
        let end = at.checked_add(length).filter(|_| length <= MAX_FOLDER);
        let image = self.image;
        let bytes = end.and_then(|end| image.get(at..end)).ok_or_else(|| wrong("a folder lies outside"))?;
        let mut place = 0;
        let mut order = 0;
        while place < bytes.len() {
            let size = usize::from(bytes[place]);
            if size == 0 {
                place = (place / SECTOR + 1) * SECTOR; // records do not cross sectors
                continue;
            }
            let record = bytes.get(place..place + size).filter(|record| record.len() >= 34);
            let record = record.ok_or_else(|| wrong("a record is too short"))?;
            place += size;
            order += 1;
            self.left = self.left.checked_sub(1).ok_or_else(|| wrong("it has too many files"))?;
            if order > 2 {
                self.entry(record, above, depth)?; // the first two are the folder itself and the one above
            }
        }
        self.seen.remove(&at);
        Ok(())
    }

    fn entry(&mut self, record: &[u8], above: &str, depth: usize) -> io::Result<()> {
        let flags = record[25];
        let name_length = usize::from(record[32]);
        let raw = record.get(33..33 + name_length).ok_or_else(|| wrong("a name is too long"))?;
        let area = record.get(33 + name_length + usize::from(name_length.is_multiple_of(2))..).unwrap_or_default();
        let found = match self.names {
            Names::RockRidge => self.alternate(area.get(self.skip..).unwrap_or_default())?,
            Names::Joliet => Some(String::from_utf16_lossy(
                &raw.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect::<Vec<_>>(),
            )),
            Names::Plain => None,
        };
        // Links and devices are no files, and a file in several pieces is larger than any config drive.
        let plain = || String::from_utf8_lossy(raw).to_lowercase();
        let name = found.unwrap_or_else(plain);
        let name = name.split_once(';').map_or(name.as_str(), |(name, _)| name).trim_end_matches('.');
        if name.is_empty() || name == ".." || name.contains(['/', '\\', '\0']) {
            return Ok(());
        }
        let path = if above.is_empty() { name.to_string() } else { format!("{above}/{name}") };
        let (at, length) = extent(record)?;
        if flags & 2 != 0 {
            return self.folder(at, length, &path, depth + 1);
        }
        if flags & 0x80 != 0 || self.names == Names::RockRidge && is_link(area.get(self.skip..).unwrap_or_default()) {
            return Ok(());
        }
        let content = match length {
            0 => &[],
            _ => at
                .checked_add(length)
                .and_then(|end| self.image.get(at..end))
                .ok_or_else(|| wrong("a file lies outside"))?,
        };
        let all: usize = self.files.iter().map(|(_, content)| content.len()).sum();
        if all + content.len() > self.image.len() {
            return Err(wrong("its files have more bytes than the image"));
        }
        self.files.push((path, content.to_vec()));
        Ok(())
    }

    /// The Rock Ridge name, put together from its pieces; none if there is none.
    fn alternate(&self, area: &[u8]) -> io::Result<Option<String>> {
        let mut name: Option<Vec<u8>> = None;
        let mut area = area;
        for _ in 0..MAX_CONTINUED {
            let mut next = None;
            for entry in entries(area) {
                match &entry[..2] {
                    b"NM" => name.get_or_insert_default().extend(entry.get(5..).unwrap_or_default()),
                    b"CE" => next = word(entry, 4).zip(word(entry, 12)).zip(word(entry, 20)),
                    _ => {}
                }
            }
            let Some(((block, offset), length)) = next else { break };
            let start = block.checked_mul(SECTOR).and_then(|start| start.checked_add(offset));
            let range = start.and_then(|start| Some(start..start.checked_add(length)?));
            area =
                range.and_then(|range| self.image.get(range)).ok_or_else(|| wrong("a continued name lies outside"))?;
        }
        Ok(name.map(|name| String::from_utf8_lossy(&name).into_owned()))
    }
}

fn is_link(area: &[u8]) -> bool {
    entries(area).any(|entry| &entry[..2] == b"SL")
}

/// The entries of a system use area.
fn entries(mut area: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = usize::from(*area.get(2)?);
        let entry = area.get(..length).filter(|entry| entry.len() >= 4)?;
        area = &area[length..];
        Some(entry)
    })
}

#[cfg(test)]
mod tests {
    use super::files;
    use proptest::prelude::{any, prop, proptest};
    use std::process::Command;

    fn tree() -> Vec<(String, Vec<u8>)> {
        let mut files = vec![
            ("ec2/2009-04-04/meta-data.json".to_string(), b"{}".to_vec()),
            ("openstack/latest/meta_data.json".into(), b"{\"uuid\": 1}".to_vec()),
            ("openstack/latest/user_data".into(), vec![b'u'; 100_000]),
            ("openstack/latest/empty".into(), Vec::new()),
            (format!("openstack/{}", "a-very-long-name-".repeat(12)), b"long".to_vec()),
        ];
        files.sort();
        files
    }

    fn image(options: &[&str], files: &[(String, Vec<u8>)]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = folder.path().join("in").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("in/link")).unwrap();
        let out = folder.path().join("iso");
        let run = Command::new("xorrisofs")
            .args(["-quiet", "-V", "config-2"])
            .args(options)
            .arg("-o")
            .arg(&out)
            .arg(folder.path().join("in"))
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        std::fs::read(out).unwrap()
    }

    #[test]
    fn images_by_xorriso_are_read_with_every_kind_of_names() {
        for options in [&["-R"][..], &["-J", "-R"], &["-r", "-J", "-joliet-long"]] {
            let mut found = files(&image(options, &tree())).unwrap();
            found.sort();
            assert!(found == tree(), "{options:?}: {:?}", found.iter().map(|(path, _)| path).collect::<Vec<_>>());
        }
        let short: Vec<_> = tree().into_iter().filter(|(path, _)| path.len() < 60).collect();
        let mut found = files(&image(&["-J", "--norock"], &short)).unwrap();
        found.retain(|(path, _)| path != "link");
        found.sort();
        assert!(found == short, "Joliet alone: {:?}", found.iter().map(|(path, _)| path).collect::<Vec<_>>());
        let plain =
            files(&image(&["--norock", "-iso-level", "1"], &[("OPEN/META.TXT".into(), b"x".to_vec())])).unwrap();
        assert!(plain.contains(&("open/meta.txt".into(), b"x".to_vec())), "{plain:?}");
        assert!(files(&[0; 100_000]).is_err() && files(b"").is_err());
    }

    proptest! {
        #[test]
        fn no_damage_makes_it_panic_or_run_away(noise in prop::collection::vec((0_usize..60_000, any::<u8>()), 0..60), cut in 0_usize..200_000) {
            static IMAGE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
            let mut bytes = IMAGE.get_or_init(|| image(&["-R", "-J"], &tree())).clone();
            for (at, byte) in noise {
                let at = 32_768 + at;
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
            bytes.truncate(cut.max(36_000));
            if let Ok(found) = files(&bytes) {
                assert!(found.iter().map(|(_, content)| content.len()).sum::<usize>() <= bytes.len());
                assert!(found.iter().all(|(path, _)| path.split('/').all(|part| !part.is_empty() && part != "..")));
            }
        }
    }
}
