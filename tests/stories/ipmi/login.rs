//! Getting in: suites, keys, users, levels, sessions.

use crate::site::{LOOPBACK, Site, failure, is, open, options, registry, target};
use conductor::driver::ipmi::IpmiOptions;
use conductor::model::power::PowerState;
use serde_json::json;
use std::time::{Duration, Instant};
use tests::bmc::{BmcServer, MemoryChassis};

#[tokio::test]
async fn suite_17_is_taken_first_and_one_session_serves_all_commands() {
    let site = Site::start().await;
    let driver = site.driver(json!({}));
    for _ in 0..5 {
        is(&driver.power, PowerState::Off).await;
    }
    driver.management.unwrap().boot_device().await.unwrap();
    // Another node behind the same BMC, and the same node opened again.
    is(&open(&site.registry, target("other", site.info())).power, PowerState::Off).await;
    assert_eq!(site.server.opened(), [17]);
}

#[tokio::test]
async fn a_bmc_without_suite_17_is_met_with_suite_3() {
    for silent in [false, true] {
        let site = Site::start().await;
        let suites = vec![17];
        site.server.faults(|faults| if silent { faults.ignore_suites = suites } else { faults.refuse_suites = suites });
        is(&site.power(), PowerState::Off).await;
        site.server.forget_sessions();
        let begin = Instant::now();
        is(&site.power(), PowerState::Off).await;
        assert_eq!(site.server.opened(), [3, 3], "silent: {silent}");
        assert!(
            begin.elapsed() < Duration::from_secs(3),
            "the suite that worked is tried first: {:?}",
            begin.elapsed()
        );
    }
}

#[tokio::test]
async fn the_suite_of_driver_info_is_the_only_one() {
    let site = Site::start().await;
    is(&site.driver(json!({"ipmi_cipher_suite": 3})).power, PowerState::Off).await;
    assert_eq!(site.server.opened(), [3]);
    site.server.faults(|faults| faults.refuse_suites = vec![17]);
    let text = failure(site.driver(json!({"ipmi_cipher_suite": "17"})).power.state().await);
    assert!(text.starts_with("IPMI call failed: chassis power status: the BMC refuses this cipher suite"), "{text}");
    assert!(text.contains("ipmi_cipher_suite") && text.ends_with("tried suite 17"), "{text}");
}

#[tokio::test]
async fn a_bmc_that_keeps_its_capabilities_to_itself_is_no_obstacle() {
    let site = Site::start().await;
    site.server.faults(|faults| faults.no_capabilities = true);
    let begin = Instant::now();
    is(&site.power(), PowerState::Off).await;
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    site.server.forget_sessions();
    is(&site.power(), PowerState::Off).await;
    assert_eq!(site.server.opened(), [17, 17]);
}

#[tokio::test]
async fn k_g_opens_the_door_and_a_wrong_one_is_named() {
    let key = vec![0xab; 20];
    let machine = Box::new(MemoryChassis::default());
    let server = BmcServer::start_with_kg(LOOPBACK, "admin", "password", Some(key), machine).await.unwrap();
    let registry = registry(options());
    let power = |key: Option<String>| {
        let port = server.addr.port();
        let info = json!({"ipmi_address": "127.0.0.1", "ipmi_port": port, "ipmi_username": "admin",
            "ipmi_password": "password", "ipmi_hex_kg_key": key});
        open(&registry, target("7e3a", info)).power
    };
    for suite_key in ["AB", "ab"] {
        is(&power(Some(suite_key.repeat(20))), PowerState::Off).await;
    }
    assert!(failure(power(Some("cd".repeat(20))).state().await).contains("another K_g: correct ipmi_hex_kg_key"));
    assert!(failure(power(None).state().await).contains("a K_g set: put it into ipmi_hex_kg_key"));
}

#[tokio::test]
async fn a_wrong_password_fails_at_once_and_is_not_tried_again() {
    let site = Site::start().await;
    let begin = Instant::now();
    let text = failure(site.driver(json!({"ipmi_password": "passw0rd"})).power.state().await);
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert!(text.starts_with("IPMI call failed: ") && text.contains("ipmi_password"), "{text}");
    assert!(!text.contains("passw0rd"));
    // It has told the BMC to forget the attempt, and once only: no lock-out, no slot lost.
    while site.server.refused() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!((site.server.refused(), site.server.opened().len()), (1, 0));
    let text = failure(site.driver(json!({"ipmi_username": "root"})).power.state().await);
    assert!(text.contains("does not know this user: correct ipmi_username"), "{text}");
    let site = Site::with(IpmiOptions { command_retry_timeout: Duration::from_secs(3), ..options() }).await;
    site.server.faults(|faults| faults.ignore_users = true);
    let text = failure(site.power().state().await);
    assert!(text.contains("does not answer to the user: check ipmi_username"), "{text}");
}

#[tokio::test]
async fn levels_are_asked_for_and_their_refusal_is_explained() {
    let site = Site::start().await;
    let levels = || site.given(6, 0x3b);
    is(&site.driver(json!({"ipmi_priv_level": "OPERATOR"})).power, PowerState::Off).await;
    assert_eq!(levels(), [[3]]);
    is(&site.driver(json!({"ipmi_priv_level": "USER"})).power, PowerState::Off).await;
    assert_eq!(levels(), [[3]], "a session starts as USER");
    let user = site.driver(json!({"ipmi_priv_level": "USER"}));
    let text = failure(user.management.unwrap().inject_nmi().await);
    assert!(text.contains("privilege level is too low") && text.contains("ipmi_priv_level"), "{text}");
    site.server.faults(|faults| faults.level_limit = 3);
    let text = failure(site.driver(json!({})).power.state().await);
    assert!(text.contains("may not have the privilege level asked for: correct ipmi_priv_level"), "{text}");
}

#[tokio::test]
async fn an_unused_session_gives_its_slot_back_and_so_does_a_stop() {
    let site = Site::with(IpmiOptions { session_idle: Duration::from_millis(50), ..options() }).await;
    let power = site.power();
    for round in 1..3 {
        is(&power, PowerState::Off).await;
        let begin = Instant::now();
        while site.server.open_now() > 0 {
            assert!(begin.elapsed() < Duration::from_secs(10), "the session stays open");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(site.server.opened().len(), round);
    }
    let site = Site::start().await;
    is(&site.power(), PowerState::Off).await;
    assert_eq!(site.server.open_now(), 1);
    site.registry.close().await;
    assert_eq!(site.server.open_now(), 0);
}

#[tokio::test]
async fn taken_slots_are_waited_for() {
    let site = Site::with(IpmiOptions { command_retry_timeout: Duration::from_secs(3), ..options() }).await;
    site.server.faults(|faults| faults.no_slots = 2);
    is(&site.power(), PowerState::Off).await;
    site.server.forget_sessions();
    site.server.faults(|faults| faults.no_slots = u32::MAX);
    let text = failure(site.power().state().await);
    assert!(text.contains("all session slots of the BMC are taken"), "{text}");
}
