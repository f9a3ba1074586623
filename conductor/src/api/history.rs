//! A node's timeline (rest-api section 8.2, history).

use super::args::{Args, cut};
use super::call::{Answer, Call};
use super::error::ApiError;
use super::field::{Access, Field, Selection, unset};
use super::ident;
use super::nodes::node_of;
use super::out::time;
use super::page;
use crate::model::history::HistoryEntry;
use crate::store::Page;
use serde_json::{Value, json};

/// Longest event text in a list without detail.
const SUMMARY: usize = 255;

/// What lists can be sorted by: only the order of writing makes sense.
const TABLE: &[Field<HistoryEntry>] = &[Field {
    name: "created_at",
    since: 78,
    access: Access::Read,
    sortable: true,
    show: |entry, _, out| out.time(entry.created_at),
    set: unset,
}];

/// `GET .../history`.
pub async fn list(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::query(call, &["limit", "marker", "sort_key", "sort_dir", "detail"])?;
    let detail = args.boolean("detail")?.unwrap_or(false);
    let node = node_of(call).await?;
    let mut paging = page::read(call, &args, TABLE)?;
    paging.page.sort_key = "id".into();
    let entries = call.conductor.store.history(node.uuid, &paging.page).await?;
    let items = entries.iter().map(|entry| shown(call, &node.uuid.to_string(), entry, detail)).collect();
    let path = format!("nodes/{}/history", node.uuid);
    let carried: Vec<(&str, String)> = if detail { vec![("detail", "True".into())] } else { Vec::new() };
    let last = entries.last().map(|entry| entry.uuid.to_string());
    Ok(Answer::ok(page::list(call, &paging, ("history", &path), &Selection::All, &carried, items, last)))
}

/// `GET .../history/{}`.
pub async fn show(call: &Call) -> Result<Answer, ApiError> {
    Args::query(call, &[])?;
    let node = node_of(call).await?;
    let missing = || ApiError::not_found(format!("Node history record {} could not be found.", cut(call.param(1))));
    let uuid = ident::uuid(call.param(1)).ok_or_else(missing)?;
    // A node keeps a few hundred lines at most: looking through them is cheaper than an index.
    let entries = call.conductor.store.history(node.uuid, &Page::default()).await?;
    let entry = entries.iter().find(|entry| entry.uuid == uuid).ok_or_else(missing)?;
    let mut answer = shown(call, &node.uuid.to_string(), entry, true);
    // An addition of ours, and only where there is one: lists stay short, and clients see the fields that they know.
    if let Some(proof) = &entry.proof {
        answer["proof"] = proof.clone();
    }
    Ok(Answer::ok(answer))
}

fn shown(call: &Call, node: &str, entry: &HistoryEntry, detail: bool) -> Value {
    let event = if detail { entry.event.clone() } else { entry.event.chars().take(SUMMARY).collect() };
    let mut answer = json!({
        "uuid": entry.uuid,
        "created_at": time(entry.created_at),
        "severity": entry.severity,
        "event": event,
        "links": [{"href": format!("{}/v1/nodes/{node}/history/{}", call.base, entry.uuid), "rel": "self"}],
    });
    if detail {
        answer["conductor"] = json!(entry.conductor);
        answer["event_type"] = json!(entry.event_type);
        answer["user"] = json!(entry.user);
    }
    if call.version.has(113) {
        answer["project"] = json!(entry.project);
    }
    if call.version.has(115) {
        answer["state"] = json!(entry.state);
        answer["target_provision_state"] = json!(entry.target_provision_state);
        answer["duration_seconds"] = json!(entry.duration_seconds);
    }
    answer
}
