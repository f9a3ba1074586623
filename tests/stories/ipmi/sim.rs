//! OpenIPMI's `ipmi_sim`: a BMC by others, suite 3 and IPMI 1.5, with the habits that real ones have.

use crate::site::{LOOPBACK, failure, is, open, options, registry, set, target};
use conductor::driver::registry::Registry;
use conductor::driver::traits::{Driver, DriverError};
use conductor::model::power::{BootDevice, PowerState, PowerTarget};
use serde_json::{Value, json};
use std::fs::{Permissions, read_to_string, set_permissions, write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::net::UdpSocket;
use tokio::process::{Child, Command};

/// The machine: files beside the script. The simulator calls it with `get power`, `set boot pxe`, …
const CHASSIS: &str = r#"#!/bin/sh
cd "${0%/*}" || exit 1
op=$1; shift
while [ $# -gt 0 ]; do
  case $op in
    get) echo "$1:$(cat "$1" 2>/dev/null || echo 0)"; shift;;
    set) echo "$1 $2" >> orders
      case $1 in shutdown) echo 0 > power;; reset) ;; *) echo "$2" > "$1";; esac
      shift 2;;
  esac
done
"#;

const EMULATION: &str = "mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
mc_add 0x30 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
mc_enable 0x20
mc_enable 0x30
";

/// A running simulator; it ends when dropped.
struct Sim {
    folder: TempDir,
    port: u16,
    registry: Registry,
    _child: Child,
}

impl Sim {
    async fn start() -> Sim {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        write(path("chassis"), CHASSIS).unwrap();
        set_permissions(path("chassis"), Permissions::from_mode(0o755)).unwrap();
        write(path("power"), "0").unwrap();
        write(path("bmc.emu"), EMULATION).unwrap();
        std::fs::create_dir(path("state")).unwrap();
        // Free when asked for; the simulator cannot be given an open socket.
        let port = UdpSocket::bind(LOOPBACK).await.unwrap().local_addr().unwrap().port();
        let auths: String = ["callback", "user", "operator", "admin"]
            .map(|level| format!("    allowed_auths_{level} none md2 md5 straight\n"))
            .concat();
        let chassis = path("chassis");
        let configuration = format!(
            "name \"sim\"\nset_working_mc 0x20\n  startlan 1\n    addr 127.0.0.1 {port}\n    priv_limit admin\n{auths}    \
             guid a123456789abcdefa123456789abcdef\n  endlan\n  chassis_control \"{0}\"\n  \
             user 1 false \"\" \"\" user 10 none md2 md5 straight\n  \
             user 2 true \"admin\" \"password\" admin 10 none md2 md5 straight\n\
             set_working_mc 0x30\n  chassis_control \"{0}\"\n",
            chassis.display()
        );
        write(path("lan.conf"), configuration).unwrap();
        let child = Command::new("ipmi_sim")
            .arg("-c")
            .arg(path("lan.conf"))
            .arg("-f")
            .arg(path("bmc.emu"))
            .arg("-s")
            .arg(path("state"))
            .arg("-n")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("ipmi_sim cannot be started: apt-get install openipmi");
        Sim { folder, port, registry: registry(options()), _child: child }
    }

    fn driver(&self, more: Value) -> Driver {
        let mut info = json!({"ipmi_address": "127.0.0.1", "ipmi_port": self.port, "ipmi_username": "admin",
            "ipmi_password": "password"});
        info.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        open(&self.registry, target("7e3a", info))
    }

    fn orders(&self) -> String {
        read_to_string(self.folder.path().join("orders")).unwrap_or_default()
    }
}

async fn lives_a_whole_life(more: Value) {
    let sim = Sim::start().await;
    let driver = sim.driver(more);
    is(&driver.power, PowerState::Off).await;
    for want in [PowerTarget::On, PowerTarget::Reboot, PowerTarget::Off, PowerTarget::Reboot, PowerTarget::SoftOff] {
        set(&driver.power, want).await;
    }
    set(&driver.power, PowerTarget::SoftReboot).await;
    let management = driver.management.unwrap();
    for device in [BootDevice::Pxe, BootDevice::Cdrom, BootDevice::Bios] {
        management.set_boot_device(device, true).await.unwrap();
        assert_eq!(management.boot_device().await.unwrap().device, Some(device));
    }
    // It stores "default" and drops "persistent": no failure, and no lie about it either.
    management.set_boot_device(BootDevice::Disk, true).await.unwrap();
    assert_ne!(management.boot_device().await.unwrap().device, Some(BootDevice::Bios));
    let nmi = management.inject_nmi().await;
    assert!(matches!(nmi, Err(DriverError::Failed(_) | DriverError::Unsupported(_))), "it has none: {nmi:?}");
    let orders = sim.orders();
    assert!(orders.contains("shutdown 1") && orders.contains("boot pxe"), "{orders}");
}

#[tokio::test]
async fn it_is_driven_with_suite_3_after_refusing_17() {
    lives_a_whole_life(json!({})).await;
}

#[tokio::test]
async fn it_is_driven_with_ipmi_1_5() {
    lives_a_whole_life(json!({"ipmi_protocol_version": "1.5"})).await;
}

#[tokio::test]
async fn it_is_driven_with_suites_1_and_2() {
    let sim = Sim::start().await;
    for suite in [1, 2] {
        set(&sim.driver(json!({"ipmi_cipher_suite": suite})).power, PowerTarget::On).await;
        set(&sim.driver(json!({"ipmi_cipher_suite": suite})).power, PowerTarget::Off).await;
    }
}

#[tokio::test]
async fn its_refusals_are_explained() {
    let sim = Sim::start().await;
    is(&sim.driver(json!({})).power, PowerState::Off).await;
    let state = async |more| failure(sim.driver(more).power.state().await);
    assert!(state(json!({"ipmi_password": "wrong"})).await.contains("ipmi_password"));
    assert!(state(json!({"ipmi_username": "nobody"})).await.contains("ipmi_username"));
    assert!(state(json!({"ipmi_cipher_suite": 17})).await.contains("refuses this cipher suite"));
    let old = state(json!({"ipmi_password": "wrong", "ipmi_protocol_version": "1.5"})).await;
    assert!(old.contains("ipmi_password"), "{old}");
}

#[tokio::test]
async fn a_controller_behind_it_is_reached_by_a_bridge() {
    let sim = Sim::start().await;
    let bridge = |address| json!({"ipmi_bridging": "single", "ipmi_target_channel": 0, "ipmi_target_address": address});
    is(&sim.driver(bridge("0x30")).power, PowerState::Off).await;
    set(&sim.driver(bridge("48")).power, PowerTarget::On).await;
    let text = failure(sim.driver(bridge("0x44")).power.state().await);
    assert!(text.contains("check the ipmi_target_ and ipmi_transit_ keys"), "{text}");
}
