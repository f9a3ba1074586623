//! Leases on disk: one JSON file, replaced whole, so that a restart gives every machine its old address.

use super::lease::{Lease, LeaseBook};
use common::mac::Mac;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// 65,536 leases need less.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Line {
    mac: Mac,
    address: Ipv4Addr,
    until: u64,
}

/// The file.
#[derive(Clone, Debug)]
pub struct LeaseFile(PathBuf);

impl LeaseFile {
    /// `dhcp-leases.json` in the data directory.
    pub fn below(data_dir: &Path) -> Self {
        Self(data_dir.join("dhcp-leases.json"))
    }

    /// Fills the book. A missing file is an empty one; a damaged one is said and left out: clients keep their addresses
    /// and are recognised when they renew.
    pub fn load(&self, book: &mut LeaseBook) {
        let lines = match self.read() {
            Ok(lines) => lines,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                tracing::warn!(file = %self.0.display(), %error, "the DHCP lease file cannot be read; starting without");
                return;
            }
        };
        for line in lines {
            book.restore(line.mac, line.address, line.until);
        }
    }

    fn read(&self) -> io::Result<Vec<Line>> {
        let mut text = String::new();
        File::open(&self.0)?.take(MAX_BYTES).read_to_string(&mut text)?;
        serde_json::from_str(&text).map_err(io::Error::other)
    }

    /// Writes all leases: beside, then in place.
    pub fn save(&self, leases: &[(Mac, Lease)]) -> io::Result<()> {
        let lines: Vec<Line> =
            leases.iter().map(|&(mac, lease)| Line { mac, address: lease.address, until: lease.until }).collect();
        let part = self.0.with_extension("part");
        let mut file = File::create(&part)?;
        file.write_all(&serde_json::to_vec(&lines)?)?;
        file.sync_data()?;
        std::fs::rename(&part, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::dhcp::pool::Pool;

    const MAC: Mac = Mac([0x52, 0x54, 0, 0, 0, 1]);

    fn book() -> LeaseBook {
        let ip = |last| Ipv4Addr::new(10, 0, 0, last);
        LeaseBook::new(Pool::new(ip(100), ip(110), ip(1), Ipv4Addr::new(255, 255, 255, 0), &[]).unwrap())
    }

    #[test]
    fn leases_come_back_after_a_restart_and_damage_is_survived() {
        let folder = tempfile::tempdir().unwrap();
        let file = LeaseFile::below(folder.path());
        let mut before = book();
        file.load(&mut before);
        let address = before.offer(MAC, None, 0).unwrap();
        before.bind(MAC, address, 0, 600);
        file.save(&before.bound().collect::<Vec<_>>()).unwrap();
        let mut after = book();
        file.load(&mut after);
        assert_eq!(after.address_of(MAC, 10), Some(address));
        std::fs::write(folder.path().join("dhcp-leases.json"), b"[{\"mac\":").unwrap();
        file.load(&mut book());
    }
}
