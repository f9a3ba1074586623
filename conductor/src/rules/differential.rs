//! Conditions, texts and actions against the answers of the real program (the fixture names its version).

use super::actions::Subject;
use super::context::{Budget, Context};
use super::rule::{Operation, Rule};
use super::run::{Masking, Run};
use crate::model::node::Node;
use serde_json::{Map, Value, json};

const FIXTURE: &str = include_str!("../../../tests/fixtures/inspection_rules.json");

struct Real {
    all: Value,
}

impl Real {
    fn read() -> Real {
        Real { all: serde_json::from_str(FIXTURE).expect("the fixture is JSON") }
    }

    fn list(&self, name: &str) -> &[Value] {
        self.all[name].as_array().expect("a list")
    }

    fn node(&self) -> Node {
        let given = &self.all["node"];
        let word = |name: &str| given[name].as_str().map(str::to_owned);
        let map = |name: &str| given[name].as_object().expect("an object").clone();
        let mut node = Node::new(word("uuid").unwrap().parse().unwrap(), word("driver").unwrap());
        (node.name, node.resource_class, node.owner) = (word("name"), word("resource_class"), word("owner"));
        (node.extra, node.properties, node.driver_info) =
            (map("extra"), map("properties").into(), map("driver_info").into());
        node
    }
}

fn rule(conditions: Vec<Operation>, actions: Vec<Operation>) -> Rule {
    let mut rule: Rule = serde_json::from_value(json!({"uuid": "x", "actions": []})).unwrap();
    (rule.conditions, rule.actions) = (conditions, actions);
    rule
}

fn operation(value: &Value) -> Operation {
    serde_json::from_value(value.clone()).unwrap()
}

/// Patterns that our linear matcher refuses or reads otherwise, and other accepted differences; each is in docs/differences.md.
fn accepted(condition: &Value) -> bool {
    let arg = |name: &str| condition["args"].get(name).and_then(Value::as_str);
    // Address forms with fewer than four parts are read by the reference as something nobody means.
    arg("address") == Some("10.1.2")
}

#[test]
fn conditions_have_the_real_answers() {
    let real = Real::read();
    let (inventory, mut plugin_data) = (real.all["inventory"].clone(), real.all["plugin_data"].clone());
    let mut node = real.node();
    let mut wrong = Vec::new();
    for case in real.list("conditions") {
        let rule = rule(vec![operation(&case["condition"])], Vec::new());
        let run = Run { rule: &rule, inventory: &inventory, masking: Masking::Always, budget: &Budget::default() };
        let subject = Subject { node: &mut node, ports: &mut [], plugin_data: &mut plugin_data };
        let answer = run.holds(&subject).map_or_else(|_| json!("error"), Value::Bool);
        if answer != case["answer"] && !accepted(&case["condition"]) {
            wrong.push(format!("{} : real {}, ours {answer}", case["condition"], case["answer"]));
        }
    }
    assert!(real.list("conditions").len() > 2000);
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn texts_are_filled_in_as_the_real_program_does_it() {
    let real = Real::read();
    let node = real.node();
    let mut wrong = Vec::new();
    for case in real.list("texts") {
        let context = Context {
            node: &node,
            inventory: &real.all["inventory"],
            plugin_data: &real.all["plugin_data"],
            mask: case["masked"] == true,
            item: None,
            budget: &Budget::default(),
        };
        let text = context.fill(&case["template"], false).unwrap();
        if text != case["text"] {
            wrong.push(format!("{} : real {}, ours {text}", case["template"], case["text"]));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn actions_change_what_the_real_ones_change() {
    let real = Real::read();
    let mut wrong = Vec::new();
    for case in real.list("actions") {
        // Never removes anything in the reference: it looks for plain objects and is given masking ones.
        if case["action"]["op"] == "unset-plugin-data" {
            continue;
        }
        let (mut node, mut plugin_data) = (real.node(), real.all["plugin_data"].clone());
        let action = operation(&case["action"]);
        let rule = rule(Vec::new(), vec![action.clone()]);
        let run = Run {
            rule: &rule,
            inventory: &real.all["inventory"],
            masking: Masking::Always,
            budget: &Budget::default(),
        };
        let mut subject = Subject { node: &mut node, ports: &mut [], plugin_data: &mut plugin_data };
        let turns = action.turns().map_or(vec![None], |items| items.into_iter().map(Some).collect());
        let failed = turns.into_iter().any(|item| run.perform(&action, item, &mut subject).is_err());
        let ours = json!({"failed": failed, "node": shown(&node), "plugin_data": plugin_data});
        let mut theirs = Map::new();
        for name in ["failed", "plugin_data"] {
            theirs.insert(name.into(), case[name].clone());
        }
        theirs.insert("node".into(), part(&case["node"]));
        if ours != Value::Object(theirs.clone()) {
            wrong.push(format!("{} :\n  real {}\n  ours {ours}", case["action"], Value::Object(theirs)));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// The fields that the cases touch.
fn part(node: &Value) -> Value {
    let names = ["description", "resource_class", "owner", "extra", "properties", "driver_info"];
    Value::Object(names.iter().map(|name| ((*name).to_owned(), node[*name].clone())).collect())
}

fn shown(node: &Node) -> Value {
    part(&serde_json::to_value(node).unwrap())
}
