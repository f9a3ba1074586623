//! Deploy templates (rest-api section 12).

use super::call::{Answer, Call};
use super::error::ApiError;
use super::field::{Access, Field, fill, object, row, schema, text, unset, uuid};
use super::resource::{self, BadIdent, Resource};
use super::traits::trait_name;
use super::{args::Args, node_create::only_a_body};
use crate::model::deploy_template::DeployTemplate;
use crate::model::step_list::{ListKind, StepList};
use crate::store::records::RecordFilter;
use serde_json::Value;

/// Every field.
#[rustfmt::skip]
const TABLE: &[Field<DeployTemplate>] = &[
    row!("uuid" 55 Create true, |it, _, out| out.put(&it.meta.uuid), |it, name, value| {
        if let Some(uuid) = uuid(name, value)? { it.meta.uuid = uuid; }
        Ok(())
    }),
    row!("created_at" 55 Read true, |it, _, out| out.time(it.meta.created_at), unset),
    row!("updated_at" 55 Read true, |it, _, out| out.time(it.meta.updated_at), unset),
    row!("name" 55 Both true, |it, _, out| out.put(&it.name), |it, _, value| {
        it.name = trait_name(value)?;
        Ok(())
    }),
    row!("extra" 55 Both false, |it, _, out| out.put(&it.extra), |it, name, value| {
        it.extra = object(name, value)?;
        Ok(())
    }),
    row!("links" 55 Read false, |it, view, out| out.links(view, format_args!("deploy_templates/{}", it.meta.uuid)), unset),
    row!("steps" 55 Both false, |it, _, out| out.put(&it.steps.masked()), |it, _, value| {
        it.steps = StepList::parse(ListKind::Template, value)?;
        Ok(())
    }),
];

impl Resource for DeployTemplate {
    fn table() -> &'static [Field<Self>] {
        TABLE
    }
    const SHORT: &'static [&'static str] = &["uuid", "name"];
    const LIST: &'static str = "deploy_templates";
    const PATH: &'static str = "deploy_templates";
    const NOUN: &'static str = "template_ident";
    const PATCHED: &'static [&'static str] = &["extra", "name", "steps"];
    const BAD_IDENT: BadIdent = BadIdent::Handler;

    fn kept(&self, field: &str) -> Option<Value> {
        (field == "steps").then(|| self.steps.whole())
    }
}

/// `GET /v1/deploy_templates`.
pub async fn list(call: &Call) -> Result<Answer, ApiError> {
    let args = resource::list_args::<DeployTemplate>(call, &[])?;
    resource::list::<DeployTemplate>(call, &args, RecordFilter::default(), "deploy_templates").await
}

/// `GET /v1/deploy_templates/{}`.
pub async fn show(call: &Call) -> Result<Answer, ApiError> {
    let wanted = resource::wanted::<DeployTemplate>(call)?;
    let template = resource::of_path::<DeployTemplate>(call).await?;
    Ok(resource::answer(call, &template, &wanted))
}

/// `POST /v1/deploy_templates`.
pub async fn create(call: &Call) -> Result<Answer, ApiError> {
    only_a_body(call)?;
    let mut body = call.object("template")?;
    for required in ["steps", "name"] {
        if !body.contains_key(required) {
            return Err(schema("template", format!("'{required}' is a required property")));
        }
    }
    // The reference takes a description and forgets it; clients that send one are served alike.
    if let Some(description) = body.shift_remove("description") {
        text(description, 255).map_err(|error| schema("template", error))?;
    }
    let mut template = DeployTemplate::default();
    fill(TABLE, "template", &mut template, body, call.version)?;
    let template = call.conductor.store.create(&template).await?;
    tracing::info!(template = %template.meta.uuid, name = template.name, request_id = call.caller.request_id, "deploy template created");
    Ok(resource::created(call, &template))
}

/// `PATCH /v1/deploy_templates/{}`.
pub async fn patch(call: &Call) -> Result<Answer, ApiError> {
    let changes = resource::changes::<DeployTemplate>(call)?;
    for change in &changes {
        // Taking the name or all steps away leaves what the schema does not allow.
        if let (crate::api::patch::Op::Remove, ["name" | "steps"]) = (&change.op, path(change).as_slice()) {
            return Err(schema("patch", format!("'{}' is a required property", change.root())));
        }
    }
    resource::again(async || {
        let before = resource::of_path::<DeployTemplate>(call).await?;
        let after = resource::patched(call, &before, &changes)?;
        resource::keep(call, &before, &after).await
    })
    .await
}

pub(super) fn path(change: &super::patch::Change) -> Vec<&str> {
    change.path.iter().map(String::as_str).collect()
}

/// `DELETE /v1/deploy_templates/{}`.
pub async fn delete(call: &Call) -> Result<Answer, ApiError> {
    Args::read(call, &[])?;
    let template = resource::of_path::<DeployTemplate>(call).await?;
    call.conductor.store.remove(&template).await?;
    tracing::info!(template = %template.meta.uuid, name = template.name, request_id = call.caller.request_id, "deploy template deleted");
    Ok(Answer::no_content())
}
