//! What a virtual server is made of.

/// One GiB.
pub const GIB: u64 = 1 << 30;

/// What it starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS.
    Bios,
    /// OVMF.
    Uefi,
}

/// How a disk is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// `/dev/vdX`.
    Virtio,
    /// `/dev/sdX` behind virtio-scsi, with a WWN.
    Scsi,
    /// `/dev/sdX` behind AHCI, with a WWN; six at most.
    Ahci,
    /// `/dev/nvmeXn1`.
    Nvme,
}

/// One disk, a sparse file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// How it is attached.
    pub bus: Bus,
    /// Serial number as the machine sees it.
    pub serial: String,
    /// Size.
    pub bytes: u64,
    /// Bytes of a sector.
    pub sector: u32,
    /// It is reached by two controllers ([`Bus::Scsi`] only).
    pub two_paths: bool,
}

/// Which network card, and what firmware sees of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nic {
    /// QEMU's name of the model.
    pub model: &'static str,
    /// QEMU's option ROM is an iPXE. Without it UEFI uses its own network stack, as real servers do; BIOS then cannot
    /// boot from the network at all.
    pub rom: bool,
}

/// A virtual server before it is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Firmware.
    pub firmware: Firmware,
    /// The network card.
    pub nic: Nic,
    /// Disks, in firmware's boot order.
    pub disks: Vec<Disk>,
    /// Memory in MiB. GRUB under UEFI needs 512; the deploy ramdisk runs in 256.
    pub memory: u32,
}

impl Spec {
    /// A BIOS server with a virtio card.
    pub fn bios() -> Self {
        let nic = Nic { model: "virtio-net-pci", rom: true };
        Spec { firmware: Firmware::Bios, nic, disks: Vec::new(), memory: 512 }
    }

    /// A UEFI server that boots with its firmware's own network stack.
    pub fn uefi() -> Self {
        let nic = Nic { model: "virtio-net-pci", rom: false };
        Spec { firmware: Firmware::Uefi, nic, disks: Vec::new(), memory: 512 }
    }

    /// Adds a disk.
    pub fn disk(mut self, bus: Bus, serial: &str, bytes: u64) -> Self {
        self.disks.push(Disk { bus, serial: serial.to_owned(), bytes, sector: 512, two_paths: false });
        self
    }

    /// The last disk has sectors of 4096 bytes, for software and on the medium.
    pub fn native_4k(mut self) -> Self {
        self.disks.iter_mut().last().expect("a disk").sector = 4096;
        self
    }

    /// The last disk is reached by a second controller, too.
    pub fn two_paths(mut self) -> Self {
        let disk = self.disks.iter_mut().last().expect("a disk");
        assert_eq!(disk.bus, Bus::Scsi, "other buses have one path");
        disk.two_paths = true;
        self
    }

    /// Another network card, with its ROM: OVMF has a driver of its own for virtio only.
    pub fn nic(mut self, model: &'static str) -> Self {
        self.nic = Nic { model, rom: true };
        self
    }

    /// Another size of memory, in MiB.
    pub fn memory(mut self, mib: u32) -> Self {
        self.memory = mib;
        self
    }
}
