//! Ports (rest-api section 9.1).

use super::args::{Args, cut};
use super::call::{Answer, Call};
use super::error::ApiError;
use super::field::{Selection, View, fill, selection, shown};
use super::node_create::only_a_body;
use super::port_fields::{SHORT, TABLE, link_is_known};
use super::rows::Rows;
use super::seen::target;
use super::{ident, nodes, page, python};
use crate::flow::request;
use crate::model::node::Node;
use crate::model::port::Port;
use crate::model::port_group::PortGroup;
use crate::policy::Target;
use crate::store::{PortFilter, StoreError};
use common::mac::Mac;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Filters and since when they are known.
const FILTERS: &[(&str, u16)] = &[
    ("node", 1),
    ("node_uuid", 1),
    ("address", 1),
    ("portgroup", 24),
    ("shard", 82),
    ("description_contains", 97),
    ("conductor_groups", 99),
];

/// A network without a name is none.
pub const NO_NETWORK: &str = "A non-empty value is required when setting physical_network";

/// `GET /v1/ports`.
pub async fn list(call: &Call) -> Result<Answer, ApiError> {
    answer(call, Parent::None, "ports", false).await
}

/// `GET /v1/ports/detail`.
pub async fn detail(call: &Call) -> Result<Answer, ApiError> {
    answer(call, Parent::None, "ports/detail", true).await
}

/// `GET /v1/nodes/{}/ports`: by name too (the reference takes only a UUID: its defect 20).
pub async fn of_node(call: &Call) -> Result<Answer, ApiError> {
    let node = nodes::node_of(call).await?.uuid;
    answer(call, Parent::Node(node), &format!("nodes/{node}/ports"), false).await
}

/// `GET /v1/nodes/{}/ports/detail`.
pub async fn of_node_detail(call: &Call) -> Result<Answer, ApiError> {
    let node = nodes::node_of(call).await?.uuid;
    answer(call, Parent::Node(node), &format!("nodes/{node}/ports/detail"), true).await
}

/// The ports of a group: `portgroups` has the route.
///
/// # Errors
/// What arguments and store say.
pub async fn of_group(call: &Call, group: Uuid, path: &str, always_detail: bool) -> Result<Answer, ApiError> {
    answer(call, Parent::Group(group), path, always_detail).await
}

/// What the path says about whose ports are listed.
#[derive(Clone, Copy, PartialEq)]
enum Parent {
    None,
    Node(Uuid),
    Group(Uuid),
}

async fn answer(call: &Call, parent: Parent, path: &str, always_detail: bool) -> Result<Answer, ApiError> {
    let filters = FILTERS
        .iter()
        .map(|filter| filter.0)
        .filter(|name| parent == Parent::None || (!name.starts_with("node") && *name != "portgroup"));
    let known: Vec<&str> = filters.chain(page::ARGS.iter().copied()).collect();
    let args = Args::query(call, &known)?;
    let too_new = |(name, since): &&(&str, u16)| args.has(name) && !call.version.has(*since);
    match FILTERS.iter().find(too_new) {
        Some(("shard", since)) => return Err(ApiError::too_new_before(*since)),
        Some(_) => return Err(ApiError::too_new()),
        None => {}
    }
    if args.has("detail") && !call.version.has(43) {
        return Err(ApiError::too_new());
    }
    let detail = always_detail || args.boolean("detail")?.unwrap_or(false);
    let selection = selection(TABLE, args.words("fields")?.as_deref(), detail, SHORT, call.version)?;
    let paging = page::read(call, &args, TABLE)?;
    let filter = filter(call, &args, parent).await?;
    let ids = call.conductor.store.port_ids(&call.visible("port"), &filter, &paging.page).await?;
    let carried: Vec<(&str, String)> =
        if detail && !always_detail { vec![("detail", "True".into())] } else { Vec::new() };
    Rows::of(call, ("ports", path), TABLE, ids, &paging, selection, &carried).answer().await
}

async fn filter(call: &Call, args: &Args, parent: Parent) -> Result<PortFilter, ApiError> {
    let mut filter = PortFilter::default();
    match parent {
        Parent::None => {}
        Parent::Node(node) => filter.node = Some(node),
        Parent::Group(group) => filter.portgroup = Some(group),
    }
    for name in ["node", "node_uuid"] {
        if let Some(text) = args.text(name)? {
            if name == "node_uuid" && ident::uuid(text).is_none() {
                return Err(ApiError::invalid(format!("Expected UUID for node_uuid: {}", cut(text))));
            }
            filter.node = Some(call.node_seen(&ident::of_path(text, "node")?).await?.uuid);
        }
    }
    if let Some(text) = args.text("address")? {
        let bad = |_| ApiError::invalid(format!("Expected valid MAC address for address: {}", cut(text)));
        filter.address = Some(text.parse::<Mac>().map_err(bad)?);
    }
    if let Some(text) = args.text("portgroup")? {
        let group = call.conductor.store.find::<PortGroup>(&ident::of_path(text, "portgroup")?).await?;
        if call.node_seen(&group.node_uuid.to_string()).await.is_err() {
            return Err(ApiError::not_found(format!("Portgroup {} could not be found.", cut(text))));
        }
        filter.portgroup = Some(group.meta.uuid);
    }
    filter.shards = args.list("shard")?;
    filter.description_contains = args.text("description_contains")?.map(str::to_owned);
    filter.conductor_groups = args.list("conductor_groups")?;
    Ok(filter)
}

