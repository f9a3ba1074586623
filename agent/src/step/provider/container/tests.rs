//! Runs through a stand-in for podman that writes down how it was called.

use super::{STEPS, by_argument};
use crate::step::provider::Managers;
use crate::step::tests::context;
use common::step::{Step, StepKind};
use serde_json::{Value, json};

fn step(args: Value) -> Step {
    serde_json::from_value(json!({"step": "generic_container_step", "interface": "deploy", "args": args})).unwrap()
}

#[test]
fn without_a_runner_no_container_step_is_offered_and_with_one_they_are() {
    // podman may or may not be on this machine; what is offered must follow from that.
    let found = Managers::find(&crate::sys::sysfs::Roots::machine(), "/nowhere".as_ref(), "/nowhere.yaml".as_ref());
    let here = ["podman", "docker"].into_iter().any(|name| super::works(name).is_ok());
    assert_eq!(found.versions().contains_key(super::CLASS), here);
    let clean = found.offered(StepKind::Clean).steps;
    assert_eq!(clean.get(super::CLASS).map_or(0, Vec::len), if here { 2 } else { 0 });
    assert!(STEPS.iter().all(|offer| offer.priority(StepKind::Deploy) == Some(0)));
}

#[test]
fn an_image_that_is_not_listed_is_never_pulled() {
    let context = context(vec![], json!({}));
    let error = by_argument(StepKind::Clean, &step(json!({"container_url": "evil.example/x"})), &context).unwrap_err();
    assert_eq!((error.kind, error.code), ("ContainerNotPermittedError", 500));
    assert!(error.details.contains("evil.example/x") && error.details.contains("(none)"), "{error}");
    let error = by_argument(StepKind::Clean, &step(json!({"container_url": 5})), &context).unwrap_err();
    assert_eq!((error.kind, error.code), ("InvalidCommandParamsError", 400));
}
