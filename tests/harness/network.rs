//! The provisioning network inside a story's namespace: a bridge with the conductor's address, a tap for every machine,
//! an address of its own for every BMC.

use std::net::Ipv4Addr;

use image::program::Program;

/// The bridge.
pub const BRIDGE: &str = "br0";
/// The conductor's address on it, and where images are served.
pub const CONDUCTOR: Ipv4Addr = Ipv4Addr::new(172, 22, 0, 1);

/// Loopback and bridge. iPXE waits for IPv6 unless somebody announces a prefix, so the bridge has one.
pub fn bring_up() {
    ip(&["link", "set", "lo", "up"]);
    ip(&["link", "add", BRIDGE, "type", "bridge", "forward_delay", "0"]);
    ip(&["addr", "add", "172.22.0.1/24", "dev", BRIDGE]);
    ip(&["addr", "add", "fd22::1/64", "dev", BRIDGE, "nodad"]);
    ip(&["link", "set", BRIDGE, "up"]);
}

/// A new tap on the bridge for machine number `index`; returns its name.
pub fn tap(index: u8) -> String {
    let name = format!("tap{index}");
    ip(&["tuntap", "add", &name, "mode", "tap"]);
    ip(&["link", "set", &name, "master", BRIDGE, "up"]);
    name
}

/// An address for the BMC of machine number `index`, so that each has port 623.
pub fn bmc_address(index: u8) -> Ipv4Addr {
    let address = Ipv4Addr::new(172, 23, 0, index.saturating_add(10));
    ip(&["addr", "add", &format!("{address}/32"), "dev", "lo"]);
    address
}

/// The cable of machine `index` is pulled (`false`) or plugged in again.
pub fn plug(index: u8, up: bool) {
    ip(&["link", "set", &format!("tap{index}"), if up { "up" } else { "down" }]);
}

fn ip(args: &[&str]) {
    if let Err(error) = Program::new("ip", "iproute2").args(args).output() {
        panic!("ip {}: {error}", args.join(" "));
    }
}
