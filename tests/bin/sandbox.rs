//! Runs a program that writes disks where it cannot hurt the machine: the real ironic-python-agent, or ours.
//!
//! Started by `harness::peers::sandbox` inside fresh mount, pid, uts and network namespaces. What the program sees: a
//! `/dev` with nothing but loop devices, the partitions of those that were named, and the harmless nodes; a root file
//! system that is read-only; tmpfs on `/run`, `/mnt`, `/var/tmp`, `/var/log` and its scratch folder; programs for power, and
//! for containers unless `--containers real` was said, that only note the call; no `sysrq-trigger`; no capability to make
//! device nodes, reboot, set the clock or load modules. Two folders outlast it: `etc` below its working folder, and, on a
//! machine with UEFI, the firmware's variables. The real agent falls back to sysrq when a power program fails, so it must
//! never run outside.

mod sandbox_containers;
mod sandbox_devices;

use nix::mount::{MsFlags, mount};
use std::fs;
use std::io::{BufRead, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs that must only be noted: those that end a machine or set its clock.
const NOTED: &[&str] = &["reboot", "poweroff", "shutdown", "halt", "systemctl", "hwclock", "chronyc", "ntpdate"];
/// Those that run containers, which this machine may have: noted, too, unless a story wants the real ones.
const RUNNERS: &[&str] = &["podman", "docker"];
const CAPABILITIES: &str = "-mknod,-sys_boot,-sys_time,-sys_module";

/// Shows only the named devices, and calls them disks, as a ramdisk would find them.
const LSBLK: &str = r#"#!/usr/bin/python3 -S
import json, os, subprocess, sys
allow = set(os.environ["SANDBOX_DISKS"].split())
done = subprocess.run(["/bin/lsblk"] + sys.argv[1:], capture_output=True, text=True)
out = done.stdout
if "--json" in sys.argv or "-J" in sys.argv:
    doc = json.loads(out or '{"blockdevices":[]}')
    keep = []
    for item in doc["blockdevices"]:
        base = item.get("kname") or item.get("name")
        # Without a name it was asked for one device of /dev, where only ours are.
        if base is None or base in allow:
            if item.get("type") == "loop":
                item["type"] = "disk"
            item.setdefault("model", None)
            keep.append(item)
        elif any(base.startswith(name + "p") for name in allow):
            keep.append(item)
    doc["blockdevices"] = keep
    out = json.dumps(doc)
sys.stdout.write(out); sys.stderr.write(done.stderr); sys.exit(done.returncode)
"#;

fn main() {
    let mut args = std::env::args().skip(1);
    let value = |name: &str, args: &mut dyn Iterator<Item = String>| {
        let given = args.next();
        assert_eq!(
            given.as_deref(),
            Some(name),
            "usage: sandbox --disks 'A B' --mac MAC --scratch DIR --keeps DIR --firmware bios|uefi \
             --containers noted|real -- PROGRAM ARGS"
        );
        args.next().unwrap_or_default()
    };
    let disks: Vec<PathBuf> = value("--disks", &mut args).split_whitespace().map(PathBuf::from).collect();
    let mac = value("--mac", &mut args);
    let scratch = PathBuf::from(value("--scratch", &mut args));
    let keeps = PathBuf::from(value("--keeps", &mut args));
    let uefi = value("--firmware", &mut args) == "uefi";
    let containers = value("--containers", &mut args) == "real";
    assert_eq!(args.next().as_deref(), Some("--"));
    for disk in &disks {
        let name = disk.to_string_lossy();
        assert!(
            name.strip_prefix("/dev/loop").is_some_and(|rest| rest.parse::<u32>().is_ok()),
            "{name} is no loop device"
        );
    }
    // The network cable is plugged in by the parent, which needs this process to exist first.
    println!("ready");
    std::io::stdout().flush().expect("the parent reads");
    std::io::stdin().lock().read_line(&mut String::new()).expect("the parent says go");
    prepare(&disks, &mac, &scratch);
    if containers {
        sandbox_containers::lay();
    } else {
        note(RUNNERS, &scratch);
    }
    bind(&keeps.join("etc"), &scratch.join("tmp/etc"));
    firmware(&keeps.join("efivars"), uefi);
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).expect("the root file system becomes read-only");
    check();
    let program: Vec<String> = args.collect();
    let mut command = Command::new("setpriv");
    command.args([format!("--bounding-set={CAPABILITIES}"), format!("--inh-caps={CAPABILITIES}")]).args(&program);
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", scratch.join("bin").display());
    command.env("PATH", path).env("TMPDIR", scratch.join("tmp")).env("HOME", scratch.join("tmp"));
    command.env("SANDBOX_DISKS", names(&disks).join(" ")).current_dir(scratch.join("tmp"));
    panic!("{program:?} was not started: {}", command.exec());
}

