//! The firmware's boot entries for people, as `efibootmgr -v` shows them: for the log bundle of a ramdisk without that program.

use super::entries;
use crate::disk::boot_option::order;
use crate::sys::efivars::EfiVariables;
use crate::sys::text::clean;
use std::fmt::Write;
use std::io;

/// Most entries shown, and most characters of one path.
const MOST: usize = 512;
const LONGEST: usize = 1024;

/// Current entry, next one, time-out, order, and every entry with its label and path.
///
/// # Errors
/// The folder of variables cannot be read: not booted by UEFI, or not mounted.
pub fn listing(variables: &EfiVariables) -> io::Result<String> {
    let numbers = |name: &str| variables.read(name).ok().flatten().map(|value| order(&value)).unwrap_or_default();
    let entries = entries(variables)?;
    let mut text = String::new();
    for name in ["BootCurrent", "BootNext"] {
        if let Some(number) = numbers(name).first() {
            let _ = writeln!(text, "{name}: {number:04X}");
        }
    }
    if let Some(seconds) = numbers("Timeout").first() {
        let _ = writeln!(text, "Timeout: {seconds} seconds");
    }
    let order: Vec<String> = numbers("BootOrder").iter().take(MOST).map(|number| format!("{number:04X}")).collect();
    let _ = writeln!(text, "BootOrder: {}", order.join(","));
    for entry in entries.iter().take(MOST) {
        let active = entry.value.as_deref().and_then(<[u8]>::first).is_some_and(|attributes| attributes & 1 == 1);
        let mark = if active { '*' } else { ' ' };
        let label = clean(entry.label().unwrap_or_default().as_bytes(), LONGEST);
        let path = clean(entry.shown().unwrap_or_default().as_bytes(), LONGEST);
        let _ = writeln!(text, "Boot{:04X}{mark} {label}\t{path}", entry.number);
    }
    Ok(text)
}
