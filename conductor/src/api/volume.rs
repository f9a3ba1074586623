//! Volume connectors and targets (rest-api section 13): both in one way.

use super::args::Args;
use super::call::{Answer, Call};
use super::error::ApiError;
use super::field::fill;
use super::node_create::only_a_body;
use super::patch::Change;
use super::resource::{self, Filters, Resource};
use super::{ident, link, nodes};
use crate::flow::request::{self, OfNode};
use crate::model::volume::{VolumeConnector, VolumeTarget};
use crate::store::records::RecordFilter;
use serde_json::{Value, json};

const FILTERS: Filters = &[("node", 32)];

/// What a POST must carry, in the order in which it is missed.
trait Volume: Resource + OfNode {
    const REQUIRED: &'static [&'static str];
    const ARGUMENT: &'static str;
}

impl Volume for VolumeConnector {
    const REQUIRED: &'static [&'static str] = &["connector_id", "node_uuid", "type"];
    const ARGUMENT: &'static str = "connector_uuid";
}

impl Volume for VolumeTarget {
    const REQUIRED: &'static [&'static str] = &["boot_index", "node_uuid", "volume_id", "volume_type"];
    const ARGUMENT: &'static str = "target_uuid";
}

fn places(call: &Call, path: &str) -> Answer {
    Answer::ok(json!({
        "links": link::pair(&call.base, &format!("{path}/")),
        "connectors": link::pair(&call.base, &format!("{path}/connectors")),
        "targets": link::pair(&call.base, &format!("{path}/targets")),
    }))
}

/// `GET /v1/volume`: where the two kinds are.
pub async fn root(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    Ok(places(call, "volume"))
}

/// `GET /v1/nodes/{}/volume`.
pub async fn of_node(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    let node = nodes::node_of(call).await?;
    Ok(places(call, &format!("nodes/{}/volume", node.uuid)))
}

async fn list<T: Volume>(call: &Call) -> Result<Answer, ApiError> {
    let args = resource::list_args::<T>(call, FILTERS)?;
    let mut filter = RecordFilter::default();
    if let Some(text) = args.text("node")? {
        filter.nodes.push(call.node_seen(&ident::of_path(text, "node")?).await?.uuid);
    }
    resource::list::<T>(call, &args, filter, T::PATH).await
}

async fn list_of_node<T: Volume>(call: &Call) -> Result<Answer, ApiError> {
    let args = resource::list_args::<T>(call, FILTERS)?;
    let node = nodes::node_of(call).await?.uuid;
    resource::list::<T>(call, &args, RecordFilter::of_node(node), &format!("nodes/{node}/{}", T::PATH)).await
}

async fn show<T: Volume>(call: &Call) -> Result<Answer, ApiError> {
    let wanted = resource::wanted::<T>(call)?;
    let volume = resource::of_uuid::<T>(call, T::ARGUMENT).await?;
    Ok(resource::answer(call, &volume, &wanted))
}

async fn create<T: Volume + Default>(call: &Call) -> Result<Answer, ApiError> {
    only_a_body(call)?;
    let body = call.object(T::NOUN)?;
    if let Some(name) = T::REQUIRED.iter().find(|name| body.get(**name).is_none_or(Value::is_null)) {
        return Err(ApiError::invalid(format!("Schema error for {}: '{name}' is a required property", T::NOUN)));
    }
    let mut volume = T::default();
    fill(T::table(), T::NOUN, &mut volume, body, call.version)?;
    let missing = format!("Invalid input for field/attribute node_uuid. Value: '{}'. ", volume.owner());
    resource::may_add(call, "baremetal:volume:create", volume.owner(), missing).await?;
    let volume = request::create_volume(&call.conductor, &volume, &call.caller).await?;
    Ok(resource::created(call, &volume))
}

async fn patch<T: Volume>(call: &Call) -> Result<Answer, ApiError> {
    let changes = resource::changes::<T>(call)?;
    resource::again(|| patch_once::<T>(call, &changes)).await
}

async fn patch_once<T: Volume>(call: &Call, changes: &[Change]) -> Result<Answer, ApiError> {
    let before = resource::of_uuid::<T>(call, T::ARGUMENT).await?;
    let after = resource::patched(call, &before, changes)?;
    resource::may_move(call, before.owner(), after.owner()).await?;
    let after = request::update_volume(&call.conductor, &before, &after).await?;
    Ok(Answer::ok(resource::full(call, &after)))
}

async fn delete<T: Volume>(call: &Call) -> Result<Answer, ApiError> {
    Args::read(call, &[])?;
    let volume = resource::of_uuid::<T>(call, T::ARGUMENT).await?;
    request::delete_volume(&call.conductor, &volume, &call.caller).await?;
    Ok(Answer::no_content())
}

macro_rules! handlers {
    ($($(#[$doc:meta])* $name:ident $generic:ident $kind:ty;)*) => {
        $(
            $(#[$doc])*
            pub async fn $name(call: &Call) -> Result<Answer, ApiError> {
                $generic::<$kind>(call).await
            }
        )*
    };
}

handlers! {
    /// `GET /v1/volume/connectors`.
    connectors list VolumeConnector;
    /// `GET /v1/nodes/{}/volume/connectors`.
    connectors_of_node list_of_node VolumeConnector;
    /// `POST /v1/volume/connectors`.
    create_connector create VolumeConnector;
    /// `GET /v1/volume/connectors/{}`.
    show_connector show VolumeConnector;
    /// `PATCH /v1/volume/connectors/{}`.
    patch_connector patch VolumeConnector;
    /// `DELETE /v1/volume/connectors/{}`.
    delete_connector delete VolumeConnector;
    /// `GET /v1/volume/targets`.
    targets list VolumeTarget;
    /// `GET /v1/nodes/{}/volume/targets`.
    targets_of_node list_of_node VolumeTarget;
    /// `POST /v1/volume/targets`.
    create_target create VolumeTarget;
    /// `GET /v1/volume/targets/{}`.
    show_target show VolumeTarget;
    /// `PATCH /v1/volume/targets/{}`.
    patch_target patch VolumeTarget;
    /// `DELETE /v1/volume/targets/{}`.
    delete_target delete VolumeTarget;
}
