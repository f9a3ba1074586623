//! Figures for Prometheus: requests and their times by route, nodes by state. Labels come from our own tables only, so their
//! number is bounded whatever clients send.

use super::table::TABLE;
use crate::store::{StateCount, Store, StoreError};
use std::fmt::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The kind of the page.
pub const KIND: &str = "text/plain; version=0.0.4";

/// Upper bounds of the classes of time, seconds.
const BOUNDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 10.0];

/// Classes of status: 1xx to 5xx.
const CLASSES: usize = 5;

/// Of one route, since the start of the process.
#[derive(Default)]
struct Figures {
    status: [AtomicU64; CLASSES],
    /// How many fell into each class; the last is "longer".
    times: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
}

/// A row for every route, and one for what met none.
fn figures() -> &'static [Figures] {
    static FIGURES: OnceLock<Vec<Figures>> = OnceLock::new();
    FIGURES.get_or_init(|| (0..=TABLE.len()).map(|_| Figures::default()).collect())
}

/// Notes an answer; `route`: its row in the table.
pub fn note(route: Option<usize>, status: u16, time: Duration) {
    let all = figures();
    let figures = &all[route.unwrap_or(TABLE.len()).min(TABLE.len())];
    let class = usize::from(status / 100).clamp(1, CLASSES) - 1;
    figures.status[class].fetch_add(1, Ordering::Relaxed);
    let seconds = time.as_secs_f64();
    let at = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
    figures.times[at].fetch_add(1, Ordering::Relaxed);
    figures.microseconds.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// The text that Prometheus reads (exposition format 0.0.4).
///
/// # Errors
/// What the store says.
pub async fn page(store: &dyn Store) -> Result<String, StoreError> {
    let mut text = requests();
    nodes(&mut text, &store.state_counts().await?);
    Ok(text)
}

fn requests() -> String {
    let mut counts = String::from(
        "# HELP wrought_http_requests_total Answers by route and class of status.\n# TYPE wrought_http_requests_total counter\n",
    );
    let mut times = String::from(
        "# HELP wrought_http_request_seconds Time from the head of a request to the head of its answer.\n# TYPE wrought_http_request_seconds histogram\n",
    );
    for (at, figures) in figures().iter().enumerate() {
        let load = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        if figures.status.iter().all(|cell| load(cell) == 0) {
            continue;
        }
        let (method, path) = TABLE.get(at).map_or(("", "none"), |route| (route.method.as_str(), route.path));
        let labels = format!("method=\"{method}\",route=\"{path}\"");
        for (class, cell) in figures.status.iter().enumerate().filter(|(_, cell)| load(cell) > 0) {
            let _ =
                writeln!(counts, "wrought_http_requests_total{{{labels},status=\"{}xx\"}} {}", class + 1, load(cell));
        }
        let mut sum = 0;
        for (bound, cell) in BOUNDS.iter().zip(&figures.times) {
            sum += load(cell);
            let _ = writeln!(times, "wrought_http_request_seconds_bucket{{{labels},le=\"{bound}\"}} {sum}");
        }
        sum += load(&figures.times[BOUNDS.len()]);
        let _ = writeln!(times, "wrought_http_request_seconds_bucket{{{labels},le=\"+Inf\"}} {sum}");
        let seconds = Duration::from_micros(load(&figures.microseconds)).as_secs_f64();
        let _ = writeln!(times, "wrought_http_request_seconds_sum{{{labels}}} {seconds}");
        let _ = writeln!(times, "wrought_http_request_seconds_count{{{labels}}} {sum}");
    }
    counts + &times
}

fn nodes(text: &mut String, states: &[StateCount]) {
    text.push_str("# HELP wrought_nodes Nodes by provision state.\n# TYPE wrought_nodes gauge\n");
    for count in states {
        let _ = writeln!(text, "wrought_nodes{{state=\"{}\"}} {}", count.state, count.nodes);
    }
    text.push_str("# HELP wrought_nodes_oldest_seconds How long the node that is longest in a state has been there.\n# TYPE wrought_nodes_oldest_seconds gauge\n");
    let now = jiff::Timestamp::now();
    for count in states {
        if let Some(since) = count.oldest {
            let seconds = now.duration_since(since).as_secs_f64().max(0.0);
            let _ = writeln!(text, "wrought_nodes_oldest_seconds{{state=\"{}\"}} {seconds:.0}", count.state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fsm::State;

    #[test]
    fn a_page_adds_up_and_names_only_our_own_routes() {
        note(Some(0), 200, Duration::from_millis(2));
        note(Some(0), 404, Duration::from_secs(60));
        note(None, 404, Duration::from_micros(10));
        let mut text = requests();
        nodes(&mut text, &[StateCount { state: State::InspectWait, nodes: 3, oldest: Some(jiff::Timestamp::now()) }]);
        let labels = format!("method=\"{}\",route=\"{}\"", TABLE[0].method, TABLE[0].path);
        assert!(text.contains(&format!("wrought_http_requests_total{{{labels},status=\"2xx\"}}")), "{text}");
        assert!(text.contains("route=\"none\",status=\"4xx\""), "{text}");
        let value = |line: &str| -> u64 {
            let line = text.lines().find(|found| found.starts_with(line)).unwrap();
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        let bucket = |bound: &str| value(&format!("wrought_http_request_seconds_bucket{{{labels},le=\"{bound}\"}}"));
        assert!(bucket("0.001") < bucket("0.0025") && bucket("10") < bucket("+Inf"));
        assert_eq!(bucket("+Inf"), value(&format!("wrought_http_request_seconds_count{{{labels}}}")));
        assert!(text.contains("wrought_nodes{state=\"inspect wait\"} 3"), "{text}");
    }
}
