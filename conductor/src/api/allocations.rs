//! Allocations (rest-api section 11).

use super::args::{Args, cut};
use super::call::{Answer, Call};
use super::error::ApiError;
use super::field::fill;
use super::node_create::only_a_body;
use super::patch::Change;
use super::resource::{self, Filters, Resource};
use super::{ident, nodes};
use crate::flow::request;
use crate::model::allocation::Allocation;
use crate::model::node::Node;
use crate::model::record::Recorded;
use crate::policy::Target;
use crate::store::StoreError;
use crate::store::records::RecordFilter;
use serde_json::{Map, Value};

const FILTERS: Filters = &[("node", 52), ("resource_class", 52), ("state", 52), ("owner", 60)];

/// `GET /v1/allocations`.
pub async fn list(call: &Call) -> Result<Answer, ApiError> {
    let args = resource::list_args::<Allocation>(call, FILTERS)?;
    let mut filter = RecordFilter::default();
    for field in ["resource_class", "state", "owner"] {
        if let Some(text) = args.text(field)? {
            filter = filter.with(field, text);
        }
    }
    if let Some(text) = args.text("node")? {
        let node = call.node_seen(&ident::of_path(text, "node")?).await.map_err(not_in_path)?;
        filter.nodes.push(node.uuid);
    }
    resource::list::<Allocation>(call, &args, filter, "allocations").await
}

/// What was not found is not what the path names.
fn not_in_path(error: StoreError) -> ApiError {
    match error {
        StoreError::NotFound(_) => ApiError::invalid(error.to_string()),
        other => other.into(),
    }
}

/// `GET /v1/allocations/{}`.
pub async fn show(call: &Call) -> Result<Answer, ApiError> {
    let wanted = resource::wanted::<Allocation>(call)?;
    let allocation = resource::of_path::<Allocation>(call).await?;
    Ok(resource::answer(call, &allocation, &wanted))
}

/// `POST /v1/allocations`.
pub async fn create(call: &Call) -> Result<Answer, ApiError> {
    only_a_body(call)?;
    let mut body = call.object(Allocation::NOUN).map_err(plain)?;
    let node = if call.version.has(58) { body.shift_remove("node") } else { None };
    let has_uuid = body.get("uuid").is_some_and(|uuid| !uuid.is_null());
    let mut allocation = read(call, body)?;
    allocation.owner = owner(call, allocation.owner)?;
    if let Some(name) = allocation.name().filter(|name| !ident::is_name(name)) {
        return Err(ApiError::invalid(format!("Cannot create allocation with invalid name '{}'", cut(name))));
    }
    let node = match node {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => {
            let missing = || ApiError::invalid(format!("Node {} could not be found.", cut(&text)));
            let ident = ident::of_path(&text, "node").map_err(|_| missing())?;
            Some(call.node_seen(&ident).await.map_err(not_in_path)?)
        }
        Some(_) => return Err(ApiError::invalid("Schema error: node is not of type 'string', 'null'")),
    };
    if let (None, Some(node)) = (&allocation.resource_class, &node) {
        allocation.resource_class.clone_from(&node.resource_class);
    } else if allocation.resource_class.is_none() {
        return Err(ApiError::invalid("The resource_class field is mandatory when not backfilling"));
    }
    allocation.candidate_nodes = candidates(call, &allocation.candidate_nodes).await?;
    let allocation = match node {
        None => request::create_allocation(&call.conductor, &allocation, &call.caller).await?,
        Some(node) => {
            let instance = node.instance_uuid.as_deref().and_then(ident::uuid);
            if let (false, Some(instance)) = (has_uuid, instance) {
                allocation.meta.uuid = instance;
            }
            let node = node.uuid.to_string();
            request::backfill_allocation(&call.conductor, &allocation, &node, &call.caller).await?
        }
    };
    Ok(resource::created(call, &allocation))
}

fn read(call: &Call, body: Map<String, Value>) -> Result<Allocation, ApiError> {
    let mut allocation = Allocation::default();
    fill(Allocation::table(), Allocation::NOUN, &mut allocation, body, call.version).map_err(plain)?;
    Ok(allocation)
}

/// Schema errors of allocations do not say whose they are.
fn plain(mut error: ApiError) -> ApiError {
    error.text = error.text.replacen("Schema error for allocation:", "Schema error:", 1);
    error
}

