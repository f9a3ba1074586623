//! Reads what a program needs to run: its interpreter and its libraries (ELF `PT_INTERP`, `DT_NEEDED`). Sixty-four bit,
//! little endian, as everything in a Debian amd64 package is. Any other file answers `None`; a damaged one is an error.

/// What a dynamic program or library asks the loader for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// The loader, with its whole path: `/lib64/ld-linux-x86-64.so.2`. Libraries have none.
    pub interpreter: Option<String>,
    /// Sonames, in the order of the file: `libc.so.6`.
    pub libraries: Vec<String>,
}

/// Why an ELF file could not be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is a damaged ELF file: {0}")]
pub struct Damaged(&'static str);

const LOAD: u32 = 1;
const DYNAMIC: u32 = 2;
const INTERPRETER: u32 = 3;
const NEEDED: u64 = 1;
const STRING_TABLE: u64 = 5;
/// More program headers, dynamic entries or name bytes than any real program has.
const MOST_HEADERS: usize = 128;
const MOST_ENTRIES: usize = 4096;
const LONGEST_NAME: usize = 4096;

/// Reads the needs of `file`. `None`: not an ELF file of this machine's kind, or one without dynamic part.
///
/// # Errors
/// The file says it is ELF, but its tables point outside of it.
pub fn needs(file: &[u8]) -> Result<Option<Needs>, Damaged> {
    // Magic, 64 bit, little endian.
    if file.len() < 64 || !file.starts_with(b"\x7fELF\x02\x01") {
        return Ok(None);
    }
    let headers = program_headers(file)?;
    let mut found = Needs::default();
    if let Some(head) = headers.iter().find(|head| head.kind == INTERPRETER) {
        let bytes = slice(file, head.offset, head.size).ok_or(Damaged("the interpreter's name lies outside"))?;
        found.interpreter = Some(name(bytes)?);
    }
    let Some(dynamic) = headers.iter().find(|head| head.kind == DYNAMIC) else {
        return Ok(found.interpreter.is_some().then_some(found));
    };
    let table = slice(file, dynamic.offset, dynamic.size).ok_or(Damaged("the dynamic table lies outside"))?;
    let entries: Vec<(u64, u64)> = table
        .chunks_exact(16)
        .take(MOST_ENTRIES)
        .map(|pair| (word(&pair[..8]), word(&pair[8..])))
        .take_while(|entry| entry.0 != 0)
        .collect();
    let wanted: Vec<u64> = entries.iter().filter(|entry| entry.0 == NEEDED).map(|entry| entry.1).collect();
    if wanted.is_empty() {
        return Ok(Some(found));
    }
    let address = entries.iter().find(|entry| entry.0 == STRING_TABLE).ok_or(Damaged("it has no string table"))?.1;
    let strings = place(&headers, address).ok_or(Damaged("the string table is not loaded"))?;
    for offset in wanted {
        let start = strings.checked_add(offset).and_then(|at| usize::try_from(at).ok());
        let bytes = start.and_then(|at| file.get(at..)).ok_or(Damaged("a library's name lies outside"))?;
        found.libraries.push(name(bytes)?);
    }
    Ok(Some(found))
}

struct ProgramHeader {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

fn program_headers(file: &[u8]) -> Result<Vec<ProgramHeader>, Damaged> {
    let start = word(&file[32..40]);
    let size = usize::from(u16::from_le_bytes([file[54], file[55]]));
    let count = usize::from(u16::from_le_bytes([file[56], file[57]]));
    if count > MOST_HEADERS || (count > 0 && size < 56) {
        return Err(Damaged("its program headers make no sense"));
    }
    let table = slice(file, start, (size * count) as u64).ok_or(Damaged("its program headers lie outside"))?;
    let read = |head: &[u8]| ProgramHeader {
        kind: u32::from_le_bytes([head[0], head[1], head[2], head[3]]),
        offset: word(&head[8..16]),
        address: word(&head[16..24]),
        size: word(&head[32..40]),
    };
    Ok(if count == 0 { Vec::new() } else { table.chunks_exact(size).map(read).collect() })
}

/// Where in the file a loaded address is.
fn place(headers: &[ProgramHeader], address: u64) -> Option<u64> {
    let holds =
        |head: &&ProgramHeader| head.kind == LOAD && address >= head.address && address - head.address < head.size;
    let head = headers.iter().find(holds)?;
    head.offset.checked_add(address - head.address)
}

fn slice(file: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    file.get(start..start.checked_add(usize::try_from(size).ok()?)?)
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| (value << 8) | u64::from(*byte))
}

fn name(bytes: &[u8]) -> Result<String, Damaged> {
    let end = bytes.iter().take(LONGEST_NAME).position(|byte| *byte == 0).ok_or(Damaged("a name has no end"))?;
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| Damaged("a name is not text"))?;
    if text.is_empty() { Err(Damaged("a name is empty")) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::{needs, word};

    #[test]
    fn this_very_test_needs_the_c_library_and_its_loader() {
        let me = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let needs = needs(&me).unwrap().unwrap();
        assert!(needs.libraries.iter().any(|name| name == "libc.so.6"), "{needs:?}");
        assert!(needs.interpreter.unwrap().starts_with("/lib"));
    }

    #[test]
    fn other_files_need_nothing() {
        assert_eq!(needs(b"#!/bin/sh\n").unwrap(), None);
        assert_eq!(needs(&[]).unwrap(), None);
    }

    #[test]
    fn tables_that_point_outside_are_refused() {
        let mut me = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        me.truncate(200);
        assert!(needs(&me).is_err());
    }

    proptest! {
        #[test]
        fn garbage_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 64..600), count in 0u8..8) {
            bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
            bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
            bytes[54..58].copy_from_slice(&[56, 0, count, 0]);
            let _ = needs(&bytes);
        }

        #[test]
        fn words_are_little_endian(value in any::<u64>()) {
            assert_eq!(word(&value.to_le_bytes()), value);
        }
    }
}
