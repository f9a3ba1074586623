//! Runbooks (rest-api section 12). Their traits are in `runbook_traits`.

use super::args::{Args, cut};
use super::call::{Answer, Call};
use super::deploy_templates::path;
use super::error::ApiError;
use super::field::{Access, Field, fill, object, row, schema, text, unset, uuid};
use super::node_create::only_a_body;
use super::patch::{Change, Op};
use super::resource::{self, BadIdent, Resource};
use super::traits::trait_name;
use crate::model::runbook::Runbook;
use crate::model::step_list::{ListKind, StepList};
use crate::policy::Target;
use crate::store::records::RecordFilter;
use serde_json::{Map, Value, json};

/// Every field.
#[rustfmt::skip]
const TABLE: &[Field<Runbook>] = &[
    row!("uuid" 92 Create true, |it, _, out| out.put(&it.meta.uuid), |it, name, value| {
        if let Some(uuid) = uuid(name, value)? { it.meta.uuid = uuid; }
        Ok(())
    }),
    row!("created_at" 92 Read true, |it, _, out| out.time(it.meta.created_at), unset),
    row!("updated_at" 92 Read true, |it, _, out| out.time(it.meta.updated_at), unset),
    row!("name" 92 Both true, |it, _, out| out.put(&it.name), |it, _, value| {
        it.name = name(value)?;
        Ok(())
    }),
    row!("extra" 92 Both false, |it, _, out| out.put(&it.extra), |it, name, value| {
        it.extra = object(name, value)?;
        Ok(())
    }),
    row!("public" 92 Both true, |it, _, out| out.put(&it.public), |it, _, value| {
        it.public = flag(value)?;
        Ok(())
    }),
    row!("owner" 92 Both true, |it, _, out| out.put(&it.owner), |it, _, value| {
        it.owner = text(value, 255)?;
        Ok(())
    }),
    row!("disable_ramdisk" 92 Both true, |it, _, out| out.put(&it.disable_ramdisk), |it, _, value| {
        it.disable_ramdisk = flag(value)?;
        Ok(())
    }),
    row!("description" 112 Both true, |it, _, out| out.put(&it.description), |it, _, value| {
        it.description = text(value, 255)?;
        Ok(())
    }),
    row!("links" 92 Read false, |it, view, out| out.links(view, format_args!("runbooks/{}", it.meta.uuid)), unset),
    row!("steps" 92 Both false, |it, _, out| out.put(&it.steps.masked()), |it, _, value| {
        it.steps = StepList::parse(ListKind::Runbook, value)?;
        Ok(())
    }),
    row!("traits" 112 Read false, |it, _, out| out.put(&it.traits), unset),
];

impl Resource for Runbook {
    fn table() -> &'static [Field<Self>] {
        TABLE
    }
    const SHORT: &'static [&'static str] = &["uuid", "name"];
    const LIST: &'static str = "runbooks";
    const PATH: &'static str = "runbooks";
    const NOUN: &'static str = "runbook_ident";
    const PATCHED: &'static [&'static str] =
        &["disable_ramdisk", "extra", "name", "owner", "public", "steps", "description"];
    const BAD_IDENT: BadIdent = BadIdent::Handler;
    const QUERY_SCHEMA: bool = false;

    fn kept(&self, field: &str) -> Option<Value> {
        (field == "steps").then(|| self.steps.whole())
    }
}

/// From 1.112 on any plain name.
fn name(value: Value) -> Result<String, String> {
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    match value {
        Value::String(text) if text.is_empty() => Err("'' should be non-empty".into()),
        Value::String(text) if text.len() > 255 => Err(format!("'{}' is too long", cut(&text))),
        Value::String(text) if plain(&text) => Ok(text),
        Value::String(text) => Err(format!("'{}' does not match '^[A-Za-z0-9\\\\-._~]+$'", cut(&text))),
        Value::Null => Err("None is not of type 'string'".into()),
        other => Err(format!("{} is not of type 'string'", cut(&other.to_string()))),
    }
}

/// A real boolean; the words that other resources take are none here.
fn flag(value: Value) -> Result<bool, String> {
    match value {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(flag),
        Value::String(text) => Err(format!("'{}' is not of type 'boolean', 'null'", cut(&text))),
        other => Err(format!("{} is not of type 'boolean', 'null'", cut(&other.to_string()))),
    }
}

/// `GET /v1/runbooks`. `project`: only those of the caller's project, and the public ones.
pub async fn list(call: &Call) -> Result<Answer, ApiError> {
    let args = resource::list_args::<Runbook>(call, &[("project", 92)])?;
    let mut filter = RecordFilter::default();
    if args.boolean("project")?.unwrap_or(false) {
        let project = call.caller.credentials.project().unwrap_or_default();
        filter.either = vec![("owner", json!(project)), ("public", json!(true))];
    }
    resource::list::<Runbook>(call, &args, filter, "runbooks").await
}

/// `GET /v1/runbooks/{}`.
pub async fn show(call: &Call) -> Result<Answer, ApiError> {
    let wanted = resource::wanted::<Runbook>(call)?;
    let runbook = resource::of_path::<Runbook>(call).await?;
    Ok(resource::answer(call, &runbook, &wanted))
}

