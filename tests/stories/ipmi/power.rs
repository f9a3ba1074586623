//! Power: orders are done when the BMC reports them done.

use crate::site::{PATIENCE, Site, failure, is, options, set};
use conductor::driver::ipmi::IpmiOptions;
use conductor::driver::traits::DriverError;
use conductor::model::power::{PowerState, PowerTarget};
use serde_json::json;
use std::time::{Duration, Instant};
use tests::bmc::Chassis;

/// Chassis Control orders that the BMC was given.
fn orders(site: &Site) -> Vec<u8> {
    site.given(0, 0x02).concat()
}

#[tokio::test]
async fn a_machine_is_switched_on_off_and_on_again_softly() {
    let site = Site::start().await;
    let power = site.power();
    set(&power, PowerTarget::On).await;
    assert!(site.machine.is_on());
    set(&power, PowerTarget::On).await;
    assert_eq!(orders(&site), [1], "it was on already");
    set(&power, PowerTarget::SoftOff).await;
    set(&power, PowerTarget::SoftOff).await;
    set(&power, PowerTarget::Off).await;
    set(&power, PowerTarget::SoftReboot).await;
    set(&power, PowerTarget::SoftReboot).await;
    assert_eq!(orders(&site), [1, 5, 0, 1, 5, 1]);
    assert_eq!(power.supported(), PowerTarget::ALL);
}

#[tokio::test]
async fn a_reboot_cycles_what_runs_and_switches_on_what_does_not() {
    let site = Site::start().await;
    let power = site.power();
    set(&power, PowerTarget::Reboot).await;
    assert_eq!((orders(&site), site.machine.cycles()), (vec![1], 0));
    set(&power, PowerTarget::Reboot).await;
    assert_eq!((orders(&site), site.machine.cycles()), (vec![1, 2], 1));
}

#[tokio::test]
async fn a_bmc_without_cycle_gets_off_and_on() {
    let site = Site::start().await;
    site.machine.on();
    site.server.faults(|faults| faults.refuse_control = vec![2]);
    set(&site.power(), PowerTarget::Reboot).await;
    assert_eq!((orders(&site), site.machine.cycles()), (vec![2, 0, 1], 0));
}

#[tokio::test]
async fn an_order_that_is_taken_and_not_done_is_a_failure_that_says_so() {
    let site = Site::start().await;
    site.server.faults(|faults| faults.stuck = true);
    let short = Duration::from_millis(300);
    let text = failure(site.power().set(PowerTarget::On, short).await);
    assert!(text.contains("'power on' was not reached within") && text.contains("still reports 'power off'"), "{text}");
    site.server.faults(|faults| faults.stuck = false);
    site.machine.on();
    site.machine.goes_deaf();
    let text = failure(site.power().set(PowerTarget::SoftOff, short).await);
    assert!(text.contains("did not react to the ACPI power button: use hard power off"), "{text}");
}

#[tokio::test]
async fn a_refusal_to_switch_off_what_is_off_is_no_failure() {
    let site = Site::start().await;
    site.server.faults(|faults| faults.refuse_control = vec![0]);
    set(&site.power(), PowerTarget::Off).await;
    site.machine.on();
    let refused = site.power().set(PowerTarget::Off, PATIENCE).await;
    assert!(matches!(refused, Err(DriverError::Unsupported(text)) if text.contains("0xcc")));
}

#[tokio::test]
async fn a_pause_between_commands_is_kept() {
    let pause = Duration::from_millis(60);
    let site = Site::with(IpmiOptions { min_command_interval: pause, ..options() }).await;
    let power = site.power();
    is(&power, PowerState::Off).await;
    let begin = Instant::now();
    for _ in 0..3 {
        is(&power, PowerState::Off).await;
    }
    assert!(begin.elapsed() >= pause * 3, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_status_on_an_open_session_is_quick() {
    let site = Site::start().await;
    let power = site.driver(json!({})).power;
    is(&power, PowerState::Off).await;
    let begin = Instant::now();
    for _ in 0..200 {
        is(&power, PowerState::Off).await;
    }
    let each = begin.elapsed() / 200;
    println!("a status takes {each:?}, both sides in one thread");
    assert!(each < Duration::from_millis(20), "{each:?}: something waits that should not");
}
