//! The conductors of this site (rest-api section 10).

use super::args::Args;
use super::call::{Answer, Call};
use super::error::ApiError;
use super::field::{Access, Field, Selection, View, selection, shown, unset};
use super::page;
use crate::store::ConductorRecord;
use jiff::Timestamp;

/// A conductor that has been silent for longer counts as dead, seconds.
const SILENCE: i64 = 60;

const SHORT: &[&str] = &["hostname", "conductor_group", "alive"];

macro_rules! row {
    ($name:literal $sortable:literal, $show:expr) => {
        Field { name: $name, since: 49, access: Access::Read, sortable: $sortable, show: $show, set: unset }
    };
}

const TABLE: &[Field<ConductorRecord>] = &[
    row!("created_at" true, |record, _, out| out.time(record.created_at)),
    row!("updated_at" true, |record, _, out| out.time(record.updated_at)),
    row!("hostname" true, |record, _, out| out.put(&record.hostname)),
    row!("conductor_group" true, |record, _, out| out.put(&record.conductor_group)),
    row!("links" false, |record, view, out| out.links(view, format_args!("conductors/{}", record.hostname))),
    row!("drivers" false, |record, _, out| out.put(&record.drivers)),
    // We are alive: we answer.
    row!("alive" false, |record, view, out| {
        let silent = Timestamp::now().as_second() - record.updated_at.as_second();
        out.put(&(record.hostname == view.host || silent <= SILENCE));
    }),
];

/// `GET /v1/conductors`.
pub async fn list(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::query(call, page::ARGS)?;
    let detail = args.boolean("detail")?.unwrap_or(false);
    let selection = selection(TABLE, args.words("fields")?.as_deref(), detail, SHORT, call.version)?;
    let paging = page::order(call, &args, TABLE)?;
    let records = call.conductor.store.conductors(&paging.page, args.text("marker")?).await?;
    let view = View::of(call);
    let last = records.last().map(|record| record.hostname.clone());
    let items: Vec<_> = records.iter().map(|record| shown(TABLE, record, &selection, &view)).collect();
    let carried = if detail { vec![("detail", "True".to_owned())] } else { Vec::new() };
    let names = ("conductors", "conductors");
    Ok(Answer::ok(page::list(call, &paging, names, &selection, &carried, items, last)))
}

/// `GET /v1/conductors/{}`.
pub async fn show(call: &Call) -> Result<Answer, ApiError> {
    let args = Args::query(call, &["fields"])?;
    let selection = match args.words("fields")?.as_deref() {
        None => Selection::All,
        fields => selection(TABLE, fields, false, SHORT, call.version)?,
    };
    let record = call.conductor.store.conductor(call.param(0)).await?;
    Ok(Answer::ok(shown(TABLE, &record, &selection, &View::of(call))))
}