/// `POST /v1/runbooks`.
pub async fn create(call: &Call) -> Result<Answer, ApiError> {
    only_a_body(call)?;
    let mut body = call.object("runbook")?;
    for required in ["steps", "name"] {
        if !body.contains_key(required) {
            return Err(schema("runbook", format!("'{required}' is a required property")));
        }
    }
    if !call.version.has(112) {
        if body.contains_key("description") {
            let text = "Additional properties are not allowed ('description' was unexpected)";
            return Err(schema("runbook", text.into()));
        }
        trait_name(body["name"].clone()).map_err(|text| schema("runbook", text))?;
    }
    own(call, &mut body)?;
    let mut runbook = Runbook::default();
    fill(TABLE, "runbook", &mut runbook, body, call.version)?;
    if runbook.public {
        runbook.owner = None;
    }
    let runbook = call.conductor.store.create(&runbook).await?;
    tracing::info!(runbook = %runbook.meta.uuid, name = runbook.name, request_id = call.caller.request_id, "runbook created");
    Ok(resource::created(call, &runbook))
}

/// What people of a project make is their project's, and not public.
fn own(call: &Call, body: &mut Map<String, Value>) -> Result<(), ApiError> {
    let Some(project) = call.caller.credentials.project() else { return Ok(()) };
    if body.get("owner").is_some_and(|owner| !owner.is_null() && owner != project) {
        let text = "Cannot create a runbook as a project scoped admin with an owner other than your own project.";
        return Err(ApiError::invalid(text));
    }
    if body.get("public") == Some(&Value::Bool(true)) {
        return Err(ApiError::invalid("Cannot create a public runbook as a project scoped admin."));
    }
    body.insert("owner".into(), project.into());
    Ok(())
}

/// `PATCH /v1/runbooks/{}`.
pub async fn patch(call: &Call) -> Result<Answer, ApiError> {
    let changes = resource::changes::<Runbook>(call)?;
    resource::again(async || {
        let before = resource::of_path::<Runbook>(call).await?;
        for rule in rules(&changes) {
            call.permit(rule, &Target::owned(before.owner.as_deref()))?;
        }
        let after = patched(call, &before, &changes)?;
        resource::keep(call, &before, &after).await
    })
    .await
}

/// Owner and public have rules of their own; everything else, and an empty patch, has the general one.
fn rules(changes: &[Change]) -> Vec<&'static str> {
    let mut rules: Vec<&'static str> = changes
        .iter()
        .map(|change| match change.root() {
            "owner" => "baremetal:runbook:update:owner",
            "public" => "baremetal:runbook:update:public",
            _ => "baremetal:runbook:update",
        })
        .collect();
    rules.sort_unstable();
    rules.dedup();
    if rules.is_empty() { vec!["baremetal:runbook:update"] } else { rules }
}

fn patched(call: &Call, before: &Runbook, changes: &[Change]) -> Result<Runbook, ApiError> {
    for change in changes {
        if let (Op::Remove, ["name" | "steps"]) = (&change.op, path(change).as_slice()) {
            return Err(schema("patch", format!("'{}' is a required property", change.root())));
        }
    }
    let touched = |name: &str| changes.iter().any(|change| change.root() == name);
    let mut after = resource::patched(call, before, changes)?;
    if after.public && touched("owner") && after.owner.is_some() {
        return Err(ApiError::invalid(
            "Couldn't apply patch: There cannot be an owner for a public runbook. Set public to false in the same patch",
        ));
    }
    if touched("public") && !touched("owner") {
        after.owner = None;
    }
    Ok(after)
}

/// `DELETE /v1/runbooks/{}`.
pub async fn delete(call: &Call) -> Result<Answer, ApiError> {
    Args::read(call, &[])?;
    let runbook = resource::of_path::<Runbook>(call).await?;
    call.conductor.store.remove(&runbook).await?;
    tracing::info!(runbook = %runbook.meta.uuid, name = runbook.name, request_id = call.caller.request_id, "runbook deleted");
    Ok(Answer::no_content())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_flags_are_read_strictly() {
        assert_eq!(name(json!("a.b~1-_")), Ok("a.b~1-_".into()));
        assert_eq!(name(json!("a b")).unwrap_err(), r"'a b' does not match '^[A-Za-z0-9\\-._~]+$'");
        assert!(name(json!("")).is_err() && name(json!(1)).is_err() && name(Value::Null).is_err());
        assert!(flag(json!("yes")).is_err() && flag(Value::Null) == Ok(false) && flag(json!(true)) == Ok(true));
    }

    #[test]
    fn owner_and_public_have_their_own_rules() {
        let of = |roots: &[&str]| {
            let change = |root: &&str| Change { path: vec![(*root).to_owned()], op: Op::Remove };
            rules(&roots.iter().map(change).collect::<Vec<_>>())
        };
        assert_eq!(of(&[]), ["baremetal:runbook:update"]);
        assert_eq!(of(&["owner"]), ["baremetal:runbook:update:owner"]);
        assert_eq!(of(&["public", "extra"]), ["baremetal:runbook:update", "baremetal:runbook:update:public"]);
    }
}
