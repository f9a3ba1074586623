//! Whole lives of fake-hardware nodes on a whole conductor without HTTP: requests in, states out.

use crate::claim::Claim;
use crate::config::{Config, Seconds};
use crate::flow::conductor::Conductor;
use crate::flow::request::{self, Caller, ProvisionRequest, RequestError};
use crate::flow::{let_go, run};
use crate::model::fsm::State;
use crate::model::node::Node;
use crate::model::power::{PowerState, PowerTarget};
use crate::service::Service;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

pub async fn site(folder: &tempfile::TempDir) -> Service {
    let mut config = Config::default();
    config.conductor.node_locked_retry_interval = Seconds(0.05);
    Service::open(Arc::new(config), folder.path()).await.unwrap()
}

async fn enroll(conductor: &Arc<Conductor>) -> Uuid {
    let node = Node::new(Uuid::new_v4(), "fake-hardware");
    request::create_node(conductor, node, Vec::new(), &Caller::default()).await.unwrap().uuid
}

async fn ask(conductor: &Arc<Conductor>, node: Uuid, verb: &str) -> Result<(), RequestError> {
    let request = ProvisionRequest { verb: verb.into(), ..ProvisionRequest::default() };
    request::provision(conductor, &node.to_string(), request, &Caller::default()).await
}

/// Waits until nobody holds the node and it is in `state`.
pub async fn reaches(conductor: &Arc<Conductor>, node: Uuid, state: State) -> Node {
    for _ in 0..500 {
        let record = conductor.store.node(&node.to_string()).await.unwrap();
        if record.provision_state == state && record.reservation.is_none() {
            return record;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let record = conductor.store.node(&node.to_string()).await.unwrap();
    panic!("{state} was not reached: {} last_error {:?}", record.provision_state, record.last_error);
}

#[tokio::test]
async fn a_fake_node_lives_from_enroll_to_active_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let service = site(&folder).await;
    let conductor = &service.conductor;
    let node = enroll(conductor).await;
    for (verb, end) in [
        ("manage", State::Manageable),
        ("inspect", State::Manageable),
        ("provide", State::Available),
        ("active", State::Active),
        ("rebuild", State::Active),
        ("deleted", State::Available),
        ("manage", State::Manageable),
        ("adopt", State::Active),
    ] {
        ask(conductor, node, verb).await.unwrap_or_else(|error| panic!("{verb}: {error}"));
        let record = reaches(conductor, node, end).await;
        assert_eq!((record.target_provision_state, record.last_error), (None, None), "after {verb}");
    }
    let error = ask(conductor, node, "provide").await.unwrap_err();
    let text = format!(
        "The requested action \"provide\" can not be performed on node \"{node}\" while it is in state \"active\"."
    );
    assert!(matches!(error, RequestError::Invalid(found) if found == text));
    service.stop().await;
}

#[tokio::test]
async fn power_is_recorded_and_a_held_node_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let service = site(&folder).await;
    let conductor = &service.conductor;
    let node = enroll(conductor).await;
    ask(conductor, node, "manage").await.unwrap();
    reaches(conductor, node, State::Manageable).await;
    request::power(conductor, &node.to_string(), PowerTarget::On, None, &Caller::default()).await.unwrap();
    let record = reaches(conductor, node, State::Manageable).await;
    assert_eq!((record.power_state, record.target_power_state), (Some(PowerState::On), None));
    let claim = Claim::take(&conductor.holder, node, "test").await.unwrap();
    let error = ask(conductor, node, "provide").await.unwrap_err();
    assert!(matches!(&error, RequestError::Conflict(text) if text.contains("is locked by host")), "{error}");
    claim.release().await;
    ask(conductor, node, "provide").await.unwrap();
    reaches(conductor, node, State::Available).await;
}

