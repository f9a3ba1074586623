//! Volume descriptors and path tables: the first sectors (ECMA-119 sections 8 and 9.4, Joliet).

use super::record::{Naming, both16, both32, directory_name, root_record, ucs2};
use super::tree::Tree;
use super::{SECTOR, put};

const PRIMARY: u32 = 16;
const JOLIET: u32 = 17;
const TERMINATOR: u32 = 18;
/// Path tables: plain little and big endian, Joliet little and big endian, one sector each.
const PATH_TABLES: u32 = 19;
/// The first sector after the head.
pub const FIRST_FREE: u32 = 23;

const NO_DATE: &[u8; 17] = b"0000000000000000\0";
const DATE: &[u8; 17] = b"1980010100000000\0";

/// Writes everything before the directories.
pub fn write_head(image: &mut [u8], label: &str, tree: &Tree<'_>, sectors: u32) {
    for (naming, sector, tables) in
        [(Naming::RockRidge, PRIMARY, PATH_TABLES), (Naming::Joliet, JOLIET, PATH_TABLES + 2)]
    {
        let (little, big) = (path_table(tree, naming, false), path_table(tree, naming, true));
        // A config drive has three directories; the paths this program makes stay far below a sector.
        assert!(little.len() <= SECTOR, "path table of {} directories", tree.directories.len());
        put(image, sector, &descriptor(label, tree, naming, sectors, little.len() as u32, tables));
        put(image, tables, &little);
        put(image, tables + 1, &big);
    }
    put(image, TERMINATOR, b"\xffCD001\x01");
}

fn descriptor(label: &str, tree: &Tree<'_>, naming: Naming, sectors: u32, table_size: u32, tables: u32) -> Vec<u8> {
    let joliet = naming == Naming::Joliet;
    let mut sector = vec![0; SECTOR];
    let mut at = |offset: usize, bytes: &[u8]| sector[offset..offset + bytes.len()].copy_from_slice(bytes);
    at(0, &[if joliet { 2 } else { 1 }]);
    at(1, b"CD001\x01");
    // Text fields are filled with spaces: two bytes each where names are.
    for (offset, length) in
        [(8, 32), (40, 32), (190, 128), (318, 128), (446, 128), (574, 128), (702, 37), (739, 37), (776, 37)]
    {
        let filled: Vec<u8> = if joliet { [0, b' '].repeat(length / 2) } else { vec![b' '; length] };
        at(offset, &filled);
    }
    at(40, &if joliet { ucs2(label) } else { label.as_bytes().to_vec() });
    at(80, &both32(sectors));
    if joliet {
        at(88, b"%/E");
    }
    at(120, &both16(1));
    at(124, &both16(1));
    at(128, &both16(SECTOR as u16));
    at(132, &both32(table_size));
    at(140, &tables.to_le_bytes());
    at(148, &(tables + 1).to_be_bytes());
    at(156, &root_record(tree, naming));
    at(813, DATE);
    at(830, DATE);
    at(847, NO_DATE);
    at(864, NO_DATE);
    at(881, &[1]);
    sector
}

fn path_table(tree: &Tree<'_>, naming: Naming, big_endian: bool) -> Vec<u8> {
    let mut table = Vec::new();
    for directory in &tree.directories {
        let name = directory_name(&directory.name, naming);
        let (extent, parent) = (directory.extent(naming), directory.parent as u16 + 1);
        table.extend([name.len() as u8, 0]);
        if big_endian {
            table.extend(extent.to_be_bytes());
            table.extend(parent.to_be_bytes());
        } else {
            table.extend(extent.to_le_bytes());
            table.extend(parent.to_le_bytes());
        }
        table.extend(&name);
        if name.len() % 2 == 1 {
            table.push(0);
        }
    }
    table
}