/// The port that the path names.
///
/// # Errors
/// 404.
pub async fn port_of(call: &Call) -> Result<Port, ApiError> {
    let text = call.param(0);
    let missing = || ApiError::not_found(format!("Port {} could not be found.", cut(text)));
    let port = match ident::uuid(text) {
        Some(uuid) => call.conductor.store.port(&uuid.to_string()).await?,
        None => call.conductor.store.port(text).await.map_err(|error| match error {
            StoreError::NotFound(_) => missing(),
            other => other.into(),
        })?,
    };
    call.shows(port.id, port.revision);
    Ok(port)
}

/// `GET /v1/ports/{}`.
pub async fn show(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::query(call, &["fields"])?;
    let selection = selection(TABLE, args.words("fields")?.as_deref(), !args.has("fields"), &[], call.version)?;
    let port = port_of(call).await?;
    Ok(Answer::ok(shown(TABLE, &port, &selection, &View::of(call))))
}

/// `POST /v1/ports`.
pub async fn create(call: &Call) -> Result<Answer, ApiError> {
    only_a_body(call)?;
    let mut body = call.object("port")?;
    if !body.contains_key("address") {
        return Err(ApiError::invalid("Schema error for port: 'address' is a required property"));
    }
    if body.get("local_link_connection").is_some_and(|link| !link_is_known(link, call.version)) {
        return Err(ApiError::too_new());
    }
    let cabled = body.get("local_link_connection").is_some_and(|link| !link.is_null());
    let node = owner(call, &mut body).await?;
    let pxe_named = body.contains_key("pxe_enabled");
    let mut port = Port::new(node.uuid, Mac([0; 6]));
    fill(TABLE, "port", &mut port, body, call.version)?;
    if port.physical_network.as_deref() == Some("") {
        return Err(ApiError::invalid(NO_NETWORK));
    }
    if port.is_smartnic
        && cabled
        && !["port_id", "hostname"].iter().all(|key| port.local_link_connection.contains_key(*key))
    {
        return Err(ApiError::invalid("Smart NIC port must have port_id and hostname in local_link_connection"));
    }
    request::join_port_group(&call.conductor, None, &port, pxe_named).await?;
    let port = call.conductor.store.create_port(port).await?;
    tracing::info!(node = %node.uuid, port = %port.uuid, address = %port.address, "port created");
    call.shows(port.id, port.revision);
    let location = format!("{}/v1/ports/{}", call.base, port.uuid);
    Ok(Answer::created(shown(TABLE, &port, &Selection::All, &View::of(call)), location))
}

/// Takes the node out of the body: `node_uuid`, or from 1.94 on `node_ident`, which may be a name.
async fn owner(call: &Call, body: &mut Map<String, Value>) -> Result<Node, ApiError> {
    let shown = python::repr(&Value::Object(body.clone()));
    let (uuid, alias) = (body.shift_remove("node_uuid"), body.shift_remove("node_ident"));
    if uuid.is_some() == alias.is_some() {
        let what = match uuid {
            None => {
                "is not valid under any of the given schemas. Possible root cause: 'node_ident' is a required property"
            }
            Some(_) => "is valid under each of {'required': ['node_uuid']}, {'required': ['node_ident']}",
        };
        return Err(ApiError::invalid(format!("Schema error for port: {shown} {what}")));
    }
    if alias.is_some() && !call.version.has(94) {
        return Err(ApiError::too_new());
    }
    let (text, named) = match (uuid, alias) {
        (Some(Value::String(text)), _) => (text, false),
        (None, Some(Value::String(text))) => (text, true),
        (other, alias) => {
            let value = other.or(alias).unwrap_or_default();
            let text = format!("Schema error for port: {} is not of type 'string'", python::repr(&value));
            return Err(ApiError::invalid(text));
        }
    };
    let ident = match ident::uuid(&text) {
        Some(uuid) => uuid.to_string(),
        None if named && ident::is_name(&text) => text,
        None if named => return Err(ApiError::invalid(format!("Node {} could not be found.", cut(&text)))),
        None => return Err(ApiError::invalid(format!("Expected UUID for node_uuid: {}", cut(&text)))),
    };
    match call.conductor.store.node(&ident).await {
        Ok(node) => call.permit("baremetal:port:create", &target(&node)).map(|()| node),
        // Not 404: what was not found is not what the path names. Whose nodes exist is not told to strangers.
        Err(error @ StoreError::NotFound(_)) => {
            call.permit("baremetal:port:create", &Target::NONE)?;
            Err(ApiError::invalid(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

/// `DELETE /v1/ports/{}`: by name too from 1.88 on (the reference takes only a UUID: its defect 20).
pub async fn delete(call: &Call) -> Result<Answer, ApiError> {
    Args::read(call, &[])?;
    let port = port_of(call).await?;
    let node = request::unheld(&call.conductor, port.node_uuid).await?;
    if port.internal_info.contains_key("tenant_vif_port_id") {
        let text = format!("Cannot delete the port {} while a VIF is attached to it.", port.uuid);
        return Err(ApiError::conflict(text));
    }
    call.conductor.store.delete_port(port.uuid).await?;
    tracing::info!(node = %node.uuid, port = %port.uuid, address = %port.address, "port deleted");
    Ok(Answer::no_content())
}
