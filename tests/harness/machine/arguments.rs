//! QEMU's command line for one power-on. Pure: a spec, a boot device, and what is in the tray.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::machine::spec::{Bus, Firmware, Spec};

/// What firmware tries first; then the disk, then the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootDevice {
    /// The network card.
    Network,
    /// The first disk.
    Disk,
    /// The CD drive.
    Cd,
}

/// Everything one power-on depends on.
pub struct PowerOn<'a> {
    /// The server.
    pub spec: &'a Spec,
    /// Its name.
    pub name: &'a str,
    /// Its folder, with the disks.
    pub dir: &'a Path,
    /// Its card's address.
    pub mac: &'a str,
    /// Its system UUID, as SMBIOS says it.
    pub uuid: &'a str,
    /// The tap its card is plugged into.
    pub tap: &'a str,
    /// Where its BMC listens for the in-band connection.
    pub bmc_port: Option<u16>,
    /// What the firmware tries first.
    pub boot: BootDevice,
    /// What is in the tray.
    pub cd: Option<&'a Path>,
    /// Disks that somebody pulled out.
    pub pulled: &'a [usize],
}

/// The arguments. Emulation is asked for by name: a /dev/kvm that exists is no proof that it can run a kernel.
#[rustfmt::skip]
pub fn arguments(on: &PowerOn<'_>) -> Vec<OsString> {
    let mut line = Line::default();
    line.flags(&[
        "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1", "-M", "q35", "-nodefaults", "-display", "none",
        "-vga", "none", "-no-reboot", "-qmp", "stdio", "-device", "virtio-rng-pci",
    ]);
    line.pair("-name", on.name);
    line.pair("-m", &on.spec.memory.to_string());
    line.pair("-uuid", on.uuid);
    line.pair("-smbios", &format!("type=1,manufacturer=Lab,product=Server,serial={}", on.mac.replace(':', "")));
    line.pair("-chardev", &format!("socket,id=ser0,path={}.console,abstract=on", on.name));
    line.pair("-serial", "chardev:ser0");
    if on.spec.firmware == Firmware::Uefi {
        line.pair("-drive", "if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd");
        line.pair("-drive", &format!("if=pflash,unit=1,format=raw,file={}", variables(on.dir).display()));
    }
    let place = |device| match device {
        device if device == on.boot => 1,
        BootDevice::Disk => 20,
        BootDevice::Network => 40,
        BootDevice::Cd => 60,
    };
    line.pair("-netdev", &format!("tap,id=net0,ifname={},script=no,downscript=no", on.tap));
    let rom = if on.spec.nic.rom { "" } else { ",romfile=" };
    let (model, mac) = (on.spec.nic.model, on.mac);
    line.pair("-device", &format!("{model},netdev=net0,mac={mac},bootindex={}{rom}", place(BootDevice::Network)));
    disks(&mut line, on, place(BootDevice::Disk));
    if let Some(cd) = on.cd {
        line.pair("-drive", &format!("if=none,id=cd0,media=cdrom,readonly=on,format=raw,file={}", cd.display()));
        line.pair("-device", &format!("ide-cd,bus=ide.5,drive=cd0,bootindex={}", place(BootDevice::Cd)));
    }
    if let Some(port) = on.bmc_port {
        line.pair("-chardev", &format!("socket,id=ipmi0,host=127.0.0.1,port={port},reconnect=1"));
        line.pair("-device", "ipmi-bmc-extern,id=bmc0,chardev=ipmi0");
        line.pair("-device", "isa-ipmi-kcs,bmc=bmc0");
    }
    line.0
}

