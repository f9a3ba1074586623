//! The log bundle: what someone needs to understand a failed deploy, as one base64 text of a tar.gz.
//!
//! Reads only. Secret-looking values are masked in every file, and the whole is bounded. Files have the reference's names
//! (ipa-features 24), whether a program of the ramdisk or the agent itself tells what is in them; `programs` lists which
//! programs were run for the bundle and which are missing, `commands` those that the agent ran for its work.

mod listing;
mod programs;

use crate::disk::nvram;
use crate::hardware;
use crate::sys::command_log;
use crate::sys::efivars::EfiVariables;
use crate::sys::log_ring::LogRing;
use crate::sys::mask::mask_secrets;
use crate::sys::sysfs::{Roots, Unread};
use crate::sys::text::clean_lines;
use crate::sys::{disk_list, kernel_log};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes of all files together, before compression: incompressible noise still stays below 8 MiB.
const TOTAL: usize = 7 << 20;
/// Bytes of our own log, of the kernel's, and of any other file.
const OWN_LOG: usize = 2 << 20;
const KERNEL_LOG: usize = 1 << 20;
const COMMANDS: usize = 256 * 1024;
const FILE: usize = 256 * 1024;
/// Of a program's output; each has its own limit below this.
const PROGRAM: usize = 2 << 20;

/// Files of `/proc` and `/sys` worth a copy.
const COPIES: [(&str, &str); 12] = [
    ("cmdline", "/proc/cmdline"),
    ("mount", "/proc/mounts"),
    ("partitions", "/proc/partitions"),
    ("mdstat", "/proc/mdstat"),
    ("meminfo", "/proc/meminfo"),
    ("modules", "/proc/modules"),
    ("swaps", "/proc/swaps"),
    ("uptime", "/proc/uptime"),
    ("version", "/proc/version"),
    ("net_route", "/proc/net/route"),
    ("net_ipv6_route", "/proc/net/ipv6_route"),
    ("resolv.conf", "/etc/resolv.conf"),
];

/// The bundle of this machine; `beside` a step at work without what would open its disks. Blocks, for half a minute at most; never fails: what cannot be had is told in the file.
pub fn collect_system_logs(beside: bool) -> String {
    let archive = bundle(&Roots::machine(), &LogRing::of_this_process(), beside);
    STANDARD.encode(archive.unwrap_or_else(|error| {
        tracing::warn!(%error, "no log bundle");
        Vec::new()
    }))
}

/// The tar.gz itself.
///
/// # Errors
/// None that memory does not give.
pub fn bundle(roots: &Roots, own: &LogRing, beside: bool) -> io::Result<Vec<u8>> {
    let mut archive = Archive::new();
    archive.add("agent.log", &own.contents(), OWN_LOG)?;
    match kernel_log::read(KERNEL_LOG) {
        Ok(messages) => archive.add("dmesg", &messages, KERNEL_LOG)?,
        Err(error) => archive.add("dmesg", format!("not readable: {error}\n").as_bytes(), FILE)?,
    }
    let (inventory, unread) = hardware::inventory(roots);
    let notes: String = unread.iter().map(|unread| format!("{}: {}\n", unread.what, unread.why)).collect();
    archive.add("inventory.json", &serde_json::to_vec_pretty(&inventory)?, FILE)?;
    archive.add("inventory-unread", notes.as_bytes(), FILE)?;
    archive.add("commands", &command_log::of_this_process().contents(), COMMANDS)?;
    add_programs(&mut archive, roots, beside)?;
    archive.add("parted", listing::partitions(roots).as_bytes(), FILE)?;
    archive.add("ps", listing::processes(roots).as_bytes(), FILE)?;
    archive.add("efi-variables", roots.entries("/sys/firmware/efi/efivars").join("\n").as_bytes(), FILE)?;
    for (name, path) in COPIES {
        archive.add_read(name, roots.bytes(path, FILE))?;
    }
    for disk in disk_list::list(roots) {
        archive.add(&format!("udev/{}", disk.kernel_name), &serde_json::to_vec_pretty(&disk.udev)?, FILE)?;
    }
    for name in roots.entries("/var/log").into_iter().filter(|name| !name.starts_with('.')) {
        archive.add_read(&format!("var/log/{name}"), roots.tail(format!("/var/log/{name}"), FILE))?;
    }
    archive.finish()
}

