//! Chassis (rest-api section 10).

use super::call::{Answer, Call};
use super::error::ApiError;
use super::field::{Access, Field, fill, object, row, text, unset, uuid};
use super::patch::Change;
use super::resource::{self, Resource};
use super::{args::Args, ident, node_create::only_a_body, node_list};
use crate::flow::request;
use crate::model::chassis::Chassis;
use crate::model::record::Recorded;
use crate::policy::Target;
use crate::store::records::RecordFilter;
use uuid::Uuid;

/// Every field. The links to its nodes are one list: the reference nests it twice (its defect).
#[rustfmt::skip]
const TABLE: &[Field<Chassis>] = &[
    row!("uuid" 1 Both true, |chassis, _, out| out.put(&chassis.meta.uuid), |chassis, name, value| {
        match (uuid(name, value)?, chassis.meta.id) {
            (Some(uuid), 0) => chassis.meta.uuid = uuid,
            (Some(uuid), _) if uuid == chassis.meta.uuid => {}
            (None, 0) => {}
            _ => return Err("Cannot overwrite UUID for an existing Chassis.".into()),
        }
        Ok(())
    }),
    row!("created_at" 1 Read true, |chassis, _, out| out.time(chassis.meta.created_at), unset),
    row!("updated_at" 1 Read true, |chassis, _, out| out.time(chassis.meta.updated_at), unset),
    row!("description" 1 Both true, |chassis, _, out| out.put(&chassis.description), |chassis, _, value| {
        chassis.description = text(value, 255)?;
        Ok(())
    }),
    row!("extra" 1 Both false, |chassis, _, out| out.put(&chassis.extra), |chassis, name, value| {
        chassis.extra = object(name, value)?;
        Ok(())
    }),
    row!("links" 1 Read false, |chassis, view, out| out.links(view, format_args!("chassis/{}", chassis.meta.uuid)), unset),
    row!("nodes" 1 Read false, |chassis, view, out| out.links(view, format_args!("chassis/{}/nodes", chassis.meta.uuid)), unset),
];

impl Resource for Chassis {
    fn table() -> &'static [Field<Self>] {
        TABLE
    }
    const SHORT: &'static [&'static str] = &["uuid", "description"];
    const LIST: &'static str = "chassis";
    const PATH: &'static str = "chassis";
    const NOUN: &'static str = "chassis";
}

/// `GET /v1/chassis`.
pub async fn list(call: &Call) -> Result<Answer, ApiError> {
    let args = resource::list_args::<Chassis>(call, &[])?;
    resource::list::<Chassis>(call, &args, RecordFilter::default(), "chassis").await
}

/// `GET /v1/chassis/detail`.
pub async fn detail(call: &Call) -> Result<Answer, ApiError> {
    let args = resource::list_args::<Chassis>(call, &[])?;
    resource::list::<Chassis>(call, &args, RecordFilter::default(), "chassis/detail").await
}

/// `GET /v1/chassis/{}`.
pub async fn show(call: &Call) -> Result<Answer, ApiError> {
    let wanted = resource::wanted::<Chassis>(call)?;
    let chassis = resource::of_uuid::<Chassis>(call, "chassis_uuid").await?;
    Ok(resource::answer(call, &chassis, &wanted))
}

/// `POST /v1/chassis`.
pub async fn create(call: &Call) -> Result<Answer, ApiError> {
    only_a_body(call)?;
    let mut chassis = Chassis::default();
    fill(TABLE, Chassis::NOUN, &mut chassis, call.object(Chassis::NOUN)?, call.version)?;
    let chassis = call.conductor.store.create(&chassis).await?;
    tracing::info!(chassis = %chassis.meta.uuid, request_id = call.caller.request_id, "chassis created");
    Ok(resource::created(call, &chassis))
}

/// `PATCH /v1/chassis/{}`.
pub async fn patch(call: &Call) -> Result<Answer, ApiError> {
    let changes = resource::changes::<Chassis>(call)?;
    resource::again(|| patch_once(call, &changes)).await
}

async fn patch_once(call: &Call, changes: &[Change]) -> Result<Answer, ApiError> {
    let before = resource::of_uuid::<Chassis>(call, "chassis_uuid").await?;
    let after = resource::patched(call, &before, changes)?;
    let after = call.conductor.store.put_unchanged(&after).await?;
    Ok(Answer::ok(resource::full(call, &after)))
}

/// `DELETE /v1/chassis/{}`.
pub async fn delete(call: &Call) -> Result<Answer, ApiError> {
    Args::read(call, &[])?;
    let chassis = resource::of_uuid::<Chassis>(call, "chassis_uuid").await?;
    request::delete_chassis(&call.conductor, &chassis, &call.caller).await?;
    Ok(Answer::no_content())
}

/// The chassis in the path. Whether it exists is not told to those who may not see chassis.
async fn place(call: &Call) -> Result<Uuid, ApiError> {
    match ident::uuid(call.param(0)) {
        Some(uuid) if !call.may("baremetal:chassis:get", &Target::NONE) => Ok(uuid),
        _ => Ok(resource::of_uuid::<Chassis>(call, "chassis_uuid").await?.meta().uuid),
    }
}

/// `GET /v1/chassis/{}/nodes`.
pub async fn nodes(call: &Call) -> Result<Answer, ApiError> {
    let chassis = place(call).await?;
    node_list::answer(call, &format!("chassis/{chassis}/nodes"), false, Some(chassis)).await
}

/// `GET /v1/chassis/{}/nodes/detail`.
pub async fn nodes_detail(call: &Call) -> Result<Answer, ApiError> {
    let chassis = place(call).await?;
    node_list::answer(call, &format!("chassis/{chassis}/nodes/detail"), true, Some(chassis)).await
}
