//! The API under load: requests a second and times, at 100 and 10,000 nodes, beside a real Ironic where its package is.

mod load;
mod ours;
mod peer;

use crate::Row;
use load::{Score, Shot, fire};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// How many nodes there are.
const SIZES: &[usize] = &[100, 10_000];
/// Connections at the same time.
const CONNECTIONS: &[usize] = &[1, 8, 64];
/// The token of every agent.
pub const TOKEN: &str = "an-agent-token-of-the-bench-0123456789";
/// Where every agent says it is.
pub const AGENT: &str = "http://192.0.2.7:9999";

/// The nodes of a site: even ones are active, odd ones hold with an agent that beats.
pub fn node(number: usize) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("bench node {number}").as_bytes())
}

/// Whatever serves the API under test.
pub trait Server {
    /// Where.
    fn port(&self) -> u16;
    /// Bytes that its processes hold.
    fn memory(&self) -> u64;
}

type Request = (&'static str, String, Option<String>);
type Maker = Box<dyn Fn(usize) -> Request>;

/// The calls of the table. `nodes`: how many there are; `run` makes names unique.
fn calls(nodes: usize, run: usize) -> Vec<(&'static str, u16, Maker)> {
    let even = move |serial: usize| node(serial * 2 % nodes);
    let odd = move |serial: usize| node((serial * 2 + 1) % nodes);
    let fields = "uuid,name,provision_state,power_state,resource_class,owner,properties";
    vec![
        ("GET one node", 200, Box::new(move |n| ("GET", format!("/v1/nodes/{}", node(n * 7 % nodes)), None))),
        ("list of 1,000", 200, Box::new(|_| ("GET", "/v1/nodes?limit=1000".into(), None))),
        (
            "list of 1,000, fields=",
            200,
            Box::new(move |_| ("GET", format!("/v1/nodes?limit=1000&fields={fields}"), None)),
        ),
        (
            "patch",
            200,
            Box::new(move |n| {
                let body = format!(r#"[{{"op": "add", "path": "/extra/k{}", "value": "{n}"}}]"#, n % 4);
                ("PATCH", format!("/v1/nodes/{}", even(n)), Some(body))
            }),
        ),
        (
            "heartbeat",
            202,
            Box::new(move |n| {
                let body =
                    format!(r#"{{"callback_url": "{AGENT}", "agent_token": "{TOKEN}", "agent_version": "11.0.0"}}"#);
                ("POST", format!("/v1/heartbeat/{}", odd(n)), Some(body))
            }),
        ),
        (
            "create",
            201,
            Box::new(move |n| {
                let body = format!(
                    r#"{{"driver": "fake-hardware", "name": "made-{run}-{n}", "properties": {{"cpus": 8}},
                        "driver_info": {{"fake_address": "192.0.2.1"}}}}"#
                );
                ("POST", "/v1/nodes".into(), Some(body))
            }),
        ),
    ]
}

/// The whole table.
pub fn measure(dir: &Path) -> Vec<Row> {
    let time = std::env::var("BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2.0);
    let time = Duration::from_secs_f64(time);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut rows = Vec::new();
    for &size in SIZES {
        let ours = ours::start(&dir.join(format!("ours-{size}")), size);
        let mut scores = runtime.block_on(scores(&ours, size, time));
        let memory = ours.memory();
        drop(ours);
        let peer = peer::start(&dir.join(format!("ironic-{size}")), size);
        let theirs = peer.as_ref().map(|peer| (runtime.block_on(self::scores(peer, size, time)), peer.memory()));
        for (number, (what, connections, score)) in scores.drain(..).enumerate() {
            let beside = theirs.as_ref().map(|(theirs, _)| &theirs[number].2);
            rows.push(row(&format!("{what}, {size} nodes, {connections} conn."), &score, beside));
        }
        let mut row =
            Row::plain(&format!("conductor's memory (PSS), {size} nodes"), crate::programs::mebibytes(memory));
        row.beside =
            theirs.map(|(_, memory)| format!("Ironic {}", crate::programs::mebibytes(memory))).unwrap_or_default();
        rows.push(row);
    }
    rows
}

async fn scores(server: &dyn Server, size: usize, time: Duration) -> Vec<(&'static str, usize, Score)> {
    let mut scores = Vec::new();
    let serial = AtomicUsize::new(0);
    for number in 0..calls(size, 0).len() {
        for &connections in CONNECTIONS {
            let (what, status, make) = calls(size, std::process::id() as usize).swap_remove(number);
            let shot = Shot { make: &*make, status };
            let score = fire(server.port(), connections, time, &shot, &serial).await;
            // The next call begins at another node.
            serial.fetch_add(1, Ordering::Relaxed);
            if std::env::var_os("BENCH_VERBOSE").is_some() {
                eprintln!("{what} x{connections} at {size}: {score:?}");
            }
            if score.bad > 0 {
                eprintln!("{what} x{connections} at {size}: {} refused, first: {}", score.bad, score.complaint);
            }
            scores.push((what, connections, score));
        }
    }
    scores
}

fn row(what: &str, score: &Score, beside: Option<&Score>) -> Row {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    let figure = |score: &Score| {
        let bad = if score.bad > 0 { format!(" ({} refused)", score.bad) } else { String::new() };
        let (median, slow) = (milliseconds(score.median), milliseconds(score.slow));
        format!("{:.0}/s p50 {median:.1} p99 {slow:.1} ms{bad}", score.rate)
    };
    let mut row = Row::plain(what, figure(score));
    if let Some(theirs) = beside {
        row.beside = format!("{:>4.0}x; Ironic {}", score.rate / theirs.rate.max(0.01), figure(theirs));
    }
    row
}