/// What programs say; for those that are not in this ramdisk, what the agent sees by itself.
fn add_programs(archive: &mut Archive, roots: &Roots, beside: bool) -> io::Result<()> {
    let own = |file: &str| match file {
        "lsblk" => Some(listing::block_devices(roots)),
        "ip_addr" => Some(listing::addresses()),
        "efibootmgr" => {
            Some(nvram::listing(&EfiVariables::at(&roots.path("/sys/firmware/efi/efivars"))).unwrap_or_default())
        }
        _ => None,
    };
    let arrays: Vec<String> = roots
        .entries("/sys/block")
        .into_iter()
        .filter(|name| roots.exists(format!("/sys/block/{name}/md")) && !name.contains('!'))
        .collect();
    let orders = programs::orders(&arrays, false);
    // Programs tell of the running machine only; a captured tree has its files.
    let ran = if roots.is_machine() { programs::run(&programs::orders(&arrays, beside)) } else { Vec::new() };
    let mut list = ran.iter().map(|ran| format!("{} ({}): {}\n", ran.file, ran.program, ran.ended)).collect::<String>();
    if beside {
        list.push_str("A step is at work: programs that open disks were not run.\n");
    }
    archive.add("programs", list.as_bytes(), FILE)?;
    for order in &orders {
        let ran = ran.iter().find(|ran| ran.file == order.file);
        let text = match (ran.and_then(|ran| ran.output.clone()), own(&order.file)) {
            (Some(text), _) => text,
            (None, Some(own)) => own,
            (None, None) => {
                ran.map(|ran| format!("not collected: `{}`: {}\n", ran.program, ran.ended)).unwrap_or_default()
            }
        };
        archive.add(&order.file, text.as_bytes(), PROGRAM)?;
    }
    Ok(())
}

/// A tar.gz being written, with what is left of the total.
struct Archive {
    tar: tar::Builder<GzEncoder<Vec<u8>>>,
    left: usize,
    time: u64,
}

impl Archive {
    fn new() -> Archive {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        Archive { tar: tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default())), left: TOTAL, time }
    }

    /// Adds the end of `content`, cleaned and masked; empty files are left out.
    fn add(&mut self, name: &str, content: &[u8], limit: usize) -> io::Result<()> {
        let limit = limit.min(self.left);
        let tail = content.get(content.len().saturating_sub(limit)..).unwrap_or_default();
        let text = mask_secrets(&clean_lines(tail, limit));
        if text.trim().is_empty() {
            return Ok(());
        }
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(self.time);
        self.left = self.left.saturating_sub(text.len() + 1024);
        self.tar.append_data(&mut header, safe_name(name), text.as_bytes())
    }

    fn add_read(&mut self, name: &str, read: Result<Option<Vec<u8>>, Unread>) -> io::Result<()> {
        match read {
            Ok(Some(content)) => self.add(name, &content, FILE),
            Ok(None) => Ok(()),
            Err(refused) => self.add(name, format!("not readable: {}\n", refused.why).as_bytes(), FILE),
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        let mut gzip = self.tar.into_inner()?;
        gzip.flush()?;
        gzip.finish()
    }
}

