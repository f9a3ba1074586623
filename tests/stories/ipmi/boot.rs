//! Boot device and NMI.

use crate::site::{PATIENCE, Site, set};
use conductor::driver::traits::{BootSetting, DriverError};
use conductor::model::power::{BootDevice, PowerTarget};
use serde_json::json;
use tests::bmc::Chassis;

#[tokio::test]
async fn the_boot_device_is_set_and_read_back() {
    let site = Site::start().await;
    let management = site.management(false, json!({}));
    for &device in management.supported_boot_devices() {
        for persistent in [true, false] {
            management.set_boot_device(device, persistent).await.unwrap();
            let setting = BootSetting { device: Some(device), persistent: Some(persistent) };
            assert_eq!(management.boot_device().await.unwrap(), setting);
        }
    }
    let refused = management.set_boot_device(BootDevice::UefiHttp, false).await;
    assert!(matches!(refused, Err(DriverError::Invalid(text)) if text.contains("uefihttp")));
}

#[tokio::test]
async fn uefi_machines_get_the_uefi_bit_and_the_60_seconds_are_lifted_unless_told_not_to() {
    let site = Site::start().await;
    let kept = |site: &Site| site.given(0, 0x08).contains(&vec![3, 8]);
    let no_timeout = json!({"ipmi_disable_boot_timeout": false});
    site.management(true, no_timeout).set_boot_device(BootDevice::Pxe, true).await.unwrap();
    assert!(!kept(&site));
    assert_eq!(site.machine.boot_flags(), [0xe0, 0x04, 0, 0, 0]);
    site.management(true, json!({})).set_boot_device(BootDevice::Pxe, false).await.unwrap();
    assert!(kept(&site));
    assert_eq!(site.machine.boot_flags(), [0xa0, 0x04, 0, 0, 0]);
}

#[tokio::test]
async fn a_bmc_that_takes_only_the_flags_themselves_is_good_enough() {
    let site = Site::start().await;
    site.server.faults(|faults| faults.refuse_boot_options = vec![0, 3, 4]);
    let management = site.management(false, json!({}));
    management.set_boot_device(BootDevice::Disk, true).await.unwrap();
    assert_eq!(site.machine.boot_flags(), [0xc0, 0x08, 0, 0, 0]);
    site.server.faults(|faults| faults.refuse_boot_options = vec![5]);
    let refused = management.set_boot_device(BootDevice::Disk, true).await;
    assert!(matches!(refused, Err(DriverError::Unsupported(text)) if text.contains("chassis bootdev")));
}

#[tokio::test]
async fn supermicro_boards_get_their_own_word_for_the_uefi_disk() {
    let site = Site::start().await;
    site.server.faults(|faults| faults.manufacturer = 10_876);
    let management = site.management(true, json!({}));
    management.set_boot_device(BootDevice::Disk, true).await.unwrap();
    assert_eq!(site.machine.boot_flags()[1], 0x24);
    assert_eq!(management.boot_device().await.unwrap().device, Some(BootDevice::Disk));
    management.set_boot_device(BootDevice::Disk, false).await.unwrap();
    assert_eq!(site.given(6, 0x01).len(), 1, "the manufacturer is asked for once");
}

#[tokio::test]
async fn a_forgetful_bmc_is_told_before_each_power_on() {
    let site = Site::start().await;
    let forgetful = json!({"ipmi_force_boot_device": true});
    let forget = || site.machine.set_boot_flags([0; 5]);
    let on = async || {
        site.machine.off();
        set(&site.driver(forgetful.clone()).power, PowerTarget::On).await;
        site.machine.boot_flags()[1]
    };
    site.management(false, forgetful.clone()).set_boot_device(BootDevice::Disk, true).await.unwrap();
    for _ in 0..2 {
        forget();
        assert_eq!(on().await, 0x08, "the disk, although the BMC forgot it");
    }
    // A device for one boot goes before, and the disk comes back afterwards.
    site.management(false, forgetful.clone()).set_boot_device(BootDevice::Pxe, false).await.unwrap();
    assert_eq!(on().await, 0x04);
    forget();
    site.driver(forgetful.clone()).power.set(PowerTarget::Reboot, PATIENCE).await.unwrap();
    assert_eq!(site.machine.boot_flags()[1], 0x08);
}

#[tokio::test]
async fn an_nmi_arrives_once_even_when_nobody_hears_of_it() {
    let site = Site::start().await;
    site.machine.on();
    let management = site.management(false, json!({}));
    management.inject_nmi().await.unwrap();
    assert_eq!(site.machine.nmis(), 1);
    site.server.faults(|faults| faults.lose_answers = 1);
    let text = management.inject_nmi().await.unwrap_err().to_string();
    assert!(text.contains("may have been done"), "{text}");
    assert_eq!(site.machine.nmis(), 2);
}
