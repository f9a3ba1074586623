//! Bad networks and bad BMCs: nothing hangs, nothing panics, nobody else waits.

use crate::site::{LOOPBACK, PATIENCE, Site, failure, is, open, options, registry, set, target};
use conductor::driver::ipmi::IpmiOptions;
use conductor::model::power::{PowerState, PowerTarget};
use serde_json::json;
use std::time::{Duration, Instant};
use tests::bmc::Chassis;
use tokio::net::UdpSocket;

#[tokio::test]
async fn lost_packets_are_sent_again() {
    let site = Site::start().await;
    let power = site.power();
    for every in [2, 3, 5] {
        site.server.forget_sessions();
        site.server.faults(|faults| faults.drop_every = Some(every));
        set(&power, PowerTarget::On).await;
        set(&power, PowerTarget::Off).await;
    }
    site.server.faults(|faults| (faults.drop_every, faults.lose_answers) = (None, 2));
    set(&power, PowerTarget::On).await;
}

#[tokio::test]
async fn garbage_changed_packets_and_replays_are_not_heard() {
    let site = Site::start().await;
    site.server.faults(|faults| faults.garbage = true);
    let power = site.power();
    for _ in 0..5 {
        set(&power, PowerTarget::On).await;
        set(&power, PowerTarget::Off).await;
    }
    assert_eq!(site.server.opened(), [17], "one session survived it all");
}

#[tokio::test]
async fn a_busy_bmc_is_asked_again() {
    let site = Site::start().await;
    site.server.faults(|faults| faults.busy = 3);
    is(&site.power(), PowerState::Off).await;
    assert_eq!(site.given(0, 0x01).len(), 4);
}

#[tokio::test]
async fn a_bmc_that_restarted_gets_a_new_session_at_once() {
    let site = Site::start().await;
    let power = site.power();
    is(&power, PowerState::Off).await;
    site.server.forget_sessions();
    let begin = Instant::now();
    is(&power, PowerState::Off).await;
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    assert_eq!(site.server.opened().len(), 2);
}

#[tokio::test]
async fn a_bmc_that_dies_during_a_wait_and_comes_back_does_not_end_it() {
    let short = Duration::from_millis(300);
    let site = Site::with(IpmiOptions { command_retry_timeout: short, ..options() }).await;
    let power = site.power();
    is(&power, PowerState::Off).await;
    site.server.faults(|faults| faults.stuck = true);
    let order = power.set(PowerTarget::On, PATIENCE);
    let accident = async {
        while site.given(0, 0x02).is_empty() {
            tokio::task::yield_now().await;
        }
        site.server.faults(|faults| faults.dead = true);
        tokio::time::sleep(short * 3).await; // longer than a command may take
        site.machine.on();
        site.server.faults(|faults| faults.dead = false);
    };
    let (result, ()) = tokio::join!(order, accident);
    result.unwrap();
    assert!(site.server.opened().len() >= 2);
}

#[tokio::test]
async fn a_dead_bmc_costs_its_own_time_and_nobody_elses() {
    let limit = Duration::from_secs(2);
    let options = IpmiOptions { command_retry_timeout: limit, ..options() };
    let dead = Site::with(options.clone()).await;
    dead.server.faults(|faults| faults.dead = true);
    let alive = Site::with(options).await;
    // Through one registry, as in a conductor.
    let power = open(&dead.registry, target("alive", alive.info())).power;
    let (first, second) = (dead.power(), dead.power());
    let begin = Instant::now();
    let ((first, second, ended), slowest) =
        tokio::join!(async { (first.state().await, second.state().await, begin.elapsed()) }, async {
            let mut slowest = Duration::ZERO;
            while begin.elapsed() < limit {
                let one = Instant::now();
                is(&power, PowerState::Off).await;
                slowest = slowest.max(one.elapsed());
            }
            slowest
        });
    assert!(ended < limit * 2 + Duration::from_secs(1), "{ended:?}");
    assert!(slowest < Duration::from_millis(500), "a living BMC waited {slowest:?} for a dead one");
    for text in [failure(first), failure(second)] {
        assert!(text.contains("no answer: check ipmi_address and ipmi_port"), "{text}");
    }
}

#[tokio::test]
async fn callers_in_a_queue_behind_a_dead_bmc_have_their_own_deadline() {
    let limit = Duration::from_secs(1);
    let site = Site::with(IpmiOptions { command_retry_timeout: limit, ..options() }).await;
    site.server.faults(|faults| faults.dead = true);
    let begin = Instant::now();
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let power = site.power();
            tokio::spawn(async move { failure(power.state().await) })
        })
        .collect();
    for one in waiting {
        one.await.unwrap();
    }
    assert!(begin.elapsed() < limit * 3, "they waited one after the other: {:?}", begin.elapsed());
}

#[tokio::test]
async fn a_closed_port_and_an_unknown_name_are_told_apart() {
    let free = UdpSocket::bind(LOOPBACK).await.unwrap().local_addr().unwrap().port();
    let registry = registry(IpmiOptions { command_retry_timeout: Duration::from_secs(1), ..options() });
    let state = async |address: &str| {
        let info = json!({"ipmi_address": address, "ipmi_port": free});
        failure(open(&registry, target("7e3a", info)).power.state().await)
    };
    assert!(state("127.0.0.1").await.contains("nothing listens there"));
    assert!(state("no-such-bmc.invalid").await.contains("cannot be resolved"));
}

#[tokio::test]
async fn a_flood_of_garbage_does_not_stop_the_clock() {
    let socket = UdpSocket::bind(LOOPBACK).await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let flood = tokio::spawn(async move {
        let mut buffer = [0; 256];
        let (_, from) = socket.recv_from(&mut buffer).await.unwrap();
        let mut packet = vec![6, 0, 0xff, 7, 6, 0x11];
        packet.resize(200, 0);
        loop {
            rand::fill(&mut packet[6..]);
            let _ = socket.send_to(&packet, from).await;
        }
    });
    let limit = Duration::from_secs(1);
    let registry = registry(IpmiOptions { command_retry_timeout: limit, ..options() });
    let power = open(&registry, target("7e3a", json!({"ipmi_address": "127.0.0.1", "ipmi_port": port}))).power;
    let begin = Instant::now();
    failure(power.state().await);
    assert!(begin.elapsed() < limit * 2, "{:?}", begin.elapsed());
    flood.abort();
}
