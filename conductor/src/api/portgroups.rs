//! Port groups (rest-api section 9.2).

use super::args::{Args, cut};
use super::call::{Answer, Call};
use super::error::ApiError;
use super::field::fill;
use super::node_create::only_a_body;
use super::patch::{Change, Op};
use super::resource::{self, Filters, Resource};
use super::{ident, nodes, ports};
use crate::flow::request;
use crate::model::port_group::PortGroup;
use crate::model::record::Recorded;
use crate::store::records::RecordFilter;
use common::mac::Mac;
use serde_json::Value;
use uuid::Uuid;

const FILTERS: Filters = &[("node", 23), ("address", 23), ("conductor_groups", 99), ("shard", 106)];

/// `GET /v1/portgroups`.
pub async fn list(call: &Call) -> Result<Answer, ApiError> {
    listed(call, None, "portgroups").await
}

/// `GET /v1/portgroups/detail`.
pub async fn detail(call: &Call) -> Result<Answer, ApiError> {
    listed(call, None, "portgroups/detail").await
}

/// `GET /v1/nodes/{}/portgroups`: by name too (the reference takes only a UUID: its defect 20).
pub async fn of_node(call: &Call) -> Result<Answer, ApiError> {
    let node = nodes::node_of(call).await?.uuid;
    listed(call, Some(node), &format!("nodes/{node}/portgroups")).await
}

/// `GET /v1/nodes/{}/portgroups/detail`.
pub async fn of_node_detail(call: &Call) -> Result<Answer, ApiError> {
    let node = nodes::node_of(call).await?.uuid;
    listed(call, Some(node), &format!("nodes/{node}/portgroups/detail")).await
}

async fn listed(call: &Call, node: Option<Uuid>, path: &str) -> Result<Answer, ApiError> {
    let args = resource::list_args::<PortGroup>(call, FILTERS)?;
    let mut filter = RecordFilter { nodes: node.into_iter().collect(), ..RecordFilter::default() };
    if let (Some(text), None) = (args.text("node")?, node) {
        filter.nodes.push(call.node_seen(&ident::of_path(text, "node")?).await?.uuid);
    }
    if let Some(text) = args.text("address")? {
        let bad = |_| ApiError::invalid(format!("Schema error: '{}' is not a 'mac-address'", cut(text)));
        filter = filter.with("address", text.parse::<Mac>().map_err(bad)?.to_string());
    }
    filter.shards = args.list("shard")?;
    filter.conductor_groups = args.list("conductor_groups")?;
    resource::list::<PortGroup>(call, &args, filter, path).await
}

/// `GET /v1/portgroups/{}`.
pub async fn show(call: &Call) -> Result<Answer, ApiError> {
    let wanted = resource::wanted::<PortGroup>(call)?;
    let group = resource::of_path::<PortGroup>(call).await?;
    Ok(resource::answer(call, &group, &wanted))
}

/// `POST /v1/portgroups`.
pub async fn create(call: &Call) -> Result<Answer, ApiError> {
    only_a_body(call)?;
    let body = call.object(PortGroup::NOUN)?;
    if body.get("node_uuid").is_none_or(Value::is_null) {
        return Err(ApiError::invalid("Schema error for portgroup: 'node_uuid' is a required property"));
    }
    let mut group = PortGroup::default();
    fill(PortGroup::table(), PortGroup::NOUN, &mut group, body, call.version)?;
    let missing = format!("Node {} could not be found.", group.node_uuid);
    resource::may_add(call, "baremetal:portgroup:create", group.node_uuid, missing).await?;
    if let Some(name) = group.name().filter(|name| !ident::is_name(name)) {
        return Err(ApiError::invalid(format!("Cannot create portgroup with invalid name '{}'", cut(name))));
    }
    let group = request::create_port_group(&call.conductor, &group, &call.caller).await?;
    Ok(resource::created(call, &group))
}

/// `PATCH /v1/portgroups/{}`.
pub async fn patch(call: &Call) -> Result<Answer, ApiError> {
    let changes = resource::changes::<PortGroup>(call)?;
    resource::again(|| patch_once(call, &changes)).await
}

async fn patch_once(call: &Call, changes: &[Change]) -> Result<Answer, ApiError> {
    let before = resource::of_path::<PortGroup>(call).await?;
    // Every bond has a mode.
    if changes.iter().any(|change| change.path == ["mode"] && change.op == Op::Remove) {
        return Err(ApiError::invalid("'mode' is a mandatory attribute and can not be removed"));
    }
    let after = resource::patched(call, &before, changes)?;
    if let Some(name) = after.name().filter(|name| after.name != before.name && !ident::is_name(name)) {
        let (group, name) = (cut(call.param(0)), cut(name));
        return Err(ApiError::invalid(format!("Portgroup {group}: Cannot change name to invalid name '{name}'")));
    }
    resource::may_move(call, before.node_uuid, after.node_uuid).await?;
    let network = changes.iter().any(|change| change.root() == "physical_network");
    let after = request::update_port_group(&call.conductor, &before, &after, network, call.version.has(39)).await?;
    Ok(Answer::ok(resource::full(call, &after)))
}

/// `DELETE /v1/portgroups/{}`.
pub async fn delete(call: &Call) -> Result<Answer, ApiError> {
    Args::read(call, &[])?;
    let group = resource::of_path::<PortGroup>(call).await?;
    request::delete_port_group(&call.conductor, &group, &call.caller).await?;
    Ok(Answer::no_content())
}

/// `GET /v1/portgroups/{}/ports`: by name too (the reference takes only a UUID: its defect 20).
pub async fn ports(call: &Call) -> Result<Answer, ApiError> {
    let group = resource::of_path::<PortGroup>(call).await?.meta.uuid;
    ports::of_group(call, group, &format!("portgroups/{group}/ports"), false).await
}

/// `GET /v1/portgroups/{}/ports/detail`.
pub async fn ports_detail(call: &Call) -> Result<Answer, ApiError> {
    let group = resource::of_path::<PortGroup>(call).await?.meta.uuid;
    ports::of_group(call, group, &format!("portgroups/{group}/ports/detail"), true).await
}
