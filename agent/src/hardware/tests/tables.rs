//! SMBIOS tables made in code.

/// Tables being written.
#[derive(Default)]
pub struct Tables {
    bytes: Vec<u8>,
    handle: u16,
}

impl Tables {
    /// Appends a structure: `fields` are the bytes after the header. Returns its handle.
    pub fn add(&mut self, kind: u8, fields: &[u8], strings: &[&[u8]]) -> u16 {
        let handle = self.handle;
        self.handle += 1;
        self.bytes.extend([kind, u8::try_from(fields.len() + 4).unwrap()]);
        self.bytes.extend(handle.to_le_bytes());
        self.bytes.extend(fields);
        for string in strings {
            self.bytes.extend(*string);
            self.bytes.push(0);
        }
        self.bytes.extend(if strings.is_empty() { &[0u8, 0][..] } else { &[0u8][..] });
        handle
    }

    /// The whole, with its end.
    pub fn bytes(mut self) -> Vec<u8> {
        self.add(127, &[], &[]);
        self.bytes
    }
}

/// A memory device: array, size field, extended size.
fn memory(array: u16, size: u16, extended: u32) -> Vec<u8> {
    let mut fields = vec![0; 0x24];
    fields[0x00..0x02].copy_from_slice(&array.to_le_bytes());
    fields[0x08..0x0a].copy_from_slice(&size.to_le_bytes());
    fields[0x18..0x1c].copy_from_slice(&extended.to_le_bytes());
    fields
}

/// A server with two processors in three sockets and 80 GiB.
pub fn example() -> Vec<u8> {
    let mut tables = Tables::default();
    let mut bios = vec![0; 14];
    (bios[0], bios[1], bios[4]) = (1, 2, 3);
    tables.add(0, &bios, &[b"Dell Inc.", b"1.12.1", b"09/22/2023"]);
    let mut system = vec![0; 23];
    (system[0], system[1], system[3]) = (1, 2, 3);
    tables.add(1, &system, &[b"Dell Inc.", b"PowerEdge R650", b"7XK3QP3"]);
    for populated in [0x41, 0x41, 0x00] {
        let mut socket = vec![0; 0x2c];
        (socket[0x0c], socket[0x14]) = (1, populated);
        tables.add(4, &socket, &[b"Intel(R) Xeon(R) Silver 4314 CPU @ 2.40GHz"]);
    }
    let array = |usage: u8| {
        let mut fields = vec![0; 11];
        fields[1] = usage;
        fields
    };
    let main = tables.add(16, &array(3), &[]);
    let flash = tables.add(16, &array(4), &[]);
    tables.add(17, &memory(main, 16 * 1024, 0), &[b"DIMM A1"]);
    tables.add(17, &memory(main, 0x7fff, 64 * 1024), &[]);
    tables.add(17, &memory(main, 0x8000 | 512, 0), &[]);
    tables.add(17, &memory(main, 0, 0), &[]);
    tables.add(17, &memory(main, 0xffff, 0), &[]);
    tables.add(17, &memory(flash, 16, 0), &[]);
    tables.bytes()
}