/// Speed over safety: a story that is interrupted starts over with new disks.
fn disks(line: &mut Line, on: &PowerOn<'_>, first: usize) {
    if on.spec.disks.iter().any(|disk| disk.bus == Bus::Scsi) {
        line.pair("-device", "virtio-scsi-pci,id=scsi0");
    }
    if on.spec.disks.iter().any(|disk| disk.two_paths) {
        line.pair("-device", "virtio-scsi-pci,id=scsi1");
    }
    for (index, disk) in on.spec.disks.iter().enumerate().filter(|(index, _)| !on.pulled.contains(index)) {
        let file = disk_file(on.dir, index);
        // Both paths write to one file, and neither may keep the other out.
        let shared = if disk.two_paths { ",file.locking=off" } else { "" };
        let tuning = format!("format=raw,cache=unsafe,discard=unmap,detect-zeroes=unmap{shared}");
        line.pair("-drive", &format!("if=none,id=d{index},file={},{tuning}", file.display()));
        let serial = &disk.serial;
        let device = match disk.bus {
            Bus::Virtio => format!("virtio-blk-pci,drive=d{index},serial={serial}"),
            Bus::Scsi => format!("scsi-hd,bus=scsi0.0,drive=d{index},serial={serial},wwn=0x5000c50000000{index:03x}"),
            Bus::Ahci => {
                format!("ide-hd,bus=ide.{index},drive=d{index},serial={serial},wwn=0x5000c50000001{index:03x}")
            }
            // On the controller: a namespace of its own loses its boot order under OVMF.
            Bus::Nvme => format!("nvme,id=nvme{index},serial={serial},drive=d{index}"),
        };
        let sector = disk.sector;
        let device = match sector {
            512 => device,
            _ => format!("{device},logical_block_size={sector},physical_block_size={sector}"),
        };
        let device = if disk.two_paths { format!("{device},share-rw=on") } else { device };
        // In order: UEFI goes on to the next disk when one does not boot; SeaBIOS tries the first only.
        line.pair("-device", &format!("{device},bootindex={}", first + index));
        if disk.two_paths {
            let second = format!("d{index}b");
            line.pair("-drive", &format!("if=none,id={second},file={},{tuning}", file.display()));
            let device = device.replace("bus=scsi0.0", "bus=scsi1.0");
            line.pair("-device", &device.replace(&format!("drive=d{index}"), &format!("drive={second}")));
        }
    }
}

/// The file of disk number `index`.
pub fn disk_file(dir: &Path, index: usize) -> PathBuf {
    dir.join(format!("disk{index}.raw"))
}

/// The machine's own UEFI variables.
pub fn variables(dir: &Path) -> PathBuf {
    dir.join("variables.fd")
}

#[derive(Default)]
struct Line(Vec<OsString>);

impl Line {
    fn flags(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(OsString::from));
    }

    fn pair(&mut self, flag: &str, value: &str) {
        self.0.extend([flag.into(), value.into()]);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{BootDevice, PowerOn, arguments};
    use crate::machine::spec::{Bus, GIB, Spec};

    fn line(spec: &Spec, boot: BootDevice, cd: Option<&Path>) -> String {
        let (name, dir) = ("node-0", Path::new("/lab"));
        let on = PowerOn {
            spec,
            name,
            dir,
            mac: "52:54:00:aa:00:00",
            uuid: "u",
            tap: "tap0",
            bmc_port: Some(9002),
            boot,
            cd,
            pulled: &[],
        };
        let words = arguments(&on).into_iter().map(|word| word.into_string().unwrap());
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_chosen_device_comes_first_and_the_disk_before_the_network() {
        let spec = Spec::bios().disk(Bus::Virtio, "A", GIB).disk(Bus::Nvme, "B", GIB);
        let network = line(&spec, BootDevice::Network, None);
        assert!(network.contains("mac=52:54:00:aa:00:00,bootindex=1") && network.contains("serial=A,bootindex=20"));
        let disk = line(&spec, BootDevice::Disk, Some(Path::new("/x.iso")));
        for part in ["serial=A,bootindex=1", "serial=B,drive=d1,bootindex=2", "bootindex=40", "drive=cd0,bootindex=60"]
        {
            assert!(disk.contains(part), "{part} is not in {disk}");
        }
    }

    #[test]
    fn two_paths_are_two_devices_with_one_name_over_one_file() {
        let text = line(&Spec::bios().disk(Bus::Scsi, "A", GIB).two_paths(), BootDevice::Disk, None);
        let devices: Vec<&str> = text.split(' ').filter(|word| word.starts_with("scsi-hd")).collect();
        let [first, second] = devices[..] else { panic!("{text}") };
        assert_eq!(first, "scsi-hd,bus=scsi0.0,drive=d0,serial=A,wwn=0x5000c50000000000,share-rw=on,bootindex=1");
        assert_eq!(second, "scsi-hd,bus=scsi1.0,drive=d0b,serial=A,wwn=0x5000c50000000000,share-rw=on");
        assert_eq!(text.matches("disk0.raw,format=raw").count(), 2, "{text}");
        assert_eq!(text.matches("file.locking=off").count(), 2, "{text}");
    }

    #[test]
    fn never_anything_but_emulation() {
        let text = line(&Spec::uefi(), BootDevice::Disk, None);
        assert!(text.contains("-accel tcg") && !text.contains("kvm"));
        assert!(text.contains("pflash") && text.contains("romfile="));
    }
}