#[tokio::test]
async fn a_knock_is_answered_though_another_request_takes_the_node_first() {
    let folder = tempfile::tempdir().unwrap();
    let service = site(&folder).await;
    let conductor = &service.conductor;
    for _ in 0..20 {
        let node = enroll(conductor).await;
        let mut flow = Claim::take(&conductor.holder, node, "flow").await.unwrap();
        // The record says that there is work, the flow does not know it yet: the knock is for that.
        (flow.node.provision_state, flow.node.target_provision_state) = (State::Verifying, Some(State::Manageable));
        flow.save().await.unwrap();
        (flow.node.provision_state, flow.node.target_provision_state) = (State::Enroll, None);
        assert!(conductor.holder.mark(node));
        let other = async {
            let claim = loop {
                match Claim::take(&conductor.holder, node, "another request").await {
                    Ok(claim) => break claim,
                    Err(_) => tokio::task::yield_now().await,
                }
            };
            tokio::time::sleep(Duration::from_millis(5)).await; // it works on the node
            let_go(conductor, claim).await;
        };
        tokio::join!(biased; run(Arc::clone(conductor), flow), other);
        reaches(conductor, node, State::Manageable).await;
    }
    service.stop().await;
}

#[tokio::test]
async fn work_that_was_recorded_but_not_done_is_done_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let service = site(&folder).await;
    let node = enroll(&service.conductor).await;
    // A conductor that died right after its 202: the node is verifying, held, and nobody works on it.
    let (lease, mut record) =
        service.conductor.store.lease(node, &service.conductor.host, "manage", Duration::from_secs(600)).await.unwrap();
    record.provision_state = State::Verifying;
    record.target_provision_state = Some(State::Manageable);
    service.conductor.store.save(&record, &lease, vec![]).await.unwrap();
    service.stop().await;
    let service = site(&folder).await;
    reaches(&service.conductor, node, State::Manageable).await;
}

#[tokio::test]
async fn a_request_does_not_wait_for_an_agent_that_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let service = site(&folder).await;
    let conductor = &service.conductor;
    let node = enroll(conductor).await;
    // It takes connections and never says a word.
    let hung = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (lease, mut record) =
        conductor.store.lease(node, &conductor.host, "test", Duration::from_secs(60)).await.unwrap();
    record.provision_state = State::CleanWait;
    record.flow.stage = crate::model::plan::STEPS.into();
    let step = serde_json::json!({"interface": "deploy", "step": "erase_devices"});
    record.clean_step = step.as_object().unwrap().clone();
    let url = format!("http://{}", hung.local_addr().unwrap());
    record.driver_internal_info.insert("agent_url".into(), url.into());
    record.driver_internal_info.insert("agent_secret_token".into(), "t".repeat(43).into());
    conductor.store.save(&record, &lease, vec![]).await.unwrap();
    conductor.store.release(&lease).await.unwrap();
    let ident = node.to_string();
    let caller = Caller::default();
    let asked = request::set_maintenance(conductor, &ident, true, None, &caller);
    tokio::time::timeout(Duration::from_secs(20), asked).await.expect("not the agent's 60 s").unwrap();
    assert!(conductor.store.node(&ident).await.unwrap().reservation.is_none(), "the node is free again");
}

#[test]
fn what_autodetect_chooses_from_must_be_enabled_and_work_here() {
    let said = |enabled: &[&str], list: &[&str]| {
        let names = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let mut config = Config::default();
        config.top.enabled_deploy_interfaces = names(enabled);
        config.top.autodetect_deploy_interfaces = names(list);
        super::autodetect(&config).map_err(|error| error.to_string())
    };
    assert_eq!(super::autodetect(&Config::default()).map_err(|error| error.to_string()), Ok(()));
    assert_eq!(said(&["direct"], &["ramdisk"]), Ok(()), "nobody uses the list");
    for (list, words) in [
        (["direct", "ramdisk"], "names `ramdisk`"),
        (["anaconda", "direct"], "names `anaconda`"),
        (["autodetect", "direct"], "names `autodetect`"),
    ] {
        let error = said(&["autodetect", "direct", "anaconda"], &list).unwrap_err();
        assert!(error.contains(words) && error.contains("autodetect, direct, anaconda"), "{error}");
    }
    assert!(said(&["autodetect"], &[]).unwrap_err().contains("is empty"));
}