/// Whose nodes may be taken. Who is there for a project takes that project's; another only with a right of its own.
fn owner(call: &Call, asked: Option<String>) -> Result<Option<String>, ApiError> {
    let restricted = "baremetal:allocation:create_restricted";
    if !call.may("baremetal:allocation:create", &Target::NONE) {
        call.permit(restricted, &Target::NONE)?;
    }
    let Some(project) = call.caller.project() else { return Ok(asked) };
    match asked {
        None => Ok(Some(project.to_owned())),
        Some(asked) if asked == project => Ok(Some(asked)),
        Some(asked) => call.permit(restricted, &Target::NONE).map(|()| Some(asked)),
    }
}

/// The UUIDs of the candidates, in their order.
async fn candidates(call: &Call, idents: &[String]) -> Result<Vec<String>, ApiError> {
    let mut found = Vec::with_capacity(idents.len());
    let mut missing = Vec::new();
    for text in idents {
        let ident = ident::of_path(text, "node")?;
        match call.node_seen(&ident).await {
            Ok(node) => found.push(node.uuid.to_string()),
            Err(StoreError::NotFound(_)) => missing.push(cut(text)),
            Err(error) => return Err(error.into()),
        }
    }
    if missing.is_empty() {
        Ok(found)
    } else {
        Err(ApiError::invalid(format!("Nodes cannot be found: {}", missing.join(", "))))
    }
}

/// `PATCH /v1/allocations/{}`: only what people call it and what they note.
pub async fn patch(call: &Call) -> Result<Answer, ApiError> {
    let changes = resource::changes::<Allocation>(call)?;
    resource::again(|| patch_once(call, &changes)).await
}

async fn patch_once(call: &Call, changes: &[Change]) -> Result<Answer, ApiError> {
    let before = resource::of_path::<Allocation>(call).await?;
    let after = resource::patched(call, &before, changes)?;
    if let Some(name) = after.name().filter(|name| after.name != before.name && !ident::is_name(name)) {
        return Err(ApiError::invalid(format!("Cannot update allocation with invalid name '{}'", cut(name))));
    }
    // It may have got its node meanwhile.
    let after = call.conductor.store.put_unchanged(&after).await?;
    Ok(Answer::ok(resource::full(call, &after)))
}

/// `DELETE /v1/allocations/{}`.
pub async fn delete(call: &Call) -> Result<Answer, ApiError> {
    Args::read(call, &[])?;
    let allocation = resource::of_path::<Allocation>(call).await?;
    request::delete_allocation(&call.conductor, &allocation, &call.caller).await?;
    Ok(Answer::no_content())
}

/// The allocation of the node in the path, for those who may.
async fn of_node(call: &Call, rule: &str) -> Result<(Node, Allocation), ApiError> {
    let mut node = nodes::node_of(call).await?;
    let none = || ApiError::not_found(format!("Allocation for node {} was not found", cut(call.param(0))));
    let Some(uuid) = node.allocation_uuid.take() else {
        call.permit(rule, &Target { owner: node.owner.as_deref(), lessee: node.lessee.as_deref() })?;
        return Err(none());
    };
    let allocation = call.conductor.store.find::<Allocation>(&uuid).await.map_err(|error| match error {
        StoreError::NotFound(_) => none(),
        other => other.into(),
    })?;
    call.permit(rule, &Target::owned(allocation.owner.as_deref()))?;
    Ok((node, allocation))
}

/// `GET /v1/nodes/{}/allocation`.
pub async fn show_of_node(call: &Call) -> Result<Answer, ApiError> {
    let wanted = resource::wanted::<Allocation>(call)?;
    let (node, allocation) = of_node(call, "baremetal:allocation:get").await?;
    let answer = resource::answer(call, &allocation, &wanted);
    // What is below a node carries the node's state.
    call.shows(node.id, node.revision);
    Ok(answer)
}

/// `DELETE /v1/nodes/{}/allocation`.
pub async fn delete_of_node(call: &Call) -> Result<Answer, ApiError> {
    Args::read(call, &[])?;
    let (_, allocation) = of_node(call, "baremetal:allocation:delete").await?;
    request::delete_allocation(&call.conductor, &allocation, &call.caller).await?;
    Ok(Answer::no_content())
}
