//! Every action, done and refused.

use super::*;
use common::mac::Mac;
use serde_json::json;
use uuid::Uuid;

struct Records {
    node: Node,
    ports: Vec<Port>,
    plugin_data: Value,
}

impl Records {
    fn new() -> Self {
        let ports = vec![Port::new(Uuid::nil(), Mac([2; 6]))];
        Self { node: Node::default(), ports, plugin_data: json!({"a": {"b": 1}}) }
    }

    fn run(&mut self, word: &str, args: Value) -> Result<Effect, RuleError> {
        let action = Action::from_name(word).unwrap();
        let args = action.signature().by_name(&args).unwrap();
        let mut subject = Subject { node: &mut self.node, ports: &mut self.ports, plugin_data: &mut self.plugin_data };
        action.perform(&args, &mut subject)
    }
}

#[test]
fn node_attributes() {
    let mut records = Records::new();
    records.run("set-attribute", json!({"path": "/driver_info/ipmi_address", "value": "192.0.2.1"})).unwrap();
    records.run("set-attribute", json!(["extra.deep.er", 1])).unwrap();
    records.run("set-attribute", json!(["description", "found"])).unwrap();
    records.run("extend-attribute", json!(["extra/list", 1, true])).unwrap();
    records.run("extend-attribute", json!(["extra/list", 1, true])).unwrap();
    assert_eq!(records.node.extra, json!({"deep": {"er": 1}, "list": [1]}).as_object().unwrap().clone());
    assert_eq!(records.node.driver_info["ipmi_address"], "192.0.2.1");
    records.run("del-attribute", json!(["extra/deep/er"])).unwrap();
    records.run("del-attribute", json!(["description"])).unwrap();
    assert!(records.node.description.is_none() && records.node.extra["deep"] == json!({}));
    for (word, args) in [
        ("del-attribute", json!(["extra/none"])),
        ("set-attribute", json!(["provision_state", "active"])),
        ("set-attribute", json!(["driver_internal_info/agent_url", "x"])),
        ("extend-attribute", json!(["extra/deep", 1])),
        ("set-attribute", json!([3, 1])),
    ] {
        assert!(matches!(records.run(word, args), Err(RuleError::Action(_))), "{word}");
    }
}

#[test]
fn port_attributes() {
    let mut records = Records::new();
    let id = records.ports[0].uuid.to_string();
    records.run("set-port-attribute", json!([id, "extra/slot", 3])).unwrap();
    records.run("set-port-attribute", json!([id, "pxe_enabled", false])).unwrap();
    records.run("extend-port-attribute", json!([id, "extra/tags", "x"])).unwrap();
    assert_eq!(records.ports[0].extra, json!({"slot": 3, "tags": ["x"]}).as_object().unwrap().clone());
    assert!(!records.ports[0].pxe_enabled);
    records.run("del-port-attribute", json!([id, "extra/slot"])).unwrap();
    assert!(records.run("del-port-attribute", json!([id, "extra/slot"])).is_err());
    let error = records.run("set-port-attribute", json!(["nobody", "extra/slot", 3])).unwrap_err();
    assert!(error.to_string().ends_with("Port nobody could not be found."), "{error}");
}

#[test]
fn capabilities_in_both_forms() {
    let mut records = Records::new();
    for value in ["bios", "uefi", "uefi"] {
        records.run("set-capability", json!(["boot_mode", value])).unwrap();
    }
    records.run("set-capability", json!(["cpus", 8])).unwrap();
    assert_eq!(records.node.properties["capabilities"], "boot_mode:uefi,cpus:8");
    records.run("unset-capability", json!(["boot_mode"])).unwrap();
    records.run("unset-capability", json!(["nothing"])).unwrap();
    assert_eq!(records.node.properties["capabilities"], "cpus:8");
    records.node.properties.insert("capabilities".into(), json!({"a": "1"}));
    records.run("set-capability", json!(["b", "2"])).unwrap();
    records.run("unset-capability", json!(["a"])).unwrap();
    assert_eq!(records.node.properties["capabilities"], json!({"b": "2"}));
    assert!(records.run("set-capability", json!(["a,b", "2"])).is_err());
}

#[test]
fn traits() {
    let mut records = Records::new();
    for name in ["CUSTOM_B", "HW_CPU_X86_VMX", "CUSTOM_B"] {
        records.run("add-trait", json!([name])).unwrap();
    }
    assert_eq!(records.node.traits, ["CUSTOM_B", "HW_CPU_X86_VMX"]);
    records.run("remove-trait", json!(["CUSTOM_B"])).unwrap();
    records.run("remove-trait", json!(["CUSTOM_B"])).unwrap();
    assert_eq!(records.node.traits, ["HW_CPU_X86_VMX"]);
    assert!(records.run("add-trait", json!(["lower"])).is_err());
    for number in 1..TRAITS_MAX {
        records.run("add-trait", json!([format!("CUSTOM_{number}")])).unwrap();
    }
    assert!(records.run("add-trait", json!(["CUSTOM_ONE_MORE"])).is_err());
}

#[test]
fn plugin_data() {
    let mut records = Records::new();
    records.run("set-plugin-data", json!(["a.c.d", [1]])).unwrap();
    records.run("set-plugin-data", json!([["with.dot"], 1])).unwrap();
    records.run("extend-plugin-data", json!(["a.c.d", 2])).unwrap();
    records.run("unset-plugin-data", json!(["a.b"])).unwrap();
    records.run("unset-plugin-data", json!(["a.nothing"])).unwrap();
    assert_eq!(records.plugin_data, json!({"a": {"c": {"d": [1, 2]}}, "with.dot": 1}));
    records.run("unset-plugin-data", json!(["a.c.d"])).unwrap();
    assert_eq!(records.plugin_data, json!({"a": {}, "with.dot": 1}), "an emptied object goes too");
    assert!(records.run("set-plugin-data", json!([7, 1])).is_err());
}

#[test]
fn words_for_the_world_outside() {
    let mut records = Records::new();
    assert_eq!(records.run("fail", json!(["too old"])), Err(RuleError::Told("too old".into())));
    assert_eq!(records.run("log", json!(["hello", "WARNING"])), Ok(Effect::Log(Level::Warning, "hello".into())));
    assert!(matches!(records.run("api-call", json!(["http://h/x"])), Ok(Effect::Call(_))));
    assert_eq!(Action::ALL.len(), 16);
}
