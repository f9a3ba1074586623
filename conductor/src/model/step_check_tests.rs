//! Tests of the check of steps that people ask for; the expected texts are those of a running Ironic.

use super::{Rules, check, shown};
use common::step::{Step, StepKind};
use serde_json::{Value, json};

fn offered() -> Vec<Step> {
    serde_json::from_value(json!([
        {"interface": "bios", "step": "apply_configuration", "priority": 0,
         "argsinfo": {"settings": {"description": "a list", "required": true}}},
        {"interface": "bios", "step": "factory_reset", "priority": 0},
        {"interface": "deploy", "step": "deploy", "priority": 100},
        {"interface": "vendor", "step": "log_passthrough", "priority": 1, "requires_ramdisk": false},
    ]))
    .unwrap()
}

fn rules(offered: &[Step], kind: StepKind) -> Rules<'_> {
    Rules { kind, offered, agent_unknown: false, no_ramdisk: false, silent: false }
}

fn error(asked: Value, change: impl FnOnce(&mut Rules<'_>)) -> String {
    let offered = offered();
    let mut rules = rules(&offered, StepKind::Clean);
    change(&mut rules);
    check(asked.as_array().unwrap(), rules).unwrap_err()
}

#[test]
fn every_error_of_a_list_is_told_and_what_is_offered() {
    let asked = json!([
        {"interface": "bios", "step": "factory_reset", "args": {"x": 1}}, {"interface": "bios", "step": "nope"}
    ]);
    assert_eq!(
        error(asked, |_| {}),
        "clean step {'interface': 'bios', 'step': 'factory_reset', 'args': {'x': 1}, 'abortable': False, 'priority': 0} has \
         these unexpected arguments: x; node does not support this clean step: {'interface': 'bios', 'step': 'nope'}. Steps \
         that this node offers: bios.apply_configuration, bios.factory_reset, deploy.deploy, vendor.log_passthrough"
    );
    let text =
        error(json!([{"interface": "bios", "step": "apply_configuration"}]), |rules| rules.kind = StepKind::Service);
    assert_eq!(
        text,
        "service step {'interface': 'bios', 'step': 'apply_configuration'} is missing these required arguments: settings (a list)"
    );
}

#[test]
fn without_a_ramdisk_only_steps_that_need_none_are_taken() {
    let reset = json!([{"interface": "bios", "step": "factory_reset"}]);
    assert_eq!(
        error(reset, |rules| rules.no_ramdisk = true),
        "clean step {'interface': 'bios', 'step': 'factory_reset'} requires booting a ramdisk"
    );
    let offered = offered();
    let alone = Rules { no_ramdisk: true, ..rules(&offered, StepKind::Clean) };
    assert!(check(&[json!({"interface": "vendor", "step": "log_passthrough"})], alone).is_ok());
    assert!(error(json!([{"interface": "power", "step": "wait"}]), |rules| rules.silent = true).contains("`seconds`"));
}

#[test]
fn unknown_steps_wait_for_the_agent_when_it_was_not_asked_yet() {
    let offered = offered();
    let early = Rules { agent_unknown: true, ..rules(&offered, StepKind::Clean) };
    let checked = check(&[json!({"interface": "deploy", "step": "erase_devices"})], early).unwrap();
    assert!(checked.has_unknown && checked.steps.is_empty());
}

#[test]
fn the_conductors_own_steps_stay_in_their_place_and_can_be_aborted() {
    let offered = offered();
    let asked = [
        json!({"interface": "power", "step": "power_on"}),
        json!({"interface": "bios", "step": "factory_reset"}),
        json!({"interface": "power", "step": "wait", "args": {"seconds": "5"}}),
        json!({"interface": "vendor", "step": "anything", "execute_on_child_nodes": true}),
        json!({"interface": "power", "step": "hold"}),
    ];
    let checked = check(&asked, rules(&offered, StepKind::Clean)).unwrap();
    let names: Vec<_> = checked.steps.iter().map(|step| step.step.as_str()).collect();
    assert_eq!(names, ["power_on", "factory_reset", "wait", "anything", "hold"]);
    assert!(checked.steps[4].abortable == Some(true) && !checked.has_unknown);
    for bad in [
        json!([{"interface": "power", "step": "wait", "args": {"seconds": -1}}]),
        json!([{"interface": "power", "step": "hold", "execute_on_child_nodes": true}]),
    ] {
        error(bad, |_| {});
    }
}

#[test]
fn a_persons_priority_wins_in_a_deployment_and_core_steps_can_only_be_left_out() {
    let offered = offered();
    let deploy = |asked: Value| check(asked.as_array().unwrap(), rules(&offered, StepKind::Deploy));
    let step = |priority: Value| json!({"interface": "deploy", "step": "deploy", "args": {}, "priority": priority});
    assert!(deploy(json!([step(json!(10))])).unwrap_err().contains("is a core step and cannot be overridden"));
    assert_eq!(deploy(json!([step(json!("0"))])).unwrap().steps[0].priority, Some(0));
    assert!(
        deploy(json!([step(json!(0)), step(json!(0))]))
            .unwrap_err()
            .ends_with("Duplicate deploy steps for deploy.deploy")
    );
    let disabled = json!([{"interface": "bios", "step": "apply_configuration", "args": {}, "priority": 0}]);
    assert!(deploy(disabled).is_ok(), "what does not run needs no arguments");
}

#[test]
fn values_are_shown_as_python_writes_them() {
    let value = json!({"a": [1, true, null], "b": "it's", "c": "a\"b'c"});
    assert_eq!(shown(&value), r#"{'a': [1, True, None], 'b': "it's", 'c': 'a"b\'c'}"#);
}
