//! What a machine has, exactly as agents report it (agent-protocol section 13).
//!
//! All keys are always present; unknown values are null, or empty text where noted. Readers accept more than writers write.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// The whole inventory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// Order of `/sys/class/net`.
    pub interfaces: Vec<Interface>,
    /// Processors.
    #[serde(default)]
    pub cpu: Cpu,
    /// Disks, in the kernel's order.
    #[serde(default)]
    pub disks: Vec<Disk>,
    /// Memory.
    #[serde(default)]
    pub memory: Memory,
    /// IPv4 of the BMC; `0.0.0.0` = a BMC without address; null = no BMC.
    #[serde(default)]
    pub bmc_address: Option<String>,
    /// IPv6 of the BMC; `::/0` = none configured; null = no BMC.
    #[serde(default)]
    pub bmc_v6address: Option<String>,
    /// Maker and firmware.
    #[serde(default)]
    pub system_vendor: SystemVendor,
    /// How this boot came about.
    #[serde(default)]
    pub boot: Boot,
    /// Host name of the ramdisk.
    #[serde(default)]
    pub hostname: Option<String>,
    /// Absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bmc_mac: Option<String>,
    /// What newer or other agents add.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    /// Kernel name; collectors that are no agents of Ironic's may leave it out.
    #[serde(default)]
    pub name: String,
    /// Lower case; null never comes from an agent but is tolerated.
    #[serde(default)]
    pub mac_address: Option<String>,
    /// First address of the family.
    #[serde(default)]
    pub ipv4_address: Option<String>,
    /// May carry `%scope`.
    #[serde(default)]
    pub ipv6_address: Option<String>,
    /// A cable with a signal.
    #[serde(default)]
    pub has_carrier: Option<bool>,
    /// `[type, hex]` pairs, or null when not collected.
    #[serde(default)]
    pub lldp: Option<Vec<(u8, String)>>,
    /// `0x8086`.
    #[serde(default)]
    pub vendor: Option<String>,
    /// `0x1572`.
    #[serde(default)]
    pub product: Option<String>,
    /// InfiniBand only.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Never set by us.
    #[serde(default)]
    pub biosdevname: Option<String>,
    /// Link or port speed.
    #[serde(default)]
    pub speed_mbps: Option<u64>,
    /// `0000:18:00.0`.
    #[serde(default)]
    pub pci_address: Option<String>,
    /// Kernel driver.
    #[serde(default)]
    pub driver: Option<String>,
}

/// Processors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// Maker's name.
    #[serde(default)]
    pub model_name: Option<String>,
    /// MHz as text, `3400.0000`.
    #[serde(default)]
    pub frequency: Option<String>,
    /// Logical processors.
    #[serde(default)]
    pub count: Option<u64>,
    /// `x86_64`.
    #[serde(default)]
    pub architecture: Option<String>,
    /// From the first processor.
    #[serde(default)]
    pub flags: Vec<String>,
    /// Packages.
    #[serde(default)]
    pub socket_count: Option<u64>,
}

/// A disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    /// `/dev/sda`.
    pub name: String,
    /// As the disk says.
    #[serde(default)]
    pub model: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Spins.
    #[serde(default)]
    pub rotational: Option<bool>,
    /// `0x5002538f02105a31` or `eui....`.
    #[serde(default)]
    pub wwn: Option<String>,
    /// As the disk says.
    #[serde(default)]
    pub serial: Option<String>,
    /// `ATA`.
    #[serde(default)]
    pub vendor: Option<String>,
    /// udev's ID_WWN_WITH_EXTENSION.
    #[serde(default)]
    pub wwn_with_extension: Option<String>,
    /// udev's ID_WWN_VENDOR_EXTENSION.
    #[serde(default)]
    pub wwn_vendor_extension: Option<String>,
    /// SCSI address.
    #[serde(default)]
    pub hctl: Option<String>,
    /// `/dev/disk/by-path/...`.
    #[serde(default)]
    pub by_path: Option<String>,
    /// Bytes; old agents send text.
    #[serde(default, deserialize_with = "number_or_text")]
    pub logical_sectors: Option<u64>,
    /// Bytes; old agents send text.
    #[serde(default, deserialize_with = "number_or_text")]
    pub physical_sectors: Option<u64>,
    /// `sata`, `nvme`, `sas`, `usb`, ...
    #[serde(default)]
    pub tran: Option<String>,
}

/// Memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Bytes the kernel has.
    #[serde(default)]
    pub total: Option<u64>,
    /// MiB installed.
    #[serde(default)]
    pub physical_mb: Option<u64>,
}

/// Who made it; texts are empty when unknown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SystemVendor {
    /// `PowerEdge R650`.
    #[serde(default)]
    pub product_name: Option<String>,
    /// The chassis.
    #[serde(default)]
    pub serial_number: Option<String>,
    /// `Dell Inc.`.
    #[serde(default)]
    pub manufacturer: Option<String>,
    /// BIOS.
    #[serde(default)]
    pub firmware: Firmware,
}

/// System firmware; texts are empty when unknown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Firmware {
    /// Maker.
    #[serde(default)]
    pub vendor: Option<String>,
    /// As the maker writes it.
    #[serde(default)]
    pub version: Option<String>,
    /// As the maker writes it.
    #[serde(default)]
    pub build_date: Option<String>,
}

/// How this boot came about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Boot {
    /// `uefi` or `bios`.
    #[serde(default)]
    pub current_boot_mode: Option<String>,
    /// `BOOTIF` exactly as given.
    #[serde(default)]
    pub pxe_interface: Option<String>,
}

fn number_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(match Option::<Value>::deserialize(deserializer)? {
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    })
}
