//! A world of one's own for a program: fresh network, process and mount namespaces, which end with their first process.

use std::ffi::OsStr;
use std::process::Command;

/// `unshare` with `program` as the first process inside. Who is not root becomes root inside.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]).arg(program);
    command
}