/// A name that cannot leave the folder where someone unpacks it, whatever the kernel calls its devices.
fn safe_name(name: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:+".contains(character);
    let name: String = name.chars().take(90).map(|c| if plain(c) { c } else { '_' }).collect();
    name.split('/').map(|part| if part.trim_matches('.').is_empty() { "_" } else { part }).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::{TOTAL, bundle, safe_name};
    use crate::sys::child::Program;
    use crate::sys::log_ring::LogRing;
    use crate::sys::sysfs::Roots;
    use crate::sys::test_tree::TestTree;
    use std::collections::BTreeMap;
    use std::io::{Read, Write};

    fn unpack(archive: &[u8]) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(flate2::read::GzDecoder::new(archive)).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            files.insert(name, text);
        }
        files
    }

    #[test]
    fn the_bundle_tells_of_the_machine_and_of_us_without_secrets() {
        let tree = TestTree::new();
        tree.file("proc/cmdline", "ipa-api-url=http://192.0.2.1 ipa-agent-token=SESAME BOOTIF=01-52\n");
        tree.file("proc/mounts", "rootfs / rootfs rw 0 0\n").file("proc/mdstat", "Personalities :\n");
        let sda = tree.disk("sda", "8:0", 5, "sys/devices/pci/host0");
        tree.file(&format!("{sda}/sda1/partition"), "1\n").file(&format!("{sda}/sda1/start"), "2048\n");
        tree.file("run/udev/data/b8:0", "E:ID_SERIAL=S5SU\n");
        tree.file("var/log/messages", "hello\x1b[2J\n").folder("var/log/journal");
        tree.folder("sys/firmware/efi/efivars/Boot0001-8be4df61");
        let own = LogRing::new(1000);
        writeln!(own.clone(), "INFO heartbeat agent_token=SESAME").unwrap();
        let archive = bundle(&tree.roots(), &own, false).unwrap();
        let files = unpack(&archive);
        assert!(!files.values().any(|text| text.contains("SESAME")), "{files:?}");
        assert!(files["cmdline"].contains("ipa-agent-token=******") && files["cmdline"].contains("BOOTIF=01-52"));
        assert!(files["agent.log"].contains("heartbeat"));
        assert!(files["udev/sda"].contains("S5SU") && files["lsblk"].contains("sda"));
        assert_eq!(files["var/log/messages"].trim_end(), "hello[2J");
        assert!(files["efi-variables"].contains("Boot0001") && files["inventory.json"].contains("/dev/sda"));
        assert!(
            files["parted"].contains("sda1") && !files.contains_key("programs"),
            "no program tells of a captured tree"
        );
        assert!(files.contains_key("dmesg") && files.contains_key("mount") && files.contains_key("mdstat"));
    }

    #[test]
    fn endless_noise_stays_below_the_limit() {
        let tree = TestTree::new();
        let mut state = 1u64;
        let mut noise = vec![0u8; 300_000];
        for byte in &mut noise {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = b' ' + (state >> 58) as u8;
        }
        for number in 0..60 {
            tree.file(&format!("var/log/noise{number}"), &noise);
        }
        let archive = bundle(&tree.roots(), &LogRing::new(10), false).unwrap();
        let kept: usize = unpack(&archive).values().map(String::len).sum();
        assert!(kept <= TOTAL && kept > TOTAL / 2 && archive.len() < 8 << 20, "{kept} in {}", archive.len());
    }

    #[test]
    fn names_stay_inside() {
        assert_eq!(safe_name("udev/../../etc/x"), "udev/_/_/etc/x");
        assert_eq!(safe_name("/abs\u{7}olute"), "_/abs_olute");
    }

    #[test]
    fn this_machine_gives_a_bundle() {
        Program::new("true").args(["--for", "the-bundle"]).run().unwrap();
        let files = unpack(&bundle(&Roots::machine(), &LogRing::new(10), true).unwrap());
        assert!(files.contains_key("mount") && files["ip_addr"].contains("127.0.0.1"), "{:?}", files.keys());
        assert!(files["ps"].lines().count() > 1);
        for name in ["df", "iptables", "ip_addr", "journal"] {
            assert!(files.contains_key(name), "{name} is in the bundle, or says why it is not: {:?}", files.keys());
            assert!(files["programs"].contains(&format!("{name} (")), "{}", files["programs"]);
        }
        assert!(files["lsblk"].starts_with("NAME MAJ:MIN"), "beside a step it is read from /sys");
        assert!(!files["programs"].contains("lshw") && files["programs"].contains("A step is at work"));
        assert!(files["df"].contains("/proc") && files["commands"].contains("  true --for the-bundle\n"), "{files:?}");
    }
}
