//! Figures for Prometheus: what they say, and what a look costs with ten thousand nodes; long lists of all kinds as streams.

use crate::site::Site;
use conductor::model::node::Node;
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use uuid::Uuid;

const NODES: usize = 10_000;
/// A look, also on a busy machine and in a build that is not optimized.
const LOOK: Duration = Duration::from_millis(500);

async fn page(site: &Site) -> String {
    let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let answer = client.get(format!("{}/metrics", site.base)).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    answer.text().await.unwrap()
}

#[tokio::test]
async fn steps_that_ran_are_timed_by_flow_interface_and_name() {
    let site = Site::with(|config, _| config.api.enable_metrics = true).await;
    let node = site.node("stepper").await;
    site.provision(&node, "manage", "manageable").await;
    let steps = json!([{"interface": "power", "step": "power_on"}]);
    let body = json!({"target": "clean", "clean_steps": steps, "disable_ramdisk": true});
    site.put(&format!("/v1/nodes/{node}/states/provision"), body).await.expect(202);
    site.reaches(&node, "manageable").await;
    let page = page(&site).await;
    let labels = "kind=\"clean\",interface=\"power\",step=\"power_on\"";
    let line = page.lines().find(|line| line.starts_with("wrought_step_seconds_count") && line.contains(labels));
    assert!(line.is_some_and(|line| !line.ends_with(" 0")), "{page}");
    assert!(page.ends_with("# EOF\n"));
}

#[tokio::test]
async fn a_look_at_ten_thousand_nodes_reads_none_of_them() {
    let site = Site::with(|config, _| config.api.enable_metrics = true).await;
    let store = site.store();
    let large = json!({"text": "x".repeat(8 * 1024)});
    for piece in 0..NODES / 500 {
        let nodes = (0..500).map(|number| {
            let mut node = Node::new(Uuid::new_v4(), "fake-hardware");
            node.name = Some(format!("n{piece}-{number}"));
            node.extra.insert("large".into(), large.clone());
            store.create_node(node)
        });
        join_all(nodes).await.into_iter().for_each(|made| drop(made.unwrap()));
    }
    let mut times = Vec::new();
    for _ in 0..20 {
        let begin = Instant::now();
        assert!(page(&site).await.contains(&format!("wrought_nodes{{state=\"enroll\"}} {NODES}\n")));
        times.push(begin.elapsed());
    }
    times.sort();
    println!("a look at {NODES} nodes of 8 KiB: {:?} in the middle, {:?} at most", times[10], times[19]);
    assert!(times[10] < LOOK, "{times:?}");
}

/// Resource, name of its list, body of the so-manieth of a node.
type Kind = (&'static str, &'static str, fn(&str, usize) -> Value);

#[tokio::test]
async fn long_lists_of_every_kind_are_streams_and_go_on_where_they_ended() {
    const COUNT: usize = 120;
    let site = Site::start().await;
    let node = site.node("of-all").await;
    let kinds: [Kind; 6] = [
        ("chassis", "chassis", |_, number| json!({"description": format!("c{number}")})),
        (
            "ports",
            "ports",
            |node, number| json!({"node_uuid": node, "address": format!("52:54:00:00:00:{number:02x}")}),
        ),
        ("portgroups", "portgroups", |node, number| json!({"node_uuid": node, "name": format!("g{number}")})),
        (
            "volume/connectors",
            "connectors",
            |node, number| json!({"node_uuid": node, "type": "iqn", "connector_id": format!("iqn.2026-11.example:{number}")}),
        ),
        ("deploy_templates", "deploy_templates", |_, number| {
            let step = json!({"interface": "bios", "step": "factory_reset", "args": {}, "priority": 1});
            json!({"name": format!("CUSTOM_{number}"), "steps": [step]})
        }),
        ("runbooks", "runbooks", |_, number| {
            let step = json!({"interface": "bios", "step": "factory_reset", "args": {}, "order": 1});
            json!({"name": format!("CUSTOM_R{number}"), "steps": [step]})
        }),
    ];
    for (path, list, body) in kinds {
        for number in 0..COUNT {
            site.post(&format!("/v1/{path}"), body(&node, number)).await.expect(201);
        }
        let reply = site.get(&format!("/v1/{path}")).await.expect(200);
        assert_eq!(reply.header("content-length"), None, "{path} is sent as it is read");
        let all: Vec<&Value> = reply.body[list].as_array().unwrap().iter().collect();
        assert_eq!(all.len(), COUNT, "{path}");
        let first = site.get(&format!("/v1/{path}?limit=70")).await.expect(200).body;
        let next = first["next"].as_str().unwrap().strip_prefix(&site.base).unwrap().to_owned();
        let rest = site.get(&next).await.expect(200).body;
        let both: Vec<&Value> = [&first, &rest].iter().flat_map(|page| page[list].as_array().unwrap()).collect();
        assert_eq!(both, all, "{path}");
    }
}
