//! What this process counts about itself, for Prometheus: requests, steps, errors of agents and of BMCs.
//!
//! Floor 0: whoever does the work notes it here, `api::metrics` prints it. Labels come from our own tables, or are bounded in
//! number whatever agents and clients send: memory and the page stay small.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::collections::BTreeSet;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the classes of time of a request, seconds.
const REQUEST: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 10.0];

/// The same of a step: from a moment to a day.
const STEP: [f64; 11] = [0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0];

/// Most different steps that are told apart.
const STEPS: usize = 256;

/// What stands for all that is not told apart.
const OTHER: &str = "other";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    method: &'static str,
    route: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: &'static str,
    status: &'static str,
}

/// Which step of which flow: names are agents' words as well as ours.
#[derive(Clone, Debug, Hash, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
struct Step {
    kind: &'static str,
    interface: String,
    step: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Left {
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BmcError {
    driver: &'static str,
    kind: &'static str,
}

type Times<L> = Family<L, Histogram, fn() -> Histogram>;

struct Figures {
    registry: Registry,
    answers: Family<Answered, Counter>,
    request_times: Times<Route>,
    step_times: Times<Step>,
    step_failures: Family<Step, Counter>,
    state_times: Times<Left>,
    agent_errors: Family<Kind, Counter>,
    bmc_errors: Family<BmcError, Counter>,
    steps: Mutex<BTreeSet<Step>>,
}

static FIGURES: LazyLock<Figures> = LazyLock::new(|| {
    let mut registry = Registry::with_prefix("wrought");
    let (answers, step_failures) = (Family::default(), Family::default());
    let (agent_errors, bmc_errors) = (Family::default(), Family::default());
    let request_times: Times<Route> = Family::new_with_constructor(|| Histogram::new(REQUEST));
    let step_times: Times<Step> = Family::new_with_constructor(|| Histogram::new(STEP));
    let state_times: Times<Left> = Family::new_with_constructor(|| Histogram::new(STEP));
    registry.register("http_requests", "Answers by route and class of status", Family::clone(&answers));
    let text = "Time from the head of a request to the head of its answer";
    registry.register("http_request_seconds", text, request_times.clone());
    registry.register("step_seconds", "Time that steps took that are done", step_times.clone());
    registry.register("step_failures", "Steps that failed", Family::clone(&step_failures));
    let text = "How long nodes were in a provision state, told when they leave it";
    registry.register("node_state_seconds", text, state_times.clone());
    registry.register("agent_errors", "Calls to agents that brought nothing", Family::clone(&agent_errors));
    registry.register("bmc_errors", "Commands to BMCs that brought nothing", Family::clone(&bmc_errors));
    Figures {
        registry,
        answers,
        request_times,
        step_times,
        step_failures,
        state_times,
        agent_errors,
        bmc_errors,
        steps: Mutex::default(),
    }
});

/// Notes an answer: method and path as the table of routes has them, the status that was sent.
pub fn answered(method: &'static str, route: &'static str, status: u16, time: Duration) {
    let class = match status {
        0..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    };
    FIGURES.answers.get_or_create(&Answered { method, route, status: class }).inc();
    FIGURES.request_times.get_or_create(&Route { method, route }).observe(time.as_secs_f64());
}

/// Notes a step that is done; `kind`: clean, deploy, service, verify.
pub fn step_done(kind: &'static str, interface: &str, step: &str, seconds: f64) {
    FIGURES.step_times.get_or_create(&told_apart(kind, interface, step)).observe(seconds.max(0.0));
}

/// Notes a step that failed.
pub fn step_failed(kind: &'static str, interface: &str, step: &str) {
    FIGURES.step_failures.get_or_create(&told_apart(kind, interface, step)).inc();
}

/// Notes that a node has left a provision state.
pub fn state_left(state: &'static str, seconds: f64) {
    FIGURES.state_times.get_or_create(&Left { state }).observe(seconds.max(0.0));
}

/// Notes a call to an agent that brought nothing.
pub fn agent_error(kind: &'static str) {
    FIGURES.agent_errors.get_or_create(&Kind { kind }).inc();
}

/// Notes a command to a BMC that brought nothing.
pub fn bmc_error(driver: &'static str, kind: &'static str) {
    FIGURES.bmc_errors.get_or_create(&BmcError { driver, kind }).inc();
}

/// Everything that was noted, to be printed.
pub fn registry() -> &'static Registry {
    &FIGURES.registry
}

/// The labels of a step, while there is room for another one and it has a name as steps have.
fn told_apart(kind: &'static str, interface: &str, step: &str) -> Step {
    let plain = |text: &str| {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        !text.is_empty() && text.len() <= 64 && text.bytes().all(known)
    };
    let other = Step { kind, interface: OTHER.into(), step: OTHER.into() };
    if !plain(interface) || !plain(step) {
        return other;
    }
    let labels = Step { kind, interface: interface.into(), step: step.into() };
    let mut steps = FIGURES.steps.lock().unwrap_or_else(PoisonError::into_inner);
    if !steps.contains(&labels) {
        if steps.len() >= STEPS {
            return other;
        }
        steps.insert(labels.clone());
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry()).unwrap();
        text
    }

    #[test]
    fn steps_and_errors_are_told_apart_and_their_number_is_bounded() {
        step_done("clean", "deploy", "erase_devices", 70.0);
        step_failed("deploy", "raid", "apply_configuration");
        agent_error("unreachable");
        bmc_error("ipmi", "login");
        state_left("clean wait", 70.0);
        for number in 0..STEPS * 2 {
            step_done("clean", "vendor", &format!("step_{number}"), 1.0);
        }
        step_done("clean", "vendor", "a\"b\n", 1.0);
        step_done("clean", &"x".repeat(1000), "step", 1.0);
        let text = page();
        let line = |words: &[&str]| text.lines().find(|line| words.iter().all(|word| line.contains(word)));
        let done = line(&["wrought_step_seconds_bucket", "le=\"300.0\"", "erase_devices"]).unwrap();
        assert!(done.ends_with(" 1"), "{done}");
        assert!(line(&["wrought_step_failures_total", "apply_configuration", "interface=\"raid\""]).is_some());
        assert!(line(&["wrought_agent_errors_total", "unreachable"]).is_some());
        assert!(line(&["wrought_bmc_errors_total", "driver=\"ipmi\"", "login"]).is_some());
        let left = line(&["wrought_node_state_seconds_bucket", "state=\"clean wait\"", "le=\"300.0\""]).unwrap();
        assert!(left.ends_with(" 1"), "{left}");
        let series = text.lines().filter(|line| line.starts_with("wrought_step_seconds_count")).count();
        assert!(series <= STEPS + 3, "{series}");
        assert!(line(&["wrought_step_seconds_count", "step=\"other\""]).is_some() && !text.contains("xxxx"));
    }
}
