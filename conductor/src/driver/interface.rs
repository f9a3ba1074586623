//! Interface kinds, hardware types and which interfaces each supports: a table. Names and order as in Ironic.

/// A kind of interface. The order is that of `/validate` (rest-api section 8.1), vendor last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// How the machine starts the ramdisk.
    Boot,
    /// How an instance gets onto it.
    Deploy,
    /// Boot device and more.
    Management,
    /// Networks.
    Network,
    /// Power.
    Power,
    /// BIOS settings.
    Bios,
    /// Serial console.
    Console,
    /// Firmware.
    Firmware,
    /// Inspection.
    Inspect,
    /// RAID.
    Raid,
    /// Rescue.
    Rescue,
    /// Volumes.
    Storage,
    /// Vendor calls.
    Vendor,
}

impl Kind {
    /// Every kind, in order.
    #[rustfmt::skip]
    pub const ALL: &'static [Kind] = &[
        Kind::Boot, Kind::Deploy, Kind::Management, Kind::Network, Kind::Power, Kind::Bios, Kind::Console,
        Kind::Firmware, Kind::Inspect, Kind::Raid, Kind::Rescue, Kind::Storage, Kind::Vendor,
    ];

    /// Those that `/validate` shows: all but vendor.
    pub fn validated() -> impl Iterator<Item = Kind> {
        Kind::ALL.iter().copied().filter(|kind| *kind != Kind::Vendor)
    }

    /// As in `boot_interface`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Boot => "boot",
            Kind::Deploy => "deploy",
            Kind::Management => "management",
            Kind::Network => "network",
            Kind::Power => "power",
            Kind::Bios => "bios",
            Kind::Console => "console",
            Kind::Firmware => "firmware",
            Kind::Inspect => "inspect",
            Kind::Raid => "raid",
            Kind::Rescue => "rescue",
            Kind::Storage => "storage",
            Kind::Vendor => "vendor",
        }
    }

    /// By its name.
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

/// A hardware type: for each kind the interfaces it supports, preferred ones first.
#[derive(Debug)]
pub struct HardwareType {
    /// Its name, a node's `driver`.
    pub name: &'static str,
    rows: &'static [(Kind, &'static [&'static str])],
    /// Its compatibility is not checked: whatever is enabled may be used (Ironic's fake-hardware).
    pub takes_all: bool,
}

/// What every type supports where its own rows say nothing.
const GENERIC: &[(Kind, &[&str])] = &[
    (Kind::Boot, &["ipxe", "pxe"]),
    (Kind::Deploy, &["direct", "ramdisk", "custom-agent"]),
    (Kind::Network, &["noop"]),
    (Kind::Bios, &["no-bios"]),
    (Kind::Console, &["no-console"]),
    (Kind::Firmware, &["no-firmware"]),
    (Kind::Inspect, &["agent", "no-inspect"]),
    (Kind::Raid, &["no-raid", "agent"]),
    (Kind::Rescue, &["no-rescue", "agent"]),
    (Kind::Storage, &["noop"]),
    (Kind::Vendor, &["no-vendor"]),
];

/// Every hardware type.
pub const HARDWARE_TYPES: &[HardwareType] = &[
    HardwareType {
        name: "ipmi",
        takes_all: false,
        rows: &[
            (Kind::Management, &["ipmitool", "noop"]),
            (Kind::Power, &["ipmitool"]),
            (Kind::Console, &["ipmitool-socat", "no-console"]),
            (Kind::Vendor, &["ipmitool", "no-vendor"]),
        ],
    },
    HardwareType {
        name: "fake-hardware",
        takes_all: true,
        rows: &[
            (Kind::Boot, &["fake", "ipxe", "pxe"]),
            (Kind::Deploy, &["fake", "direct", "ramdisk", "custom-agent"]),
            (Kind::Management, &["fake"]),
            (Kind::Power, &["fake"]),
            (Kind::Bios, &["fake", "no-bios"]),
            (Kind::Console, &["fake", "no-console"]),
            (Kind::Firmware, &["fake", "no-firmware"]),
            (Kind::Inspect, &["fake", "agent", "no-inspect"]),
            (Kind::Raid, &["fake", "no-raid", "agent"]),
            (Kind::Rescue, &["fake", "no-rescue", "agent"]),
            (Kind::Storage, &["fake", "noop"]),
            (Kind::Vendor, &["fake", "no-vendor"]),
        ],
    },
    HardwareType {
        name: "manual-management",
        takes_all: false,
        rows: &[
            (Kind::Deploy, &["direct", "ramdisk", "custom-agent", "noop"]),
            (Kind::Management, &["noop", "fake"]),
            (Kind::Power, &["agent", "fake"]),
        ],
    },
];

impl HardwareType {
    /// By its name.
    pub fn by_name(name: &str) -> Option<&'static HardwareType> {
        HARDWARE_TYPES.iter().find(|hardware| hardware.name == name)
    }

    /// The interfaces of a kind, preferred ones first.
    pub fn supported(&self, kind: Kind) -> &'static [&'static str] {
        let row = |rows: &'static [(Kind, &'static [&'static str])]| rows.iter().find(|row| row.0 == kind);
        row(self.rows).or_else(|| row(GENERIC)).map_or(&[], |row| row.1)
    }
}

/// Every interface of a kind that some type supports: what may be enabled.
pub fn known(kind: Kind) -> Vec<&'static str> {
    let mut names: Vec<_> = HARDWARE_TYPES.iter().flat_map(|hardware| hardware.supported(kind)).copied().collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Is it a stand-in that says "not supported"?
pub fn is_stand_in(name: &str) -> bool {
    name.starts_with("no-")
}

#[cfg(test)]
mod tests {
    use super::{HARDWARE_TYPES, Kind};

    #[test]
    fn every_type_has_an_interface_of_every_kind_and_no_row_twice() {
        for hardware in HARDWARE_TYPES {
            for &kind in Kind::ALL {
                assert!(!hardware.supported(kind).is_empty(), "{} {kind:?}", hardware.name);
                assert!(hardware.rows.iter().filter(|row| row.0 == kind).count() <= 1, "{} {kind:?}", hardware.name);
                assert_eq!(Kind::from_name(kind.name()), Some(kind));
            }
        }
        assert_eq!(Kind::validated().count(), 12);
    }
}
