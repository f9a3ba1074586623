//! `agent inventory`: prints what this machine has, for people or as the wire has it, or what changed since it was saved.
//! Any user, touches nothing.

pub mod diff;
pub mod root_device;

use crate::hardware::{self, Roots, Unread};
use crate::sys::text::clean;
use common::inventory::{Disk, Interface, Inventory};
use serde_json::Value;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// Exactly what is sent to the conductor.
    Json,
}

/// Largest saved inventory: inspection data may carry logs.
const MAX_SAVED: u64 = 64 << 20;

/// Longest cell; firmware may say more than a terminal is wide.
const WIDTH: usize = 48;

/// Prints the inventory of this machine to `out`.
///
/// What could not be read is at the end of the table; with JSON it goes to `notes`, so that `out` has the schema only.
///
/// # Errors
/// Writing failed. A reader that went away (`| head`) is no error.
pub fn inventory_command(format: Format, out: &mut impl Write, notes: &mut impl Write) -> io::Result<()> {
    let (inventory, unread) = hardware::inventory(&Roots::machine());
    match print(format, &inventory, &unread, out, notes) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// Prints what is different from the inventory in `saved`; true if nothing is. `all`: also values that change by
/// themselves from boot to boot, such as addresses.
///
/// # Errors
/// The file is no inventory, or writing failed.
pub fn diff_command(
    saved: &Path,
    format: Format,
    all: bool,
    out: &mut impl Write,
    notes: &mut impl Write,
) -> io::Result<bool> {
    let wrong = |why: String| io::Error::new(ErrorKind::InvalidData, format!("{}: {why}", saved.display()));
    let before = document(saved, MAX_SAVED).and_then(diff::inventory_of).map_err(wrong)?;
    let (inventory, unread) = hardware::inventory(&Roots::machine());
    let differences = diff::differences(&before, &serde_json::to_value(&inventory)?, all);
    unread.iter().try_for_each(|unread| writeln!(notes, "not read: {}: {}", unread.what, unread.why))?;
    let text = match format {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&differences)?),
        Format::Table => differences.iter().map(|difference| format!("{difference}\n")).collect(),
    };
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(differences.is_empty()),
    }
}

/// A JSON file of bounded size.
fn document(path: &Path, limit: u64) -> Result<Value, String> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > limit {
        return Err(format!("it has more than {limit} bytes"));
    }
    serde_json::from_slice(&bytes).map_err(|error| format!("it is no JSON: {error}"))
}

fn print(
    format: Format,
    inventory: &Inventory,
    unread: &[Unread],
    out: &mut impl Write,
    notes: &mut impl Write,
) -> io::Result<()> {
    match format {
        Format::Json => {
            let mut text = serde_json::to_string_pretty(inventory)?;
            text.push('\n');
            out.write_all(text.as_bytes())?; // one write: standard output would flush every line
            out.flush()?;
            unread.iter().try_for_each(|unread| writeln!(notes, "not read: {}: {}", unread.what, unread.why))
        }
        Format::Table => {
            out.write_all(table(inventory, unread).as_bytes())?;
            out.flush()
        }
    }
}

