//! Intel's converged network adapters (driver i40e): their own LLDP agent swallows what switches send, so it is stopped
//! when somebody wants to listen.

use super::{BuiltIn, MAINLINE, NONE, Wishes};
use crate::sys::ramdisk;
use crate::sys::sysfs::Roots;

const DRIVER: &str = "i40e";
/// Made by the driver in debugfs, a folder for each port.
const FOLDER: &str = "/sys/kernel/debug/i40e";

pub(super) const MANAGER: BuiltIn = BuiltIn {
    class: "IntelCnaHardwareManager",
    name: "IntelCnaHardwareManager",
    version: "1.0",
    level,
    offers: &[],
    initialize,
};

fn level(roots: &Roots) -> u8 {
    let module = |name: &String| roots.link_name(format!("/sys/class/net/{name}/device/driver/module"));
    let found = roots.entries("/sys/class/net").iter().any(|name| module(name).as_deref() == Some(DRIVER));
    if found { MAINLINE } else { NONE }
}

fn initialize(roots: &Roots, wishes: &Wishes) {
    if !wishes.collect_lldp {
        return;
    }
    if roots.is_machine() && ramdisk::root_is_ramdisk() && !roots.exists(FOLDER) {
        let (kind, none): (Option<&str>, Option<&str>) = (Some("debugfs"), None);
        let flags = nix::mount::MsFlags::MS_NOSUID | nix::mount::MsFlags::MS_NODEV | nix::mount::MsFlags::MS_NOEXEC;
        if let Err(error) = nix::mount::mount(kind, "/sys/kernel/debug", kind, flags, none) {
            tracing::warn!(%error, "debugfs cannot be mounted");
        }
    }
    stop_agents(roots);
}

/// Tells each port; one that refuses is named in the log, and only its switch stays unknown.
fn stop_agents(roots: &Roots) {
    let ports = roots.entries(FOLDER);
    if ports.is_empty() {
        tracing::warn!(folder = FOLDER, "the LLDP agents of the Intel adapters cannot be stopped: no debugfs there");
    }
    for port in ports {
        let command = roots.path(format!("{FOLDER}/{port}/command"));
        match std::fs::OpenOptions::new()
            .write(true)
            .open(&command)
            .and_then(|mut file| std::io::Write::write_all(&mut file, b"lldp stop"))
        {
            Ok(()) => tracing::info!(%port, "the adapter's own LLDP agent is stopped"),
            Err(error) => {
                tracing::warn!(%port, %error, "the adapter's own LLDP agent goes on; its switch may stay unknown")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FOLDER, initialize};
    use crate::step::provider::Wishes;
    use crate::sys::test_tree::TestTree;

    #[test]
    fn each_port_is_told_only_if_somebody_listens() {
        let tree = TestTree::new();
        let commands = ["0000:18:00.0", "0000:18:00.1"].map(|port| format!("{FOLDER}/{port}/command")[1..].to_owned());
        tree.file(&commands[0], "").file(&commands[1], "").folder(&format!("{}/odd", &FOLDER[1..]));
        let written = || commands.each_ref().map(|file| std::fs::read_to_string(tree.roots().path(file)).unwrap());
        initialize(&tree.roots(), &Wishes { collect_lldp: false });
        assert_eq!(written(), ["", ""]);
        initialize(&tree.roots(), &Wishes { collect_lldp: true });
        assert_eq!(written(), ["lldp stop", "lldp stop"]);
    }
}
