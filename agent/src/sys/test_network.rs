//! A network of a test's own: a thread in a namespace where nothing of this machine can be seen or changed.

use crate::sys::child::Program;
use nix::sched::{CloneFlags, unshare};

/// The network that the test is in.
pub struct TestNetwork;

/// Runs `story` on a thread whose network is its own. Without the permission the test has nothing to say: the reason is
/// printed.
pub fn in_own_network(story: impl FnOnce(&TestNetwork) + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| match unshare(CloneFlags::CLONE_NEWNET) {
            Ok(()) => {
                ip(&["link", "set", "lo", "up"]);
                story(&TestNetwork);
            }
            Err(error) => println!("skipped: no network namespace: {error}"),
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

fn ip(args: &[&str]) {
    Program::new("ip").args(args).succeed().unwrap();
}

impl TestNetwork {
    /// A cable with these two ends.
    pub fn pair(&self, one: &str, other: &str) {
        ip(&["link", "add", one, "type", "veth", "peer", "name", other]);
    }

    /// Switches it on and gives it an address (`192.0.2.1/24`), if any.
    pub fn up(&self, name: &str, address: &str) {
        ip(&["link", "set", name, "up"]);
        if !address.is_empty() {
            ip(&["address", "add", address, "dev", name]);
        }
    }

    /// The flags of the interface say that it is on.
    pub fn is_up(&self, name: &str) -> bool {
        let shown = Program::new("ip").args(["-o", "link", "show", "dev", name]).succeed().unwrap().text();
        shown.split(['<', '>']).nth(1).is_some_and(|flags| flags.split(',').any(|flag| flag == "UP"))
    }

    /// Any `ip` order.
    pub fn ip(&self, args: &[&str]) {
        ip(args);
    }
}
