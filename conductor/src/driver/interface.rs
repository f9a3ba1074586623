//! Interface kinds, hardware types and which interfaces each supports: a table. Names and order as in Ironic.

use crate::model::node::InterfaceKind;

/// A hardware type: for each kind the interfaces it supports, preferred ones first.
#[derive(Debug)]
pub struct HardwareType {
    /// Its name, a node's `driver`.
    pub name: &'static str,
    rows: &'static [(InterfaceKind, &'static [&'static str])],
    /// Its compatibility is not checked: whatever is enabled may be used (Ironic's fake-hardware).
    pub takes_all: bool,
}

/// What every type supports where its own rows say nothing.
const GENERIC: &[(InterfaceKind, &[&str])] = &[
    (InterfaceKind::Boot, &["ipxe", "pxe"]),
    (InterfaceKind::Deploy, &["direct", "ramdisk", "custom-agent"]),
    (InterfaceKind::Network, &["noop"]),
    (InterfaceKind::Bios, &["no-bios"]),
    (InterfaceKind::Console, &["no-console"]),
    (InterfaceKind::Firmware, &["no-firmware"]),
    (InterfaceKind::Inspect, &["agent", "no-inspect"]),
    (InterfaceKind::Raid, &["no-raid", "agent"]),
    (InterfaceKind::Rescue, &["no-rescue", "agent"]),
    (InterfaceKind::Storage, &["noop"]),
    (InterfaceKind::Vendor, &["no-vendor"]),
];

/// Every hardware type.
pub const HARDWARE_TYPES: &[HardwareType] = &[
    HardwareType {
        name: "ipmi",
        takes_all: false,
        rows: &[
            (InterfaceKind::Management, &["ipmitool", "noop"]),
            (InterfaceKind::Power, &["ipmitool"]),
            (InterfaceKind::Console, &["ipmitool-socat", "no-console"]),
            (InterfaceKind::Vendor, &["ipmitool", "no-vendor"]),
        ],
    },
    HardwareType {
        name: "fake-hardware",
        takes_all: true,
        rows: &[
            (InterfaceKind::Boot, &["fake", "ipxe", "pxe"]),
            (InterfaceKind::Deploy, &["fake", "direct", "ramdisk", "custom-agent"]),
            (InterfaceKind::Management, &["fake"]),
            (InterfaceKind::Power, &["fake"]),
            (InterfaceKind::Bios, &["fake", "no-bios"]),
            (InterfaceKind::Console, &["fake", "no-console"]),
            (InterfaceKind::Firmware, &["fake", "no-firmware"]),
            (InterfaceKind::Inspect, &["fake", "agent", "no-inspect"]),
            (InterfaceKind::Raid, &["fake", "no-raid", "agent"]),
            (InterfaceKind::Rescue, &["fake", "no-rescue", "agent"]),
            (InterfaceKind::Storage, &["fake", "noop"]),
            (InterfaceKind::Vendor, &["fake", "no-vendor"]),
        ],
    },
    HardwareType {
        name: "manual-management",
        takes_all: false,
        rows: &[
            (InterfaceKind::Deploy, &["direct", "ramdisk", "custom-agent", "noop"]),
            (InterfaceKind::Management, &["noop", "fake"]),
            (InterfaceKind::Power, &["agent", "fake"]),
        ],
    },
];

impl HardwareType {
    /// By its name.
    pub fn by_name(name: &str) -> Option<&'static HardwareType> {
        HARDWARE_TYPES.iter().find(|hardware| hardware.name == name)
    }

    /// The interfaces of a kind, preferred ones first.
    pub fn supported(&self, kind: InterfaceKind) -> &'static [&'static str] {
        let row = |rows: &'static [(InterfaceKind, &'static [&'static str])]| rows.iter().find(|row| row.0 == kind);
        row(self.rows).or_else(|| row(GENERIC)).map_or(&[], |row| row.1)
    }
}

/// Every interface of a kind that some type supports: what may be enabled.
pub fn known(kind: InterfaceKind) -> Vec<&'static str> {
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
    use super::{HARDWARE_TYPES, InterfaceKind};

    #[test]
    fn every_type_has_an_interface_of_every_kind_and_no_row_twice() {
        for hardware in HARDWARE_TYPES {
            for &kind in InterfaceKind::ALL {
                assert!(!hardware.supported(kind).is_empty(), "{} {kind:?}", hardware.name);
                assert!(hardware.rows.iter().filter(|row| row.0 == kind).count() <= 1, "{} {kind:?}", hardware.name);
                assert_eq!(InterfaceKind::from_name(kind.name()), Some(kind));
            }
        }
        assert_eq!(InterfaceKind::validated().count(), 12);
    }
}
