//! `PATCH /v1/nodes/{}` (rest-api section 5): allowed fields first, then, with the node held, its state, the patch, the values.

use super::args::Args;
use super::call::{Answer, Call};
use super::error::ApiError;
use super::field::{View, schema_text};
use super::node_fields::{TABLE, field, interface_kind, value};
use super::node_patch_check::{check_fields, check_interfaces, check_result, check_state};
use super::node_rights::Rights;
use super::patch::{self, Change, Op};
use super::version::{self, Version};
use super::{ident, nodes};
use crate::flow::autodetect;
use crate::flow::request::{self, RequestError};
use crate::model::allocation::Allocation;
use crate::model::fsm::State;
use crate::model::node::{InterfaceKind, Node};
use crate::store::StoreError;
use serde_json::{Map, Value};
use std::sync::atomic::Ordering;

/// Since when a node can be taken out of its chassis.
const CHASSIS_REMOVED: u16 = 25;

/// The handler.
pub async fn patch(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::query(call, &["reset_interfaces"])?;
    if args.has("reset_interfaces") && !call.version.has(45) {
        return Err(ApiError::too_new());
    }
    let reset = args.boolean("reset_interfaces")?.unwrap_or(false);
    let ident = nodes::ident_of(call)?;
    let mut changes = patch::parse(call.json()?, call.version)?;
    check_fields(&changes, call.version)?;
    if reset && !changes.iter().any(|change| change.root() == "driver") {
        let text = "The reset_interfaces parameter can only be used when changing the node's driver.";
        return Err(ApiError::invalid(text));
    }
    let node = call.conductor.store.node(&ident).await?;
    let rights = Rights { who: call.caller.credentials.clone() };
    call.asked.store(true, Ordering::Relaxed);
    rights.check(&node, &changes)?;
    if changes.iter().any(|change| change.root() == "owner") {
        check_unreserved(call, &node).await?;
    }
    resolve_parents(call, &node, &mut changes).await?;
    for change in changes.iter().filter(|change| change.root() == "chassis_uuid") {
        let is_removed = change.op == Op::Remove || change.whole().is_some_and(Value::is_null);
        if is_removed && node.chassis_uuid.is_some() && !call.version.has(CHASSIS_REMOVED) {
            return Err(ApiError::too_new());
        }
        if let Some(chassis) = change.whole().and_then(Value::as_str).and_then(ident::uuid) {
            request::check_chassis(&call.conductor, &chassis.to_string()).await?;
        }
    }
    let version = call.version;
    let drivers = nodes::drivers(call);
    let group = call.conductor.config.conductor.conductor_group.clone();
    let named = ident.clone();
    let change = Box::new(move |node: &mut Node| {
        let before = (node.driver.clone(), node.conductor_group.clone());
        // Again: since then the node may have got another owner.
        rights.check(node, &changes)?;
        let (owner, state) = (node.owner.clone(), node.provision_state);
        apply(&named, node, &changes, version, reset)?;
        if owner != node.owner && state == State::Active {
            rights.check_new_owner(node, owner)?;
        }
        if before == (node.driver.clone(), node.conductor_group.clone()) {
            return Ok(());
        }
        nodes::check_served(node, &drivers, &group).map_err(RequestError::Invalid)
    });
    let node = request::update_node(&call.conductor, node, &call.caller, change).await?;
    Ok(Answer::ok(nodes::full(call, &node)))
}