fn names(disks: &[PathBuf]) -> Vec<String> {
    disks.iter().filter_map(|disk| Some(disk.file_name()?.to_string_lossy().into_owned())).collect()
}

fn put(kind: &str, on: &Path, options: &str) {
    fs::create_dir_all(on).unwrap_or_else(|error| panic!("{}: {error}", on.display()));
    mount(Some(kind), on, Some(kind), MsFlags::empty(), Some(options).filter(|text| !text.is_empty()))
        .unwrap_or_else(|error| panic!("mount {kind} on {}: {error}", on.display()));
}

fn bind(from: &Path, on: &Path) {
    mount(Some(from), on, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .unwrap_or_else(|error| panic!("bind {} on {}: {error}", from.display(), on.display()));
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).expect("a shim");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a shim's mode");
}

/// Stand-ins that are found before the real programs.
fn note(programs: &[&str], scratch: &Path) {
    for name in programs {
        let log = scratch.join("tmp/calls.log");
        script(
            &scratch.join("bin").join(name),
            &format!("#!/bin/sh\necho \"called: {name} $*\" | tee -a {} >&2\n", log.display()),
        );
    }
}

fn prepare(disks: &[PathBuf], mac: &str, scratch: &Path) {
    put("tmpfs", scratch, "size=6g");
    for folder in ["bin", "tmp/etc", "run", "dev", "block", "net/eth0", "pci/0000:00:05.0", "pci/drivers/virtio_net"] {
        fs::create_dir_all(scratch.join(folder)).expect("scratch folders");
    }
    let dev = scratch.join("dev");
    sandbox_devices::lay(&dev, &names(disks));
    note(NOTED, scratch);
    script(&scratch.join("bin/lsblk"), LSBLK);
    // Our agent looks for programs in the usual folders only, here first.
    bind(&scratch.join("bin"), Path::new("/usr/local/sbin"));
    put("proc", Path::new("/proc"), "");
    put("sysfs", Path::new("/sys"), "");
    for name in names(disks) {
        symlink(format!("../devices/virtual/block/{name}"), scratch.join("block").join(&name)).expect("block link");
    }
    nic(mac, scratch);
    bind(&scratch.join("block"), Path::new("/sys/block"));
    bind(&scratch.join("net"), Path::new("/sys/class/net"));
    bind(&dev, Path::new("/dev"));
    bind(&scratch.join("run"), Path::new("/run"));
    for folder in ["/var/tmp", "/var/log", "/mnt"] {
        put("tmpfs", Path::new(folder), "");
    }
    if Path::new("/proc/sysrq-trigger").exists() {
        bind(Path::new("/dev/null"), Path::new("/proc/sysrq-trigger"));
    }
}

/// This machine's firmware is not the sandbox's.
fn firmware(variables: &Path, uefi: bool) {
    let place = Path::new("/sys/firmware");
    put("tmpfs", place, "");
    if uefi {
        let inside = place.join("efi/efivars");
        fs::create_dir_all(&inside).expect("a place for the variables");
        fs::write(place.join("efi/fw_platform_size"), "64\n").expect("a fact of the firmware");
        bind(variables, &inside);
    }
}

/// The real agent lists only NICs with a `device` link, which one end of a veth pair does not have.
fn nic(mac: &str, scratch: &Path) {
    let eth0 = scratch.join("net/eth0");
    let device = scratch.join("pci/0000:00:05.0");
    symlink(&device, eth0.join("device")).expect("device link");
    symlink("../drivers/virtio_net", device.join("driver")).expect("driver link");
    for (name, text) in [("carrier", "1"), ("address", mac), ("type", "1"), ("operstate", "up")] {
        fs::write(eth0.join(name), format!("{text}\n")).expect("a fact of the NIC");
    }
    for (name, text) in [("vendor", "0x1af4"), ("device", "0x1000")] {
        fs::write(device.join(name), format!("{text}\n")).expect("a fact of the device");
    }
}

/// The last look before anything dangerous runs.
fn check() {
    for real in ["/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/xvda"] {
        let visible = fs::metadata(real).is_ok_and(|facts| facts.file_type().is_block_device());
        assert!(!visible, "{real} is visible: stop");
    }
    assert!(fs::write("/sandbox-root-is-writable", "").is_err(), "the root file system is writable: stop");
}
