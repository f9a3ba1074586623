//! The API under load: requests a second and times, at 100 and 10,000 nodes, beside a real Ironic where its package is.

mod asked;
pub mod floor;
mod load;
mod ours;
mod peer;
mod turns;

use crate::Row;
use crate::programs::pss;
use load::{Request, Score, Shot, fire};
use ours::Kind;
use std::cell::Cell;
use std::path::Path;
use std::time::Duration;
use turns::Turns;
use uuid::Uuid;

/// How many nodes there are.
const SIZES: &[usize] = &[100, 10_000];
/// Connections at the same time.
const CONNECTIONS: &[usize] = &[1, 8, 64];
/// The most of them: there a call for one node takes less than this.
const BUSY: usize = 64;
const SLOWEST: Duration = Duration::from_millis(10);
/// So many times the rate of the reference, in so many bytes.
const TIMES: f64 = 50.0;
const MEMORY: u64 = 150_000_000;
/// Fewer answers than these are no rate.
const FEW: usize = 20;
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
    /// Its processes.
    fn processes(&self) -> Vec<u32>;

    /// Bytes that its processes hold.
    fn memory(&self) -> u64 {
        self.processes().into_iter().map(pss).sum()
    }
}

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
            // The node holds: what the agent says is noted, and nobody asks it anything (`asked` has the other kind).
            "heartbeat, noted",
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

/// A part of the table only: names of calls, sizes, connections, in variables of the environment.
fn chosen(variable: &str, what: &str) -> bool {
    std::env::var(variable).map_or(true, |list| list.split(';').any(|wanted| wanted == what))
}

/// The whole table.
pub fn measure(dir: &Path) -> Vec<Row> {
    let time = std::env::var("BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2.0);
    let time = Duration::from_secs_f64(time);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut rows = if chosen("BENCH_CALLS", "floors") { floor::measure(dir, &runtime, time) } else { Vec::new() };
    for &size in SIZES.iter().filter(|size| chosen("BENCH_SIZES", &size.to_string())) {
        let ours = ours::start(&dir.join(format!("ours-{size}")), size, Kind::Mixed);
        let mut scores = runtime.block_on(scores(&ours, size, time));
        let memory = ours.memory();
        drop(ours);
        let peer = peer::start(&dir.join(format!("ironic-{size}")), size);
        let theirs = peer.as_ref().map(|peer| (runtime.block_on(self::scores(peer, size, time)), peer.memory()));
        for (number, (what, connections, score)) in scores.drain(..).enumerate() {
            let beside = theirs.as_ref().map(|(theirs, _)| &theirs[number].2);
            let mut row = row(&format!("{what}, {size} nodes, {connections} conn."), &score, beside);
            if connections == BUSY && !what.starts_with("list") {
                row.beside += &target("p99 10 ms", score.slow < SLOWEST);
            }
            rows.push(row);
        }
        let mut row =
            Row::plain(&format!("conductor's memory (PSS), {size} nodes"), crate::programs::mebibytes(memory));
        row.beside =
            theirs.map(|(_, memory)| format!("Ironic {}", crate::programs::mebibytes(memory))).unwrap_or_default();
        row.beside += &target("150 MB", memory <= MEMORY);
        rows.push(row);
    }
    rows.extend(asked::measure(dir, &runtime, time));
    rows
}

async fn scores(server: &dyn Server, size: usize, time: Duration) -> Vec<(&'static str, usize, Score)> {
    let mut scores = Vec::new();
    let serial = Cell::new(0);
    for (number, what) in calls(size, 0).iter().map(|call| call.0).enumerate() {
        if !chosen("BENCH_CALLS", what) {
            continue;
        }
        for &connections in CONNECTIONS.iter().filter(|number| chosen("BENCH_CONNECTIONS", &number.to_string())) {
            let (what, status, make) = calls(size, std::process::id() as usize).swap_remove(number);
            let shot = Shot { make: &*make, status };
            let mut score = fire_at(server, connections, time, &shot, &serial).await;
            if score.good < FEW {
                // A slow server gets more time: a rate of a few answers says nothing.
                score = fire_at(server, connections, time * 5, &shot, &serial).await;
            }
            if score.bad > 0 {
                eprintln!("{what} x{connections} at {size}: {} refused, first: {}", score.bad, score.complaint);
            }
            scores.push((what, connections, score));
        }
    }
    scores
}

/// As [`fire`], with the work that it was for the server.
async fn fire_at(
    server: &dyn Server,
    connections: usize,
    time: Duration,
    shot: &Shot<'_>,
    serial: &Cell<usize>,
) -> Score {
    let _bound = (connections == 1).then(|| Turns::of(server.processes()));
    let before = work(server);
    let mut score = fire(server.port(), connections, time, shot, serial).await;
    // The next call begins at another node.
    serial.set(serial.get() + 1);
    let all = u32::try_from(score.good + score.bad).unwrap_or(u32::MAX);
    score.work = work(server).saturating_sub(before) / all.max(1);
    if std::env::var_os("BENCH_VERBOSE").is_some() {
        eprintln!("x{connections}: {score:?}");
    }
    score
}

/// Processor time of a server's processes (proc(5), stat: utime and stime, in hundredths of a second).
fn work(server: &dyn Server) -> Duration {
    let ticks = |pid: u32| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        fields.split(' ').skip(11).take(2).filter_map(|number| number.parse::<u64>().ok()).sum()
    };
    Duration::from_millis(server.processes().into_iter().map(ticks).sum::<u64>() * 10)
}

/// Rate, times and work for people.
pub fn figure(score: &Score) -> String {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    if score.good == 0 {
        return "no answer in time".into();
    }
    let bad = if score.bad > 0 { format!(" ({} refused)", score.bad) } else { String::new() };
    let (median, slow) = (milliseconds(score.median), milliseconds(score.slow));
    let rate = if score.rate < 10.0 { format!("{:.1}", score.rate) } else { format!("{:.0}", score.rate) };
    let work = if score.work.is_zero() { String::new() } else { format!(", {} us work", score.work.as_micros()) };
    format!("{rate}/s p50 {median:.2} p99 {slow:.1} ms{work}{bad}")
}

/// What was to be reached, and whether it was.
fn target(what: &str, is_met: bool) -> String {
    format!("; target {what}{}", if is_met { "" } else { ": MISSED" })
}

fn row(what: &str, score: &Score, beside: Option<&Score>) -> Row {
    let mut row = Row::plain(what, figure(score));
    if let Some(theirs) = beside {
        let times = if theirs.good == 0 { "   -".into() } else { format!("{:>4.0}x", score.rate / theirs.rate) };
        // The work does not depend on who else uses the machine.
        let work = match score.work.as_secs_f64() {
            work if work > 0.0 && theirs.good > 0 => format!(" ({:.0}x by work)", theirs.work.as_secs_f64() / work),
            _ => String::new(),
        };
        row.beside = format!("{times}{work}; Ironic {}", figure(theirs));
        row.beside += &target("50x", theirs.good == 0 || score.rate >= TIMES * theirs.rate);
    }
    row
}