/// A node that somebody reserved for a project keeps its owner.
async fn check_unreserved(call: &Call, node: &Node) -> Result<(), ApiError> {
    let Some(uuid) = &node.allocation_uuid else { return Ok(()) };
    match call.conductor.store.find::<Allocation>(uuid).await {
        Ok(Allocation { owner: Some(_), .. }) => Err(ApiError::conflict(format!(
            "Cannot update owner of node \"{}\" while it is allocated to an allocation with an  owner.",
            node.uuid
        ))),
        Ok(_) | Err(StoreError::NotFound(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A parent may be named; the record holds its UUID.
async fn resolve_parents(call: &Call, node: &Node, changes: &mut [Change]) -> Result<(), ApiError> {
    // A patch that gives the node away links it to a node of its new owner.
    let given = changes.iter().rev().find(|change| change.path == ["owner"]).map(|change| match &change.op {
        Op::Add(value) | Op::Replace(value) => value.as_str().map(str::to_owned),
        Op::Remove => None,
    });
    let owner = given.unwrap_or_else(|| node.owner.clone());
    for change in changes.iter_mut().filter(|change| change.path == ["parent_node"]) {
        if let Op::Add(Value::String(text)) | Op::Replace(Value::String(text)) = &mut change.op {
            *text = call.linked(owner.as_deref(), text, "parent_node").await?.uuid.to_string();
        }
    }
    Ok(())
}

/// With the node held: everything that needs its present state.
fn apply(ident: &str, node: &mut Node, changes: &[Change], version: Version, reset: bool) -> Result<(), RequestError> {
    check_state(ident, node, changes, version)?;
    let before = node.clone();
    let mut document = document(node, changes);
    for change in changes {
        patch::apply(&mut document, change).map_err(RequestError::Invalid)?;
    }
    let mut done: Vec<&str> = Vec::new();
    for change in changes {
        if done.contains(&change.root()) {
            continue;
        }
        done.push(change.root());
        let Some(field) = field(change.root()) else { continue };
        let value = document.remove(change.root()).unwrap_or(Value::Null);
        let value = unmasked(&before, change.root(), value);
        (field.set)(node, field.name, value).map_err(|text| RequestError::Invalid(schema_text("patch", text)))?;
    }
    check_interfaces(&before, node, changes)?;
    check_result(ident, &before, node, changes, version)?;
    side_effects(&before, node);
    if reset && before.driver != node.driver {
        node.interfaces.retain(|kind, _| changes.iter().any(|change| interface_kind(change.root()) == Some(*kind)));
    }
    // Who sets a deploy interface, or has all of them reset, wants that one and not what a deployment put aside.
    if before.interfaces.get(&InterfaceKind::Deploy) != node.interfaces.get(&InterfaceKind::Deploy) {
        node.driver_internal_info.remove(autodetect::ORIGINAL);
    }
    Ok(())
}

/// As the conductor itself reads a node.
const WHOLE: View = View { base: "", version: Version(version::NEWEST), host: "", reader: None };

/// The present record as the patch sees it: secrets included, only what is patched.
fn document(node: &Node, changes: &[Change]) -> Map<String, Value> {
    TABLE
        .iter()
        .filter(|field| field.on_patch() && changes.iter().any(|change| change.root() == field.name))
        .map(|field| {
            let value = match field.name {
                "driver_info" => Value::Object(node.driver_info.map().clone()),
                "instance_info" => Value::Object(node.instance_info.map().clone()),
                _ => field.value(node, &WHOLE),
            };
            (field.name.to_owned(), value)
        })
        .collect()
}

/// What people see masked and write back stays what it was. (The reference stores the stars and loses the secret.)
fn unmasked(before: &Node, root: &str, new: Value) -> Value {
    let old = match root {
        "driver_info" => before.driver_info.map(),
        "instance_info" => before.instance_info.map(),
        _ => return new,
    };
    patch::unmasked(&Value::Object(old.clone()), &value(root, before, &WHOLE), new)
}

fn side_effects(before: &Node, node: &mut Node) {
    if before.instance_uuid.is_some() && node.instance_uuid.is_none() {
        node.allocation_uuid = None;
    }
    if before.maintenance && !node.maintenance {
        node.maintenance_reason = None;
        node.fault = None;
    }
    if !node.protected {
        node.protected_reason = None;
    }
    if !node.retired {
        node.retired_reason = None;
    }
    if before.instance_info != node.instance_info && node.instance_name.is_none() {
        let name = node.instance_info.text("display_name").filter(|name| !name.is_empty());
        node.instance_name = name.map(|name| name.chars().take(255).collect());
    }
    node.conductor_group = node.conductor_group.to_lowercase();
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NEW: Version = Version(115);

    fn patched(node: &Node, patch: Value) -> Result<Node, RequestError> {
        let changes = patch::parse(Some(patch), NEW).map_err(|error| RequestError::Invalid(error.text))?;
        check_fields(&changes, NEW).map_err(|error| RequestError::Invalid(error.text))?;
        let mut node = node.clone();
        apply("n", &mut node, &changes, NEW, false)?;
        Ok(node)
    }

    fn set(path: &str, value: Value) -> Value {
        json!([{"op": "replace", "path": path, "value": value}])
    }

    #[test]
    fn masked_values_that_come_back_keep_the_secret() {
        let info = json!({"ipmi_address": "192.0.2.9", "ipmi_password": "s3cret", "url": "http://a:b@h/"});
        let node = Node { driver_info: info.as_object().unwrap().clone().into(), ..Node::default() };
        let mut shown = node.driver_info.masked();
        shown.insert("ipmi_address".into(), json!("192.0.2.10"));
        let after = patched(&node, set("/driver_info", Value::Object(shown))).unwrap();
        assert_eq!(after.driver_info.text("ipmi_password"), Some("s3cret"));
        assert_eq!(after.driver_info.text("url"), Some("http://a:b@h/"));
        assert_eq!(after.driver_info.text("ipmi_address"), Some("192.0.2.10"));
        let after = patched(&node, set("/driver_info/ipmi_password", json!("new"))).unwrap();
        assert_eq!(after.driver_info.text("ipmi_password"), Some("new"));
    }

    #[test]
    fn a_node_that_moves_is_not_edited_except_to_free_its_instance_in_maintenance() {
        let mut node = Node { provision_state: State::Deploying, ..Node::default() };
        node.target_provision_state = Some(State::Active);
        node.instance_uuid = Some("x".into());
        let free = json!([{"op": "remove", "path": "/instance_uuid"}]);
        assert!(matches!(patched(&node, free.clone()), Err(RequestError::Conflict(_))));
        node.maintenance = true;
        assert_eq!(patched(&node, free).unwrap().instance_uuid, None);
        assert!(matches!(patched(&node, set("/extra/a", json!(1))), Err(RequestError::Conflict(_))));
    }

    #[test]
    fn refusals_have_the_words_of_the_contract() {
        let active = Node { provision_state: State::Active, resource_class: Some("a".into()), ..Node::default() };
        let enroll = Node::default();
        for (node, patch, words) in [
            (&enroll, set("/protected", json!(true)), "can only be made protected"),
            (&enroll, set("/protected_reason", json!("x")), "The protected_reason field can only be set"),
            (&enroll, set("/retired_reason", json!("x")), "The retired_reason field can only be set"),
            (&enroll, set("/name", json!("states")), "The word \"states\" is reserved"),
            (&enroll, set("/name", json!("")), "Cannot change name to invalid name ''"),
            (&enroll, set("/foo", json!(1)), "Cannot patch /foo. Only the following can be updated: automated_clean,"),
            (&enroll, set("/traits", json!([])), "Cannot patch /traits. Only the following can be updated"),
            (&enroll, set("/maintenance", json!("maybe")), "Invalid maintenance: Unrecognized value 'maybe'"),
            (&enroll, set("/instance_uuid", json!("x")), "Expected UUID for instance_uuid: x"),
            (&enroll, json!([{"op": "remove", "path": "/driver"}]), "'driver' is a required property"),
            (&active, set("/boot_interface", json!("fake")), "can not have boot_interface updated unless"),
            (&active, set("/resource_class", json!("b")), "resource_class updated unless"),
        ] {
            let error = patched(node, patch.clone()).err().unwrap().to_string();
            assert!(error.contains(words), "{patch}: {error}");
        }
    }

    #[test]
    fn side_effects_follow() {
        let mut node = Node { maintenance: true, fault: Some("power failure".into()), ..Node::default() };
        node.maintenance_reason = Some("x".into());
        let after = patched(&node, set("/maintenance", json!("false"))).unwrap();
        assert_eq!((after.maintenance, after.maintenance_reason, after.fault), (false, None, None));
        let after = patched(&node, set("/instance_info", json!({"display_name": "web"}))).unwrap();
        assert_eq!(after.instance_name.as_deref(), Some("web"));
    }

    #[test]
    fn who_sets_a_deploy_interface_wants_that_one() {
        let mut node = Node::default();
        node.interfaces.insert(InterfaceKind::Deploy, "direct".into());
        node.driver_internal_info.insert(autodetect::ORIGINAL.into(), json!("autodetect"));
        let kept = |name: &str| {
            let after = patched(&node, set("/deploy_interface", json!(name))).unwrap();
            after.driver_internal_info.contains_key(autodetect::ORIGINAL)
        };
        assert!(kept("direct"), "nothing changes");
        assert!(!kept("custom-agent"));
    }

    #[test]
    fn removing_a_field_brings_its_default_back() {
        let mut node = Node { name: Some("a".into()), automated_clean: Some(true), ..Node::default() };
        node.extra.insert("k".into(), json!(1));
        node.interfaces.insert(InterfaceKind::Boot, "ipxe".into());
        let patch: Vec<Value> = ["/name", "/automated_clean", "/extra", "/boot_interface"]
            .iter()
            .map(|path| json!({"op": "remove", "path": path}))
            .collect();
        let after = patched(&node, json!(patch)).unwrap();
        assert!(after.name.is_none() && after.automated_clean.is_none() && after.extra.is_empty());
        assert!(after.interfaces.is_empty());
    }
}
