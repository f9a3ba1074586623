//! The conductor as users run it: the built program with a configuration file, killed and restarted at will.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::network::{BRIDGE, CONDUCTOR};
use crate::ramdisk::ramdisk;
use crate::workspace;

/// The process. It dies with its story.
#[derive(Debug)]
pub struct Conductor {
    dir: PathBuf,
    process: Mutex<Option<Child>>,
}

/// Every wait is short: with the defaults, made for machines that take minutes, a story would take minutes, too.
fn configuration() -> String {
    let files = ramdisk();
    format!(
        r#"auth_strategy = "noauth"

[api]
host_ip = "{CONDUCTOR}"
ramdisk_heartbeat_timeout = 10

[conductor]
check_provision_state_interval = 0.5
sync_power_state_interval = 5
power_failure_recovery_interval = 5
power_state_change_timeout = 30
deploy_callback_timeout = 120
clean_callback_timeout = 120
inspect_wait_timeout = 120

[deploy]
deploy_kernel = "{kernel}"
deploy_ramdisk = "{initramfs}"
erase_devices_priority = 0

[agent]
command_wait_interval = 0.5
post_deploy_get_power_state_retries = 60
post_deploy_get_power_state_retry_interval = 0.5

[pxe]
tftp_enabled = true
kernel_append_params = "console=tty0 console=ttyS0 quiet panic=5"

[boot]
provisioning_address = "{CONDUCTOR}"
interface = "{BRIDGE}"

[dhcp]
mode = "full"
range_start = "172.22.0.100"
range_end = "172.22.0.199"
router = "{CONDUCTOR}"
ra_prefix = "fd22::/64"
"#,
        kernel = files.kernel.display(),
        initramfs = files.initramfs.display(),
    )
}

impl Conductor {
    /// Starts it with its folder below `parent`. `options` come on top of the lab's own, as `section.key = value`.
    ///
    /// # Panics
    /// When it is not built or cannot be started.
    pub fn start(parent: &Path, options: &[(&str, toml::Value)]) -> Self {
        let mut table: toml::Table = configuration().parse().expect("the lab's own configuration");
        for (name, value) in options {
            let (section, key) = name.split_once('.').expect("section.key");
            let section = table.entry(section).or_insert_with(|| toml::Table::new().into());
            section.as_table_mut().expect("a section").insert(key.to_owned(), value.clone());
        }
        let dir = parent.join("conductor");
        fs::create_dir_all(&dir).expect("the story's folder");
        fs::write(dir.join("conductor.toml"), table.to_string()).expect("the story's folder");
        let conductor = Conductor { dir, process: Mutex::default() };
        conductor.restart();
        conductor
    }

    /// Base of its API.
    pub fn url(&self) -> String {
        format!("http://{CONDUCTOR}:6385")
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Child::id)
    }

    /// Kills it at once (SIGKILL), as a power cut would.
    pub fn crash(&self) {
        if let Some(mut child) = self.process.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to stop (SIGTERM) and waits; false when it had to be killed.
    pub fn stop(&self, patience: Duration) -> bool {
        let Some(mut child) = self.process.lock().unwrap_or_else(PoisonError::into_inner).take() else { return true };
        let _ = kill(Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX)), Signal::SIGTERM);
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if matches!(child.try_wait(), Ok(Some(_))) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = child.kill();
        let _ = child.wait();
        false
    }

    /// Starts it again on the same data.
    ///
    /// # Panics
    /// When it is not built or cannot be started.
    pub fn restart(&self) {
        let log = || File::options().create(true).append(true).open(self.log_file()).expect("the conductor's log");
        let mut command = Command::new(workspace::program("conductor"));
        command.arg("serve").arg("--config").arg(self.dir.join("conductor.toml"));
        command.arg("--data-dir").arg(self.dir.join("data"));
        // Names that begin with WROUGHT_ are options to it: it gets none of ours.
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("RUST_BACKTRACE", "1");
        if let Some(level) = std::env::var_os("LAB_CONDUCTOR_LOG") {
            command.env("WROUGHT_LOG", level);
        }
        command.stdin(Stdio::null()).stdout(log()).stderr(log());
        let child = command.spawn().unwrap_or_else(|error| panic!("the conductor: {error}"));
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
    }

    /// Where it logs to.
    pub fn log_file(&self) -> PathBuf {
        self.dir.join("conductor.log")
    }

    /// Whether its process has ended by itself.
    pub fn has_died(&self) -> bool {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(Some(_))))
    }
}

impl Drop for Conductor {
    fn drop(&mut self) {
        self.crash();
    }
}
