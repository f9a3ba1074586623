//! Interface kinds, hardware types and which interfaces each supports: a table. Names and order as in Ironic.

use crate::model::node::InterfaceKind;

/// A hardware type: for each kind the interfaces it supports, preferred ones first.
#[derive(Debug)]
pub struct HardwareType {
    /// Its name, a node's `driver`.
    pub name: &'static str,
    /// How refusals of the reference call it.
    pub class: &'static str,
    rows: &'static [(InterfaceKind, &'static [&'static str])],
    /// Its compatibility is not checked: whatever is enabled may be used (Ironic's fake-hardware).
    pub takes_all: bool,
}

/// What every type supports where its own rows say nothing.
const GENERIC: &[(InterfaceKind, &[&str])] = &[
    (InterfaceKind::Boot, &["ipxe", "pxe", "http-ipxe", "http"]),
    (InterfaceKind::Deploy, DEPLOY),
    (InterfaceKind::Network, &["flat", "neutron", "ironic-networking", "noop"]),
    (InterfaceKind::Bios, &["no-bios"]),
    (InterfaceKind::Console, &["no-console", "fake-graphical"]),
    (InterfaceKind::Firmware, &["no-firmware"]),
    (InterfaceKind::Inspect, &["agent", "no-inspect"]),
    (InterfaceKind::Raid, &["no-raid", "agent"]),
    (InterfaceKind::Rescue, &["no-rescue", "agent"]),
    (InterfaceKind::Storage, &["noop", "cinder", "external"]),
    (InterfaceKind::Vendor, &["no-vendor"]),
];

const DEPLOY: &[&str] = &["autodetect", "direct", "ansible", "ramdisk", "anaconda", "bootc", "custom-agent"];

/// Every hardware type, by name.
pub const HARDWARE_TYPES: &[HardwareType] = &[
    HardwareType {
        name: "fake-hardware",
        class: "FakeHardware",
        takes_all: true,
        rows: &[
            (InterfaceKind::Boot, &["fake", "ipxe", "pxe", "http-ipxe", "http"]),
            (
                InterfaceKind::Deploy,
                &["fake", "autodetect", "direct", "ansible", "ramdisk", "anaconda", "bootc", "custom-agent"],
            ),
            (InterfaceKind::Management, &["fake"]),
            (InterfaceKind::Power, &["fake"]),
            (InterfaceKind::Bios, &["fake", "no-bios"]),
            (InterfaceKind::Console, &["fake", "no-console", "fake-graphical"]),
            (InterfaceKind::Firmware, &["fake", "no-firmware"]),
            (InterfaceKind::Inspect, &["fake", "agent", "no-inspect"]),
            (InterfaceKind::Raid, &["fake", "no-raid", "agent"]),
            (InterfaceKind::Rescue, &["fake", "no-rescue", "agent"]),
            (InterfaceKind::Storage, &["fake", "noop", "cinder", "external"]),
            (InterfaceKind::Vendor, &["fake", "no-vendor"]),
        ],
    },
    HardwareType {
        name: "idrac",
        class: "IDRACHardware",
        takes_all: false,
        rows: &[
            (
                InterfaceKind::Boot,
                &["ipxe", "pxe", "http-ipxe", "http", "idrac-redfish-virtual-media", "redfish-https"],
            ),
            (InterfaceKind::Management, &["idrac-redfish"]),
            (InterfaceKind::Power, &["idrac-redfish", "redfish"]),
            (InterfaceKind::Bios, &["idrac-redfish", "redfish", "no-bios"]),
            (InterfaceKind::Console, &["redfish-graphical", "ipmitool-socat", "no-console", "fake-graphical"]),
            (InterfaceKind::Firmware, &["redfish", "no-firmware"]),
            (InterfaceKind::Inspect, &["idrac-redfish", "agent", "no-inspect"]),
            (InterfaceKind::Raid, &["idrac-redfish", "no-raid", "agent"]),
            (InterfaceKind::Vendor, &["idrac-redfish", "redfish", "no-vendor"]),
        ],
    },
    HardwareType {
        name: "intel-ipmi",
        class: "IntelIPMIHardware",
        takes_all: false,
        rows: &[
            (InterfaceKind::Management, &["intel-ipmitool"]),
            (InterfaceKind::Power, &["ipmitool"]),
            (InterfaceKind::Console, &["ipmitool-socat", "no-console", "fake-graphical"]),
            (InterfaceKind::Vendor, &["ipmitool", "no-vendor"]),
        ],
    },
    HardwareType {
        name: "ipmi",
        class: "IPMIHardware",
        takes_all: false,
        rows: &[
            (InterfaceKind::Management, &["ipmitool", "noop"]),
            (InterfaceKind::Power, &["ipmitool"]),
            (InterfaceKind::Console, &["ipmitool-socat", "no-console", "fake-graphical"]),
            (InterfaceKind::Vendor, &["ipmitool", "no-vendor"]),
        ],
    },
    HardwareType {
        name: "manual-management",
        class: "ManualManagementHardware",
        takes_all: false,
        rows: &[
            (
                InterfaceKind::Deploy,
                &["autodetect", "direct", "ansible", "ramdisk", "anaconda", "bootc", "custom-agent", "noop"],
            ),
            (InterfaceKind::Management, &["noop", "fake"]),
            (InterfaceKind::Power, &["agent", "fake"]),
        ],
    },
    HardwareType {
        name: "redfish",
        class: "RedfishHardware",
        takes_all: false,
        rows: &[
            (InterfaceKind::Boot, &["ipxe", "pxe", "http-ipxe", "http", "redfish-virtual-media", "redfish-https"]),
            (InterfaceKind::Management, &["redfish", "noop"]),
            (InterfaceKind::Power, &["redfish"]),
            (InterfaceKind::Bios, &["redfish", "no-bios"]),
            (InterfaceKind::Console, &["redfish-graphical", "ipmitool-socat", "no-console", "fake-graphical"]),
            (InterfaceKind::Firmware, &["redfish", "no-firmware"]),
            (InterfaceKind::Inspect, &["redfish", "agent", "no-inspect"]),
            (InterfaceKind::Raid, &["redfish", "no-raid", "agent"]),
            (InterfaceKind::Vendor, &["redfish", "no-vendor"]),
        ],
    },
];

/// Interfaces that work here. The others of [`HARDWARE_TYPES`] can be enabled and given to nodes; what they are asked to do
/// is answered as Ironic answers for an unsupported interface, until their driver is built.
const BUILT: &[(InterfaceKind, &[&str])] = &[
    (InterfaceKind::Boot, &["fake", "ipxe"]),
    (InterfaceKind::Deploy, &["autodetect", "bootc", "custom-agent", "direct", "fake", "noop", "ramdisk"]),
    (InterfaceKind::Management, &["fake", "ipmitool", "noop"]),
    (InterfaceKind::Network, &["noop"]),
    (InterfaceKind::Power, &["agent", "fake", "ipmitool"]),
    (InterfaceKind::Bios, &["fake"]),
    (InterfaceKind::Console, &["fake", "fake-graphical"]),
    (InterfaceKind::Firmware, &["fake"]),
    (InterfaceKind::Inspect, &["agent", "fake"]),
    (InterfaceKind::Raid, &["agent", "fake"]),
    (InterfaceKind::Rescue, &["agent", "fake"]),
    (InterfaceKind::Storage, &["fake", "noop"]),
    (InterfaceKind::Vendor, &["fake", "ipmitool"]),
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

/// It does something here: neither a stand-in that says "not supported" (`no-bios`) nor one whose driver comes later.
pub fn is_built(kind: InterfaceKind, name: &str) -> bool {
    BUILT.iter().any(|row| row.0 == kind && row.1.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::{BUILT, HARDWARE_TYPES, InterfaceKind, known};

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
        assert!(HARDWARE_TYPES.is_sorted_by_key(|hardware| hardware.name));
    }

    #[test]
    fn what_is_built_is_known() {
        for &kind in InterfaceKind::ALL {
            let (_, built) = BUILT.iter().find(|row| row.0 == kind).unwrap();
            assert!(built.iter().all(|name| known(kind).contains(name)), "{kind}");
        }
    }
}
