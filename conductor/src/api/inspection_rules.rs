//! Inspection rules (rest-api section 12). What a rule may say is `rules::schema`'s.

use super::args::{Args, cut};
use super::call::{Answer, Call};
use super::error::ApiError;
use super::field::{Access, Field, unset};
use super::patch::{self, Change, Op};
use super::resource::{self, Resource};
use super::{ident, node_create::only_a_body};
use crate::model::record::Meta;
use crate::rules::rule::Rule;
use crate::rules::schema::{self, Refused};
use crate::rules::stored::StoredRule;
use crate::rules::value::Text;
use crate::store::records::RecordFilter;
use serde_json::{Map, Value};

macro_rules! row {
    ($name:literal $access:ident $sortable:literal, $show:expr) => {
        Field { name: $name, since: 96, access: Access::$access, sortable: $sortable, show: $show, set: unset }
    };
}

/// Every field. A document is read as a whole, so no field sets itself.
#[rustfmt::skip]
const TABLE: &[Field<StoredRule>] = &[
    row!("uuid" Create true, |it, _, out| out.put(&it.meta.uuid)),
    row!("created_at" Read true, |it, _, out| out.time(it.meta.created_at)),
    row!("updated_at" Read true, |it, _, out| out.time(it.meta.updated_at)),
    row!("description" Both true, |it, _, out| out.put(&it.rule.description)),
    row!("priority" Both true, |it, _, out| out.put(&it.rule.priority)),
    row!("sensitive" Both true, |it, _, out| out.put(&it.rule.sensitive)),
    row!("phase" Both true, |it, _, out| out.put(&it.rule.phase)),
    row!("conditions" Both false, |it, _, out| out.put(&open(it, &it.rule.conditions))),
    row!("actions" Both false, |it, _, out| out.put(&open(it, &it.rule.actions))),
    // The reference links to a path that does not exist (its defect 6).
    row!("links" Read false, |it, view, out| out.links(view, format_args!("inspection_rules/{}", it.meta.uuid))),
];

/// What a sensitive rule says is for nobody's eyes.
fn open<'r, T>(stored: &StoredRule, part: &'r T) -> Option<&'r T> {
    (!stored.rule.sensitive).then_some(part)
}

impl Resource for StoredRule {
    fn table() -> &'static [Field<Self>] {
        TABLE
    }
    const SHORT: &'static [&'static str] = &["uuid", "priority", "phase", "description"];
    const LIST: &'static str = "inspection_rules";
    const PATH: &'static str = "inspection_rules";
    const NOUN: &'static str = "inspection_rule_uuid";
}

/// `GET /v1/inspection_rules`.
pub async fn list(call: &Call) -> Result<Answer, ApiError> {
    let args = resource::list_args::<StoredRule>(call, &[("phase", 96)])?;
    let mut filter = RecordFilter::default();
    if let Some(phase) = args.text("phase")? {
        filter = filter.with("phase", phase);
    }
    resource::list::<StoredRule>(call, &args, filter, "inspection_rules").await
}

async fn of_path(call: &Call) -> Result<StoredRule, ApiError> {
    match ident::uuid(call.param(0)) {
        Some(uuid) => Ok(call.conductor.store.find(&uuid.to_string()).await?),
        None => Err(ApiError::invalid(format!("Schema error: '{}' is not a 'uuid'", cut(call.param(0))))),
    }
}

/// `GET /v1/inspection_rules/{}`.
pub async fn show(call: &Call) -> Result<Answer, ApiError> {
    let wanted = resource::wanted::<StoredRule>(call)?;
    let rule = of_path(call).await?;
    Ok(resource::answer(call, &rule, &wanted))
}

/// `POST /v1/inspection_rules`.
pub async fn create(call: &Call) -> Result<Answer, ApiError> {
    only_a_body(call)?;
    let document = call.json()?.unwrap_or_else(|| Value::Object(Map::new()));
    let rule = schema::read(&document, false).map_err(|refused| refusal("Schema error", refused))?;
    let mut meta = Meta::default();
    if !rule.uuid.is_empty() {
        let bad = || ApiError::invalid(format!("Expected UUID for uuid: {}", cut(&rule.uuid)));
        meta.uuid = ident::uuid(&rule.uuid).ok_or_else(bad)?;
    }
    let rule = Rule { uuid: meta.uuid.to_string(), ..rule };
    let stored = call.conductor.store.create(&StoredRule { meta, rule }).await?;
    tracing::info!(rule = %stored.meta.uuid, request_id = call.caller.request_id, "inspection rule created");
    Ok(resource::created(call, &stored))
}

fn refusal(schema: &str, refused: Refused) -> ApiError {
    match refused {
        Refused::Schema(text) => ApiError::invalid(format!("{schema}: {text}")),
        Refused::Invalid(text) => ApiError::invalid(text),
    }
}

/// `PATCH /v1/inspection_rules/{}`.
pub async fn patch(call: &Call) -> Result<Answer, ApiError> {
    let changes = resource::changes::<StoredRule>(call)?;
    resource::again(async || {
        let before = of_path(call).await?;
        let after = StoredRule { meta: before.meta.clone(), rule: patched(call, &before.rule, &changes)? };
        resource::keep(call, &before, &after).await
    })
    .await
}

fn patched(call: &Call, before: &Rule, changes: &[Change]) -> Result<Rule, ApiError> {
    let Ok(Value::Object(mut document)) = serde_json::to_value(before) else { return Err(ApiError::internal()) };
    for change in changes {
        patch::apply(&mut document, change).map_err(ApiError::invalid)?;
        // A field that is taken away gets its default; `actions` has none.
        if let (Op::Remove, [field]) = (&change.op, change.path.as_slice()) {
            document.shift_remove(field);
        }
    }
    let rule =
        schema::read(&Value::Object(document), false).map_err(|refused| refusal("Schema error for patch", refused))?;
    // Else whoever may change a rule could read what only its author may know.
    if before.sensitive && !rule.sensitive {
        let mut shown = Text::new(2000);
        if let Ok(Some(body)) = call.json() {
            let _ = shown.literal(&body, true);
        }
        return Err(ApiError::invalid(format!(
            "Couldn't apply patch '{}'. Reason: Inspection rules cannot have the sensitive flag unset.",
            shown.text
        )));
    }
    Ok(rule)
}

/// `DELETE /v1/inspection_rules/{}`.
pub async fn delete(call: &Call) -> Result<Answer, ApiError> {
    Args::read(call, &[])?;
    let stored = of_path(call).await?;
    call.conductor.store.remove(&stored).await?;
    tracing::info!(rule = %stored.meta.uuid, request_id = call.caller.request_id, "inspection rule deleted");
    Ok(Answer::no_content())
}
