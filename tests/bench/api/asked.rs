//! Heartbeats that are more than a note: nodes in the middle of a step, whose agents are asked how it goes; and beats that last.

use super::floor::{self, Nothing};
use super::load::Shot;
use super::ours::{self, Kind};
use super::{AGENT, CONNECTIONS, Row, Server, TOKEN, chosen, figure, fire_at, node};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

/// Nodes that wait for their agents.
const WAITING: usize = 1000;
/// Nodes that beat and beat.
const BEATING: usize = 10_000;
/// They do so at least this long.
const LONG: Duration = Duration::from_secs(12);
/// Connections of those.
const MANY: usize = 64;

fn beat(url: &str, number: usize) -> super::Request {
    let body = format!(r#"{{"callback_url": "{url}", "agent_token": "{TOKEN}", "agent_version": "11.0.0"}}"#);
    ("POST", format!("/v1/heartbeat/{}", node(number)), Some(body))
}

/// Both.
pub fn measure(dir: &Path, runtime: &tokio::runtime::Runtime, time: Duration) -> Vec<Row> {
    let mut rows = Vec::new();
    if chosen("BENCH_CALLS", "heartbeat, agent asked") {
        rows.extend(waiting(dir, runtime, time));
    }
    if chosen("BENCH_CALLS", "heartbeats, sustained") {
        rows.push(sustained(dir, runtime, time));
    }
    rows
}

/// Every beat is noted, and unless the node is being looked at, its agent is asked for its commands over HTTP.
fn waiting(dir: &Path, runtime: &tokio::runtime::Runtime, time: Duration) -> Vec<Row> {
    let agents = Nothing::start();
    let ours = ours::start(&dir.join("ours-waiting"), WAITING, Kind::Waiting(agents.port));
    let url = floor::url(agents.port);
    let serial = Cell::new(0);
    let mut rows = Vec::new();
    for &connections in CONNECTIONS {
        let make = |number: usize| beat(&url, number % WAITING);
        let before = asked(agents.port);
        let score = runtime.block_on(fire_at(&ours, connections, time, &Shot { make: &make, status: 202 }, &serial));
        if score.bad > 0 {
            eprintln!("heartbeat, agent asked x{connections}: {} refused, first: {}", score.bad, score.complaint);
        }
        let what = format!("heartbeat, agent asked, {WAITING} nodes, {connections} conn.");
        let mut row = Row::plain(&what, figure(&score));
        let asked = (asked(agents.port) - before) as f64 / time.as_secs_f64();
        row.beside = format!("agents asked {asked:.0} times/s (one look answers all beats that come during it)");
        rows.push(row);
    }
    rows
}

/// How often the agents were asked until now.
fn asked(port: u16) -> usize {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the agents listen");
    stream.write_all(b"GET /asked HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.rsplit_once("\r\n\r\n").and_then(|(_, number)| number.parse().ok()).expect("a number")
}

/// Durable: each answer is sent after the flush that holds its beat.
fn sustained(dir: &Path, runtime: &tokio::runtime::Runtime, time: Duration) -> Row {
    let ours = ours::start(&dir.join("ours-sustained"), BEATING, Kind::Mixed);
    let make = |number: usize| beat(AGENT, (number * 2 + 1) % BEATING);
    let long = time.max(LONG);
    let score = runtime.block_on(fire_at(&ours, MANY, long, &Shot { make: &make, status: 202 }, &Cell::new(0)));
    let what = format!("heartbeats, noted, durable, for {} s, {BEATING} nodes, {MANY} conn.", long.as_secs());
    let mut row = Row::plain(&what, figure(&score));
    row.beside = format!(
        "slowest second {}; target 10,000/s; conductor {} afterwards",
        score.worst_second,
        crate::programs::mebibytes(ours.memory())
    );
    row
}
