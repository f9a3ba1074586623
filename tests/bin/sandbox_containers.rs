//! A real podman in the sandbox: folders that it may write, and settings with which it works where this process may not
//! raise limits, make device nodes, or use the machine's own groups of control.

use crate::put;
use std::fs;
use std::path::Path;

/// The machine's own folders of these names must be there, so that nothing is made on its disk.
const FOLDERS: [&str; 2] = ["/etc/containers", "/var/lib/containers"];

/// Limits are those that this process has anyway: it may not raise any. The network is the sandbox's; nobody can make others in it.
const SETTINGS: &str = r#"[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
pids_limit = 0
netns = "host"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"#;

/// Copies instead of layers of the kernel: these go on any file system.
const STORAGE: &str = r#"[storage]
driver = "vfs"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
"#;

const POLICY: &str = r#"{"default": [{"type": "insecureAcceptAnything"}]}"#;

/// The stories' registry, on the address of their conductor, has no certificate.
const REGISTRIES: &str = r#"[[registry]]
location = "172.22.0.1:5000"
insecure = true
"#;

/// Lays what podman needs over the machine's own.
pub fn lay() {
    for folder in FOLDERS {
        assert!(Path::new(folder).is_dir(), "{folder} is not there: run `.ci/setup-peers` as root");
        put("tmpfs", Path::new(folder), "");
    }
    let settings = Path::new(FOLDERS[0]);
    for (name, text) in [
        ("containers.conf", SETTINGS),
        ("storage.conf", STORAGE),
        ("policy.json", POLICY),
        ("registries.conf", REGISTRIES),
    ] {
        fs::write(settings.join(name), text).expect("a setting of podman");
    }
    // Runtimes refuse the old and the new kind of groups side by side, which this machine may have.
    put("cgroup2", Path::new("/sys/fs/cgroup"), "");
}
