//! What happens, as it happens: `GET /v1/events` as server-sent events (WHATWG HTML, section 9.2).
//!
//! The log is in the store, so a reader costs a place in it and one batch; nobody waits for a slow reader. What was cut
//! from the log before a reader came for it is told as an event `gap`. `POST /v1/events`, Neutron's, is another matter.

use super::args::Args;
use super::body::Content;
use super::call::{Answer, Call};
use super::error::ApiError;
use super::ident;
use super::seen::target;
use crate::flow::request::RequestError;
use crate::model::event::Event;
use crate::policy::Visible;
use crate::store::events::EventFilter;
use crate::store::{Store, StoreError};
use bytes::Bytes;
use futures_util::stream;
use http::header;
use serde_json::json;
use std::collections::VecDeque;
use std::fmt::Write;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The kind of these answers.
pub const KIND: &str = "text/event-stream";

/// Events that are read at a time.
const BATCH: usize = 100;

/// Arguments.
pub const ARGS: &[&str] = &["node", "type", "owner", "last_event_id", "follow"];

/// `GET /v1/events`.
pub async fn stream(call: &Call) -> Result<Answer, ApiError> {
    // The reference has no such call: whoever does not ask for a stream of events gets its answer.
    if !call.accepts(KIND) {
        return Err(ApiError::no_route());
    }
    let args = Args::query(call, ARGS)?;
    let store = Arc::clone(&call.conductor.store);
    let visible = call.visible("node");
    let filter = filter(call, &args).await?;
    let newest = *store.events_grow().borrow();
    let after = match call.headers.get("last-event-id").and_then(|value| value.to_str().ok()) {
        Some(id) => place(id)?,
        None => args.text("last_event_id")?.map_or(Ok(newest), place)?,
    };
    let seat = Arc::clone(&call.conductor.event_seats).try_acquire_owned().map_err(|_| {
        ApiError::from(RequestError::Unavailable(
            "Too many event streams are open. Close one, or raise [events] max_streams".into(),
        ))
    })?;
    let reader = Reader {
        grow: store.events_grow(),
        heartbeat: call.conductor.config.events.heartbeat_interval.duration().max(Duration::from_millis(50)),
        follow: args.boolean("follow")?.unwrap_or(true),
        stopping: call.stopping.clone(),
        ready: VecDeque::from([Bytes::from_static(b"retry: 2000\n\n")]),
        store,
        visible,
        filter,
        after,
        first: true,
        _seat: seat,
    };
    let mut answer = Answer::content(Content::stream(KIND, stream::unfold(reader, Reader::next)));
    answer.headers.push((header::CACHE_CONTROL, "no-store".into()));
    answer.headers.push((header::HeaderName::from_static("x-accel-buffering"), "no".into()));
    Ok(answer)
}

/// Where a reader was: `Last-Event-ID`.
///
/// # Errors
/// No whole number.
pub fn place(id: &str) -> Result<i64, ApiError> {
    let number = id.trim().parse::<i64>().ok().filter(|number| *number >= 0);
    number.ok_or_else(|| ApiError::invalid("Last-Event-ID must be the id of an event: a whole number"))
}

async fn filter(call: &Call, args: &Args) -> Result<EventFilter, ApiError> {
    let node = match args.text("node")? {
        None => None,
        Some(text) => {
            let ident = ident::of_path(text, "node")?;
            match ident::uuid(&ident) {
                // Also one that is gone: its last events are still there.
                Some(uuid) => Some(uuid),
                None => Some(by_name(call, &ident).await?),
            }
        }
    };
    Ok(EventFilter { node, kinds: args.list("type")?, owner: args.text("owner")?.map(str::to_owned) })
}

/// A node by its name; what the caller may not see does not exist for him.
async fn by_name(call: &Call, name: &str) -> Result<Uuid, ApiError> {
    let node = call.conductor.store.node(name).await?;
    if call.may("baremetal:node:get", &target(&node)) {
        return Ok(node.uuid);
    }
    Err(ApiError::not_found(format!("Node {name} could not be found.")))
}

/// One reader of the log.
struct Reader {
    store: Arc<dyn Store>,
    grow: watch::Receiver<i64>,
    visible: Visible,
    filter: EventFilter,
    after: i64,
    first: bool,
    follow: bool,
    heartbeat: Duration,
    stopping: CancellationToken,
    ready: VecDeque<Bytes>,
    _seat: OwnedSemaphorePermit,
}

impl Reader {
    /// The next piece of text; `None`: the stream is over.
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        loop {
            if let Some(text) = self.ready.pop_front() {
                return Some((Ok(text), self));
            }
            if self.stopping.is_cancelled() {
                return None;
            }
            // Marked as seen before reading: what comes while we read wakes us again.
            self.grow.borrow_and_update();
            match self.read().await {
                Ok(true) => continue,
                Ok(false) if !self.follow => return None,
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(%error, "a stream of events ends: the log cannot be read");
                    return Some((Err(io::Error::other(error.to_string())), self));
                }
            }
            tokio::select! {
                () = self.stopping.cancelled() => return None,
                grown = self.grow.changed() => grown.ok()?,
                () = tokio::time::sleep(self.heartbeat) => self.ready.push_back(Bytes::from_static(b": still here\n\n")),
            }
        }
    }

    /// Reads a batch; `false`: there is nothing more yet.
    async fn read(&mut self) -> Result<bool, StoreError> {
        let batch = self.store.events(&self.visible, &self.filter, self.after, BATCH).await?;
        let lost = if self.first && self.after > batch.newest {
            // An id of another log, such as one from before a restored backup. Everything there is may be new to the reader.
            self.after = 0;
            self.first = false;
            self.ready.push_back(gap(json!({"reason": "this log is younger than the id that was asked for"})));
            return Ok(true);
        } else {
            batch.missed
        };
        self.first = false;
        if lost > 0 {
            let mut said = json!({"after": self.after, "reason": "the log was cut before these events were read"});
            // How much others do is no business of a tenant.
            if self.visible == Visible::Everything {
                said["missed"] = json!(lost);
            }
            self.ready.push_back(gap(said));
        }
        let full = batch.events.len() == BATCH;
        self.ready.extend(batch.events.iter().map(line));
        self.after = batch.position.max(self.after);
        Ok(full || !self.ready.is_empty())
    }
}

fn line(event: &Event) -> Bytes {
    let mut text = String::new();
    let _ = write!(text, "id: {}\nevent: {}\ndata: {}\n\n", event.id, event.kind, event.shown());
    text.into()
}

fn gap(said: serde_json::Value) -> Bytes {
    format!("event: gap\ndata: {said}\n\n").into()
}
