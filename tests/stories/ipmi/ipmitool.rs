//! `ipmitool` judges our BMC side: what it can drive is RMCP+ as others understand it.

use crate::site::Site;
use std::process::Stdio;
use std::time::Duration;
use tests::bmc::Chassis;
use tokio::process::Command;
use tokio::time::timeout;

/// Runs it and gives its output; an error is the test's.
async fn ipmitool(site: &Site, suite: &str, password: &str, words: &str) -> Result<String, String> {
    let child = Command::new("ipmitool")
        .args(["-I", "lanplus", "-H", "127.0.0.1", "-p", &site.server.addr.port().to_string(), "-C", suite])
        .args(["-U", "admin", "-P", password, "-N", "1", "-R", "2"])
        .args(words.split(' '))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(Duration::from_secs(30), child).await.expect("ipmitool hangs");
    let output = output.expect("ipmitool cannot be started: apt-get install ipmitool");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

async fn drives_everything(suite: &str, number: u8) {
    let site = Site::start().await;
    let run = async |words: &str| ipmitool(&site, suite, "password", words).await.unwrap();
    assert!(run("power status").await.contains("Chassis Power is off"));
    run("power on").await;
    assert!(site.machine.is_on());
    assert!(run("power status").await.contains("Chassis Power is on"));
    run("chassis bootdev pxe options=persistent,efiboot").await;
    assert_eq!(site.machine.boot_flags()[..2], [0xe0, 0x04]);
    let read = run("chassis bootparam get 5").await;
    assert!(read.contains("Force PXE") && read.contains("all future boots") && read.contains("EFI boot"), "{read}");
    assert!(run("mc info").await.contains("IPMI Version              : 2.0"));
    run("power cycle").await;
    assert_eq!(site.machine.cycles(), 1);
    run("power off").await;
    assert!(!site.machine.is_on());
    assert!(site.server.opened().iter().all(|opened| *opened == number));
    assert_eq!(site.server.open_now(), 0, "ipmitool closed each session");
    ipmitool(&site, suite, "passw0rd", "power status").await.unwrap_err();
}

#[tokio::test]
async fn ipmitool_drives_our_bmc_with_suite_17() {
    drives_everything("17", 17).await;
}

#[tokio::test]
async fn ipmitool_drives_our_bmc_with_suite_3() {
    drives_everything("3", 3).await;
}