/// The table, as one text.
pub fn table(inventory: &Inventory, unread: &[Unread]) -> String {
    let mut text = String::new();
    let vendor = &inventory.system_vendor;
    let firmware = &vendor.firmware;
    let cpu = &inventory.cpu;
    let memory = &inventory.memory;
    let together = |parts: &[&Option<String>]| {
        let parts = parts.iter().filter_map(|part| part.as_deref()).filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(" ")
    };
    let mhz = cpu.frequency.as_deref().filter(|text| !text.is_empty()).map(|mhz| format!(", {mhz} MHz"));
    let cores = format!("{} in {} socket(s){}", shown(cpu.count), shown(cpu.socket_count), mhz.unwrap_or_default());
    let size = |mib: Option<u64>| mib.map_or("unknown".to_owned(), |mib| human(mib << 20));
    let kept = memory.total.map(|bytes| format!(" ({} usable)", human(bytes))).unwrap_or_default();
    let bmc = match (&inventory.bmc_address, &inventory.bmc_v6address) {
        (None, _) if unread.iter().any(|unread| unread.what.starts_with("/dev/ipmi")) => "there, but not read".into(),
        (None, _) => "none found".to_owned(),
        (v4, v6) => together(&[v4, v6, &inventory.bmc_mac]),
    };
    let facts = [
        ("Machine", together(&[&vendor.manufacturer, &vendor.product_name])),
        ("Serial", together(&[&vendor.serial_number])),
        ("Firmware", together(&[&firmware.vendor, &firmware.version, &firmware.build_date])),
        ("Host name", together(&[&inventory.hostname])),
        ("Processor", together(&[&cpu.model_name, &cpu.architecture])),
        ("Processors", cores),
        ("Memory", format!("{}{kept}", size(memory.physical_mb))),
        ("BMC", bmc),
        ("Boot mode", together(&[&inventory.boot.current_boot_mode])),
        ("Booted from", together(&[&inventory.boot.pxe_interface])),
    ];
    for (name, value) in facts {
        let value = clean(value.as_bytes(), 200);
        text.push_str(&format!("{name:<12} {}\n", if value.is_empty() { "-" } else { &value }));
    }
    let disks = inventory.disks.iter().map(disk_row);
    text.push_str(&grid("DISK SIZE TYPE BUS MODEL SERIAL WWN", disks.collect()));
    let interfaces = inventory.interfaces.iter().map(interface_row);
    text.push_str(&grid("INTERFACE MAC LINK SPEED DRIVER IPV4 IPV6", interfaces.collect()));
    text.push_str(&health(inventory));
    if !unread.is_empty() {
        text.push_str("\nNot read:\n");
        for unread in unread {
            let line = format!("  {}: {}", unread.what, unread.why);
            text.push_str(&format!("  {}\n", clean(line.as_bytes(), 300)));
        }
    }
    text
}

/// A line for each thing that has something to tell about its health, without what it does not know.
fn health(inventory: &Inventory) -> String {
    let Some(Value::Object(parts)) = inventory.other.get(hardware::health::KEY) else { return String::new() };
    let mut text = String::from("\nHealth:\n");
    for (part, list) in parts {
        for one in list.as_array().into_iter().flatten().filter_map(Value::as_object) {
            let known =
                one.iter().filter(|(_, value)| !value.is_null() && !value.as_array().is_some_and(Vec::is_empty));
            let words = known.map(|(key, value)| match value.as_str() {
                Some(word) => format!("{key}={word}"),
                None => format!("{key}={value}"),
            });
            let line = format!("{part}: {}", words.collect::<Vec<_>>().join(" "));
            text.push_str(&format!("  {}\n", clean(line.as_bytes(), 400)));
        }
    }
    text
}

fn disk_row(disk: &Disk) -> Vec<String> {
    let kind = match disk.rotational {
        Some(true) => "spinning",
        Some(false) => "solid",
        None => "",
    };
    let of = |text: &Option<String>| text.clone().unwrap_or_default();
    let size = human(disk.size);
    vec![disk.name.clone(), size, kind.into(), of(&disk.tran), of(&disk.model), of(&disk.serial), of(&disk.wwn)]
}

fn interface_row(nic: &Interface) -> Vec<String> {
    let of = |text: &Option<String>| text.clone().unwrap_or_default();
    let link = if nic.has_carrier == Some(true) { "up" } else { "down" };
    let speed = nic.speed_mbps.map(|speed| format!("{speed} Mb/s")).unwrap_or_default();
    let (v4, v6) = (of(&nic.ipv4_address), of(&nic.ipv6_address));
    vec![nic.name.clone(), of(&nic.mac_address), link.into(), speed, of(&nic.driver), v4, v6]
}

/// Columns as wide as their widest cell; empty cells are a dash.
fn grid(titles: &str, rows: Vec<Vec<String>>) -> String {
    let titles: Vec<String> = titles.split(' ').map(str::to_owned).collect();
    if rows.is_empty() {
        return format!("\n{}: none found\n", titles.first().map(String::as_str).unwrap_or_default());
    }
    let cell = |text: String| match clean(text.as_bytes(), WIDTH) {
        text if text.is_empty() => "-".to_owned(),
        text => text,
    };
    let rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.into_iter().map(cell).collect()).collect();
    let all = || std::iter::once(&titles).chain(&rows);
    let width = |at: usize| all().filter_map(|row| row.get(at)).map(|text| text.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let mut text = String::from("\n");
    for row in all() {
        let line: String = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}  ")).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn shown(number: Option<u64>) -> String {
    number.map_or("?".into(), |number| number.to_string())
}

