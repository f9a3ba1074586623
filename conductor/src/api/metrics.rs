//! `/metrics`: what this process has counted (`figures`), and how many nodes are in each state, for Prometheus (OpenMetrics).
//!
//! A look costs the same however large the nodes are: their counts come from an index.

use super::table::TABLE;
use crate::figures;
use crate::store::{StateCount, Store, StoreError};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::time::Duration;

/// The kind of the page.
pub const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InState {
    state: &'static str,
}

/// Notes an answer; `route`: its row in the table.
pub fn note(route: Option<usize>, status: u16, time: Duration) {
    let (method, path) =
        route.and_then(|at| TABLE.get(at)).map_or(("", "none"), |route| (route.method.as_str(), route.path));
    figures::answered(method, path, status, time);
}

/// The text that Prometheus reads.
///
/// # Errors
/// What the store says.
pub async fn page(store: &dyn Store) -> Result<String, StoreError> {
    let nodes = nodes(&store.state_counts().await?);
    let mut text = String::new();
    encode_registry(&mut text, figures::registry())
        .and_then(|()| encode_registry(&mut text, &nodes))
        .and_then(|()| encode_eof(&mut text))
        .map_err(|error| StoreError::Database(error.to_string()))?;
    Ok(text)
}

fn nodes(states: &[StateCount]) -> Registry {
    let mut registry = Registry::with_prefix("wrought");
    let (counts, oldest) = (Family::<InState, Gauge>::default(), Family::<InState, Gauge>::default());
    registry.register("nodes", "Nodes by provision state", counts.clone());
    let text = "How long the node that is longest in a state has been there";
    registry.register("nodes_oldest_seconds", text, oldest.clone());
    let now = jiff::Timestamp::now();
    for count in states {
        let labels = InState { state: count.state.name() };
        counts.get_or_create(&labels).set(i64::try_from(count.nodes).unwrap_or(i64::MAX));
        if let Some(since) = count.oldest {
            oldest.get_or_create(&labels).set(now.duration_since(since).as_secs().max(0));
        }
    }
    registry
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
        let states = [StateCount { state: State::InspectWait, nodes: 3, oldest: Some(jiff::Timestamp::now()) }];
        let mut text = String::new();
        encode_registry(&mut text, figures::registry()).unwrap();
        encode_registry(&mut text, &nodes(&states)).unwrap();
        let route = format!("method=\"{}\",route=\"{}\"", TABLE[0].method, TABLE[0].path);
        assert!(text.contains(&format!("wrought_http_requests_total{{{route},status=\"2xx\"}}")), "{text}");
        assert!(text.contains("route=\"none\",status=\"4xx\""), "{text}");
        let value = |name: &str, label: &str| -> u64 {
            let fits = |line: &&str| line.starts_with(name) && line.contains(label) && line.contains(&route);
            let line = text.lines().find(fits).unwrap_or_else(|| panic!("no {name} {label} in {text}"));
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        let bucket = |bound: &str| value("wrought_http_request_seconds_bucket", &format!("le=\"{bound}\""));
        assert!(bucket("0.001") < bucket("0.0025") && bucket("10.0") < bucket("+Inf"));
        assert_eq!(bucket("+Inf"), value("wrought_http_request_seconds_count", ""));
        assert!(text.contains("wrought_nodes{state=\"inspect wait\"} 3"), "{text}");
    }
}
