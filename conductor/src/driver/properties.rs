//! Keys of driver_info that each interface reads, for `GET /v1/drivers/{}/properties`.

use super::ipmi::{CONSOLE_PROPERTIES, PROPERTIES};
use crate::model::node::InterfaceKind;

/// Name and meaning.
type Property = (&'static str, &'static str);

const NETWORK_BOOT: &[Property] = &[
    ("deploy_kernel", "URL or path of the deploy ramdisk's kernel; the conductor's own if not set. Optional."),
    ("deploy_ramdisk", "URL or path of the deploy ramdisk; the conductor's own if not set. Optional."),
    (
        "force_persistent_boot_device",
        "'Always': each boot device is set for all boots; 'Never': for the next one only; 'Default': as each case needs. Optional.",
    ),
    ("rescue_kernel", "URL or path of the rescue ramdisk's kernel. Needed for rescue only."),
    ("rescue_ramdisk", "URL or path of the rescue ramdisk. Needed for rescue only."),
    ("kernel_append_params", "Kernel arguments of the ramdisk; `%default%` stands for the conductor's. Optional."),
];
const MEDIA_BOOT: &[Property] = &[
    ("deploy_kernel", "URL or path of the deploy ramdisk's kernel. Required if deploy_iso is not set."),
    ("deploy_ramdisk", "URL or path of the deploy ramdisk. Required if deploy_iso is not set."),
    ("deploy_iso", "URL or path of the ISO to boot. Required if deploy_kernel and deploy_ramdisk are not set."),
];
const AGENT_DEPLOY: &[Property] = &[
    ("deploy_kernel", "URL or path of the deploy ramdisk's kernel; the conductor's own if not set. Optional."),
    ("deploy_ramdisk", "URL or path of the deploy ramdisk; the conductor's own if not set. Optional."),
    ("image_http_proxy", "URL of a proxy for HTTP downloads of the image. Optional."),
    ("image_https_proxy", "URL of a proxy for HTTPS downloads of the image. Optional."),
    ("image_no_proxy", "Comma-separated hosts and domains that are reached without the proxy. Optional."),
    (
        "image_download_source",
        "\"http\": the agent fetches the image itself; \"local\": from this conductor. Optional.",
    ),
    ("deploy_forces_oob_reboot", "True: the BMC ends the deployment with a reset, not the ramdisk. Optional."),
    ("agent_verify_ca", "False, or a file with certificates that the agent's must come from. Optional."),
];
const REDFISH: &[Property] = &[
    ("redfish_address", "URL of the BMC; https if no scheme is given. Required."),
    ("redfish_system_id", "Path of the system at the BMC, as /redfish/v1/Systems/1. Required if there are several."),
    ("redfish_username", "User name at the BMC. Optional."),
    ("redfish_password", "Password. Optional."),
    (
        "redfish_verify_ca",
        "False, or a file with certificates that the BMC's must come from; True if not set. Optional.",
    ),
    ("redfish_auth_type", "\"basic\", \"session\" or \"auto\" (if not set). Optional."),
    ("firmware_update_unresponsive_bmc_wait", "Seconds that a BMC may be silent in a firmware update. Optional."),
    ("redfish_tls_minimum_version", "\"1.1\", \"1.2\" or \"1.3\". Optional."),
    ("redfish_tls_ciphers", "TLS ciphers for this BMC, as OpenSSL writes them. Optional."),
];
const FAKE_VENDOR: &[Property] = &[("B1", "B1 description. Required."), ("B2", "B2 description. Required.")];

/// The keys of one interface.
pub fn of(kind: InterfaceKind, interface: &str) -> Vec<Property> {
    let lists: &[&[Property]] = match (kind, interface) {
        (InterfaceKind::Boot, "ipxe" | "pxe" | "http" | "http-ipxe") => &[NETWORK_BOOT],
        (InterfaceKind::Boot, "redfish-virtual-media" | "idrac-redfish-virtual-media" | "redfish-https") => {
            &[MEDIA_BOOT]
        }
        (InterfaceKind::Deploy, "direct" | "custom-agent" | "bootc") => &[AGENT_DEPLOY],
        (InterfaceKind::Console, "ipmitool-socat") => &[PROPERTIES, CONSOLE_PROPERTIES],
        (InterfaceKind::Vendor, "fake") => &[FAKE_VENDOR],
        (InterfaceKind::Vendor, "redfish" | "idrac-redfish") => &[],
        (_, "ipmitool" | "intel-ipmitool") => &[PROPERTIES],
        (_, "redfish" | "idrac-redfish" | "redfish-graphical") => &[REDFISH],
        _ => &[],
    };
    lists.concat()
}

#[cfg(test)]
mod tests {
    use super::{InterfaceKind, of};

    #[test]
    fn interfaces_name_what_they_read() {
        let keys = |kind, name| of(kind, name).into_iter().map(|property| property.0).collect::<Vec<_>>();
        assert_eq!(keys(InterfaceKind::Vendor, "fake"), ["B1", "B2"]);
        assert!(keys(InterfaceKind::Power, "fake").is_empty());
        assert!(keys(InterfaceKind::Console, "ipmitool-socat").contains(&"ipmi_terminal_port"));
        assert_eq!(keys(InterfaceKind::Bios, "redfish")[0], "redfish_address");
        assert!(keys(InterfaceKind::Deploy, "direct").contains(&"image_http_proxy"));
    }
}
