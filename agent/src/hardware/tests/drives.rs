//! What real drives say about themselves (`tests/fixtures/drives`), against what smartctl says of the same drives.

use crate::hardware::health::disk::ask;
use crate::sys::orders::{AdminOrder, AdminReply, Data, Dialect, Orders, ScsiReply};
use serde_json::Value;
use std::io;
use std::time::Duration;

const DRIVES: &str = include_str!("../../../../tests/fixtures/drives/drives.json");

/// A drive of the list, its pages laid out as the standards say.
struct Drive(Value);

impl Drive {
    /// ACS-3, SMART READ DATA: thirty rows of twelve bytes, and a checksum.
    fn smart(&self) -> [u8; 512] {
        let mut page = [0; 512];
        page[0] = 16;
        for (row, place) in self.0["attributes"].as_array().unwrap().iter().zip(page[2..362].chunks_exact_mut(12)) {
            let cell = |at: usize| row[at].as_u64().unwrap().to_le_bytes();
            place[0] = cell(0)[0];
            place[1..3].copy_from_slice(&cell(1)[..2]);
            (place[3], place[4]) = (cell(2)[0], cell(3)[0]);
            place[5..12].copy_from_slice(&cell(4)[..7]);
        }
        page[511] = page.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg();
        page
    }

    /// NVMe base specification, log page 02h.
    fn health_log(&self) -> [u8; 512] {
        let mut page = [0; 512];
        let of = |name: &str| self.0["health"][name].as_u64().unwrap_or_default();
        page[0] = of("critical_warning") as u8;
        page[1..3].copy_from_slice(&(of("temperature") as u16 + 273).to_le_bytes());
        for (at, name) in [(3, "available_spare"), (4, "available_spare_threshold"), (5, "percentage_used")] {
            page[at] = of(name) as u8;
        }
        let counters = [
            "data_units_read",
            "data_units_written",
            "host_reads",
            "host_writes",
            "controller_busy_time",
            "power_cycles",
            "power_on_hours",
            "unsafe_shutdowns",
            "media_errors",
            "num_err_log_entries",
        ];
        for (name, place) in counters.iter().zip(page[32..192].chunks_exact_mut(16)) {
            place[..8].copy_from_slice(&of(name).to_le_bytes());
        }
        page
    }

    /// SPC-5, log page 0Dh; the page of exceptions is not there.
    fn temperature_page(&self) -> [u8; 16] {
        let byte = |value: &Value| value.as_u64().unwrap() as u8;
        let (now, trip) = (byte(&self.0["says"]["temperature_celsius"]), byte(&self.0["trip"]));
        [0x0d, 0, 0, 12, 0, 0, 3, 2, 0, now, 0, 1, 3, 2, 0, trip]
    }
}

fn filled(place: &mut [u8], page: &[u8]) -> io::Result<ScsiReply> {
    let length = place.len().min(page.len());
    place[..length].copy_from_slice(&page[..length]);
    Ok(ScsiReply { transferred: length, ..Default::default() })
}

impl Orders for Drive {
    fn scsi(&self, command: &[u8], data: Data<'_>, _: Duration) -> io::Result<ScsiReply> {
        let is_ata = !self.0["attributes"].is_null();
        match (command, data) {
            ([0x85, _, _, _, 0xd0, ..], Data::In(place)) if is_ata => filled(place, &self.smart()),
            ([0x85, _, _, _, 0xda, ..], Data::None) if is_ata => {
                let mut sense = vec![0x72, 1, 0, 0x1d, 0, 0, 0, 14, 0x09, 12];
                sense.resize(22, 0);
                (sense[17], sense[19]) = if self.0["says"]["passed"] == true { (0x4f, 0xc2) } else { (0xf4, 0x2c) };
                Ok(ScsiReply { status: 2, sense, transferred: 0 })
            }
            ([0x4d, _, 0x4d, ..], Data::In(place)) if !is_ata => filled(place, &self.temperature_page()),
            // "Invalid field in the command": a page that the disk does not have.
            _ => Ok(ScsiReply { status: 2, sense: vec![0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x24], transferred: 0 }),
        }
    }

    fn admin(&self, order: &AdminOrder, data: &mut [u8]) -> io::Result<AdminReply> {
        assert_eq!((order.opcode, order.cdw10 & 0xff), (2, 2));
        data.copy_from_slice(&self.health_log());
        Ok(AdminReply::default())
    }

    fn namespace(&self) -> io::Result<u32> {
        Ok(1)
    }
}

#[test]
fn drives_are_as_hot_as_old_and_as_sick_as_smartctl_says() {
    let drives: Vec<Value> = serde_json::from_str(DRIVES).unwrap();
    let mut kinds = [0; 3];
    for drive in drives {
        let (model, says) = (drive["model"].clone(), drive["says"].clone());
        let (kind, dialect, is_ata) = match (drive["attributes"].is_null(), drive["health"].is_null()) {
            (false, _) => (0, Dialect::Scsi, true),
            (true, false) => (1, Dialect::Nvme, false),
            (true, true) => (2, Dialect::Scsi, false),
        };
        kinds[kind] += 1;
        let told = ask(&Drive(drive), dialect, is_ata).unwrap_or_else(|| panic!("{model} says nothing"));
        for (key, value) in says.as_object().unwrap() {
            assert_eq!(told.get(key), Some(value), "{key} of {model}");
        }
    }
    assert!(kinds.iter().zip([20, 8, 3]).all(|(count, least)| *count >= least), "{kinds:?}");
}
