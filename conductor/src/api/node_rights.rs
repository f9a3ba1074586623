//! Which rule of the policy stands before which field of a node when it is patched.

use super::args::boolean;
use super::node_fields::interface_kind;
use super::patch::{Change, Op};
use super::seen::target;
use crate::flow::request::RequestError;
use crate::model::node::Node;
use crate::policy::{Credentials, Target, may};

/// Fields with a rule of their own; the others need `baremetal:node:update`.
const RULES: &[(&str, &str)] = &[
    ("instance_info", "baremetal:node:update_instance_info"),
    ("instance_name", "baremetal:node:update_instance_info"),
    ("extra", "baremetal:node:update_extra"),
    ("driver_info", "baremetal:node:update:driver_info"),
    ("driver", "baremetal:node:update:driver_interfaces"),
    ("properties", "baremetal:node:update:properties"),
    ("chassis_uuid", "baremetal:node:update:chassis_uuid"),
    ("instance_uuid", "baremetal:node:update:instance_uuid"),
    ("lessee", "baremetal:node:update:lessee"),
    ("owner", "baremetal:node:update:owner"),
    ("network_data", "baremetal:node:update:network_data"),
    ("conductor_group", "baremetal:node:update:conductor_group"),
    ("name", "baremetal:node:update:name"),
    ("retired", "baremetal:node:update:retired"),
    ("retired_reason", "baremetal:node:update:retired"),
    ("shard", "baremetal:node:update:shard"),
    ("parent_node", "baremetal:node:update:parent_node"),
    ("disable_power_off", "baremetal:node:update:disable_power_off"),
];

/// The rule of one change.
fn rule(change: &Change) -> &'static str {
    if let Some((_, rule)) = RULES.iter().find(|(field, _)| *field == change.root()) {
        return rule;
    }
    if interface_kind(change.root()).is_some() {
        return "baremetal:node:update:driver_interfaces";
    }
    match &change.op {
        Op::Add(value) | Op::Replace(value)
            if change.root() == "automated_clean" && boolean("automated_clean", value) == Ok(false) =>
        {
            "baremetal:node:disable_cleaning"
        }
        _ => "baremetal:node:update",
    }
}

/// Whose patch it is. Goes with the change to where the node is held.
pub struct Rights {
    /// The caller.
    pub who: Credentials,
}

impl Rights {
    /// All changes are the caller's to make.
    ///
    /// # Errors
    /// 403 with the first rule that says no.
    pub fn check(&self, node: &Node, changes: &[Change]) -> Result<(), RequestError> {
        let target = target(node);
        let rules = changes.iter().map(rule);
        let none = changes.is_empty().then_some("baremetal:node:update");
        match rules.chain(none).find(|rule| !may(&self.who, rule, &target)) {
            None => Ok(()),
            Some(rule) => Err(RequestError::Forbidden(format!("Access was denied to the following resource: {rule}"))),
        }
    }

    /// A node in use may be given to another owner. `before` is the present one.
    ///
    /// # Errors
    /// 409.
    pub fn check_new_owner(&self, node: &Node, before: Option<String>) -> Result<(), RequestError> {
        let target = Target { owner: before.as_deref(), lessee: node.lessee.as_deref() };
        if may(&self.who, "baremetal:node:update_owner_provisioned", &target) {
            tracing::info!(node = %node.uuid, "the owner of an active node was changed");
            return Ok(());
        }
        let text = format!("Cannot update owner of node \"{}\" while it is in state \"active\".", node.uuid);
        Err(RequestError::Conflict(text))
    }
}

#[cfg(test)]
mod tests {
    use super::super::node_fields::TABLE;
    use super::super::patch;
    use super::super::version::Version;
    use super::*;
    use crate::policy::rules;
    use serde_json::json;

    fn rule_of(patch: serde_json::Value) -> &'static str {
        rule(&patch::parse(Some(json!([patch])), Version(115)).unwrap()[0])
    }

    #[test]
    fn every_field_that_can_be_patched_has_a_rule_that_exists() {
        for field in TABLE.iter().filter(|field| field.on_patch()) {
            let name = rule_of(json!({"op": "remove", "path": format!("/{}", field.name)}));
            assert!(rules::rule(name).is_some(), "{}: {name}", field.name);
        }
        for (field, _) in RULES {
            assert!(TABLE.iter().any(|row| row.name == *field), "{field} is no field");
        }
    }

    #[test]
    fn only_switching_cleaning_off_needs_the_strong_right() {
        for (value, wanted) in [
            (json!(false), "baremetal:node:disable_cleaning"),
            (json!("off"), "baremetal:node:disable_cleaning"),
            (json!(true), "baremetal:node:update"),
            (json!(null), "baremetal:node:update"),
        ] {
            assert_eq!(rule_of(json!({"op": "add", "path": "/automated_clean", "value": value})), wanted);
        }
        assert_eq!(
            rule_of(json!({"op": "add", "path": "/bios_interface", "value": "x"})),
            "baremetal:node:update:driver_interfaces"
        );
    }
}
