//! A machine that was discovered by a conductor that died then is looked at by the next one.

use super::tests::{reaches, site};
use crate::model::fsm::State;
use crate::model::node::Node;
use crate::model::plan::ARRIVED;
use crate::store::PortFilter;
use crate::store::records::RecordChange;
use serde_json::{Value, json};
use uuid::Uuid;

fn data() -> Value {
    json!({"inventory": {"interfaces": [{"name": "eno1", "mac_address": "52:54:00:d1:00:01", "ipv4_address": "192.0.2.7"}],
        "cpu": {"count": 4, "architecture": "aarch64"}}, "auto_discovered": true})
}

/// As [`crate::flow::request`] leaves it, and as a kill does that comes right then.
async fn left_behind(data: Value) -> Node {
    let folder = tempfile::tempdir().unwrap();
    let service = site(&folder).await;
    let mut node = Node::new(Uuid::new_v4(), "fake-hardware");
    node.flow.stage = ARRIVED.into();
    let along = vec![RecordChange::PutArrival(node.uuid, data)];
    let node = service.conductor.store.create_node_with(node, along).await.unwrap().uuid;
    service.stop().await;
    let service = site(&folder).await;
    let conductor = &service.conductor;
    for _ in 0..500 {
        let record = reaches(conductor, node, State::Enroll).await;
        if record.flow.stage.is_empty() {
            let ports = PortFilter { node: Some(node), ..PortFilter::default() };
            let ports = conductor.store.ports(&crate::policy::Visible::Everything, &ports, &Default::default()).await;
            assert_eq!(ports.unwrap().len(), usize::from(record.last_error.is_none()));
            assert_eq!(conductor.store.inventory(node).await.unwrap().is_some(), record.last_error.is_none());
            assert_eq!(conductor.store.arrival(node).await.unwrap(), None);
            service.stop().await;
            return record;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("nobody looked at it");
}

#[tokio::test]
async fn what_was_discovered_before_a_restart_is_looked_at_after_it() {
    let node = left_behind(data()).await;
    assert_eq!((&node.properties["cpu_arch"], node.power_state), (&json!("aarch64"), None));
    assert_eq!(node.last_error, None);
}

#[tokio::test]
async fn what_cannot_be_used_leaves_the_node_in_enroll_with_the_reason() {
    let mut bad = data();
    bad["error"] = json!("the BMC did not answer");
    let node = left_behind(bad).await;
    let error = node.last_error.unwrap_or_default();
    assert!(error.contains("Failed to finish inspection: the ramdisk reported: the BMC did not answer"), "{error}");
}
