//! Many machines at once: hundreds in one process, and dead ones among them that delay nobody.

use std::sync::Arc;
use std::time::{Duration, Instant};
use tests::sim::{Node, Site};
use tokio::task::JoinSet;

/// Nodes that are at work at the same time, so that the test's own sockets do not become the limit.
const ABREAST: usize = 50;

async fn each<F>(nodes: Vec<Node>, work: impl Fn(Node) -> F) -> Vec<Node>
where
    F: Future<Output = Node> + Send + 'static,
{
    let (mut set, mut done) = (JoinSet::new(), Vec::new());
    for node in nodes {
        if set.len() == ABREAST {
            done.extend(set.join_next().await.map(|node| node.expect("its story goes well")));
        }
        set.spawn(work(node));
    }
    while let Some(node) = set.join_next().await {
        done.push(node.expect("its story goes well"));
    }
    done
}

async fn to_active(node: Node) -> Node {
    let patience = Duration::from_secs(60);
    node.ask("manage").await.expect(202);
    node.reaches_within("manageable", patience).await;
    node.ask("provide").await.expect(202);
    node.reaches_within("available", patience).await;
    node.deploy("image").await;
    node.reaches_within("active", patience).await;
    node
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_machines_are_deployed_by_one_process() {
    let site = Site::with().set("conductor", "automated_clean", false).start().await;
    let mut nodes = Vec::new();
    for _ in 0..200 {
        nodes.push(site.enroll().await);
    }
    let begun = Instant::now();
    let nodes = each(nodes, to_active).await;
    println!("200 machines from enroll to active in {:.1?}", begun.elapsed());
    assert!(nodes.iter().all(|node| node.machine.runs() == "disk" && node.machine.disk().as_deref() == Some("image")));
    let active = site.api().get("/v1/nodes?provision_state=active&fields=uuid&limit=1000").await.expect(200);
    assert_eq!(active["nodes"].as_array().map(Vec::len), Some(200));
    assert!(begun.elapsed() < Duration::from_secs(60), "{:.1?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_dead_bmc_in_ten_delays_nobody() {
    let site = Site::with()
        .set("conductor", "automated_clean", false)
        .set("conductor", "sync_power_state_interval", 0.5)
        .set("conductor", "sync_power_state_workers", 8)
        .start()
        .await;
    let mut dead = Vec::new();
    for _ in 0..4 {
        let node = site.active().await;
        node.machine.bmc().faults(|faults| faults.dead = true);
        dead.push(node);
    }
    let mut living = Vec::new();
    for _ in 0..36 {
        living.push(site.enroll().await);
    }
    let longest = Arc::new(std::sync::Mutex::new(Duration::ZERO));
    let shared = Arc::clone(&longest);
    let begun = Instant::now();
    each(living, move |node| {
        let longest = Arc::clone(&shared);
        async move {
            let node = to_active(node).await;
            let mut longest = longest.lock().expect("nobody panics with it");
            *longest = begun.elapsed().max(*longest);
            node
        }
    })
    .await;
    let longest = *longest.lock().expect("nobody panics with it");
    println!("36 machines beside 4 dead BMCs: the last one is active after {longest:.1?}");
    assert!(longest < Duration::from_secs(20), "{longest:.1?}");
    for node in dead {
        assert_eq!(
            node.becomes("in maintenance", |node| node["maintenance"] == true).await["provision_state"],
            "active"
        );
    }
}