/// Bytes in the largest binary unit that keeps them above one.
fn human(bytes: u64) -> String {
    let units = [(1u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Format, diff_command, human, inventory_command, print, table};
    use crate::hardware::Unread;
    use common::inventory::{Disk, Interface, Inventory};

    fn example() -> (Inventory, Vec<Unread>) {
        let disk =
            Disk { name: "/dev/sda".into(), size: 480_103_981_056, model: Some("A\x1b[2J".into()), ..Disk::default() };
        let nic = Interface { name: "eno1".into(), has_carrier: Some(true), ..Interface::default() };
        let inventory = Inventory { disks: vec![disk], interfaces: vec![nic], ..Inventory::default() };
        (inventory, vec![Unread { what: "/dev/ipmi0".into(), why: "permission\x07 denied".into() }])
    }

    #[test]
    fn the_table_tells_what_it_could_not_read_and_obeys_no_escape() {
        let (inventory, unread) = example();
        let text = table(&inventory, &unread);
        assert!(text.contains("/dev/sda") && text.contains("447.1 GiB") && text.contains("A[2J"), "{text}");
        assert!(text.contains("Not read:\n  /dev/ipmi0: permission denied\n"), "{text}");
        assert!(text.contains("BMC          there, but not read\n"), "{text}");
        assert!(!text.chars().any(|character| character.is_control() && character != '\n'));
        let mut sick = inventory;
        let disk = serde_json::json!({"name": "/dev/sda", "passed": false, "temperature_celsius": null});
        sick.other.insert("health".into(), serde_json::json!({"disks": [disk]}));
        let text = table(&sick, &[]);
        assert!(text.contains("Health:\n  disks: name=/dev/sda passed=false\n"), "{text}");
        let empty = table(&Inventory::default(), &[]);
        assert!(empty.contains("DISK: none found") && !empty.contains("Not read"), "{empty}");
    }

    #[test]
    fn json_goes_out_alone_and_notes_go_elsewhere() {
        let (inventory, unread) = example();
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        print(Format::Json, &inventory, &unread, &mut out, &mut notes).unwrap();
        assert_eq!(serde_json::from_slice::<Inventory>(&out).unwrap(), inventory);
        assert!(String::from_utf8(notes).unwrap().starts_with("not read: /dev/ipmi0"));
    }

    struct Gone;

    impl std::io::Write for Gone {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        for format in [Format::Json, Format::Table] {
            inventory_command(format, &mut Gone, &mut Vec::new()).unwrap();
        }
    }

    #[test]
    fn this_machine_does_not_differ_from_itself() {
        let mut saved = tempfile::NamedTempFile::new().unwrap();
        inventory_command(Format::Json, &mut saved, &mut Vec::new()).unwrap();
        let mut out = Vec::new();
        let same = diff_command(saved.path(), Format::Table, false, &mut out, &mut Vec::new()).unwrap();
        assert!(same, "{}", String::from_utf8_lossy(&out));
        std::fs::write(saved.path(), r#"{"interfaces": [], "cpu": {"count": 9999}}"#).unwrap();
        assert!(!diff_command(saved.path(), Format::Json, false, &mut out, &mut Vec::new()).unwrap());
        let list: Vec<serde_json::Value> = serde_json::from_slice(&out).unwrap();
        assert!(list.iter().any(|one| one["path"] == "cpu.count" && one["saved"] == 9999), "{list:?}");
        for bad in ["", "[]", "{\"x\": 1}"] {
            std::fs::write(saved.path(), bad).unwrap();
            assert!(
                diff_command(saved.path(), Format::Json, false, &mut Vec::new(), &mut Vec::new()).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn sizes_are_readable() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB"), (u64::MAX, "16777215.9 TiB")]
        {
            assert_eq!(human(bytes), text);
        }
    }
}
