//! The cable between a sandbox and the story's bridge: a pair of virtual NICs, one end of it `eth0` in the sandbox.

use crate::network::{BRIDGE, CONDUCTOR};
use image::program::Program;

/// A cable that is plugged in; pulled out when dropped.
///
/// The kernel pulls it out by itself, some seconds after the last process of the sandbox: until then there is one more machine with
/// these addresses on the bridge, which says no to what is meant for the next sandbox of the server.
#[derive(Debug)]
pub struct Cable(String);

impl Drop for Cable {
    fn drop(&mut self) {
        // The kernel may have been quicker.
        let _ = Program::new("ip", "iproute2").args(["link", "del", &self.0]).output();
    }
}

/// Plugs it in: `name` is the end on the bridge, `pid` a process in the sandbox's network namespace.
///
/// # Panics
/// When the kernel says no.
pub fn plug_in(name: &str, pid: u32, mac: &str, address: &str) -> Cable {
    let pid = pid.to_string();
    ip(&["link", "add", name, "type", "veth", "peer", "name", "eth0", "address", mac, "netns", &pid]);
    let cable = Cable(name.to_owned());
    ip(&["link", "set", name, "master", BRIDGE, "up"]);
    let gateway = CONDUCTOR.to_string();
    let inside: [&[&str]; 4] = [
        &["link", "set", "lo", "up"],
        &["addr", "add", &format!("{address}/24"), "dev", "eth0"],
        &["link", "set", "eth0", "up"],
        &["route", "add", "default", "via", &gateway],
    ];
    for args in inside {
        let program = Program::new("nsenter", "util-linux").args(["--net", "--target", &pid, "--", "ip"]).args(args);
        if let Err(error) = program.output() {
            panic!("ip {} in the sandbox: {error}", args.join(" "));
        }
    }
    cable
}

fn ip(args: &[&str]) {
    if let Err(error) = Program::new("ip", "iproute2").args(args).output() {
        panic!("ip {}: {error}", args.join(" "));
    }
}
