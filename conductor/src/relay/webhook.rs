//! One receiver of events by HTTP: signed, one after the other, tried again until it has them.

use super::RelayError;
use super::signature::sign;
use crate::boot::images::fetch::{bundle, system_authorities};
use crate::config::{Events, WebhookOptions};
use crate::model::event::Event;
use crate::policy::Visible;
use crate::store::events::EventFilter;
use crate::store::{Store, StoreError};
use jiff::Timestamp;
use reqwest::{Client, StatusCode, Url};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Events that are read at a time.
const BATCH: usize = 100;

/// Events of others after which the place is kept all the same.
const STRIDE: i64 = 100;

/// The first pause after a failure; each further one is twice as long, up to the option.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Tries of an event that the receiver refuses as such (400 and its kin): it must not stop all that come after it.
const TRIES_OF_A_REFUSED: u32 = 5;

/// Shortest secret that is one.
const SECRET: usize = 16;

/// One receiver.
pub struct Webhook {
    options: WebhookOptions,
    url: Url,
    client: Client,
    longest_pause: Duration,
}

/// The name under which the place of a receiver is kept.
pub fn place(name: &str) -> String {
    format!("webhook:{name}")
}

/// How a delivery ended.
enum Sent {
    /// The receiver has it.
    Taken,
    /// It refuses this one, whatever the time.
    Refused(StatusCode),
    /// Not now.
    Failed(String),
}

impl Webhook {
    /// Checks the options.
    ///
    /// # Errors
    /// [`RelayError`], without the secret.
    pub fn new(options: &WebhookOptions, events: &Events) -> Result<Self, RelayError> {
        let wrong = |text: String| RelayError { name: place(&options.name), text };
        let named = !options.name.is_empty()
            && options.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !named {
            return Err(wrong("`name` must be letters, digits, `-`, `_` and `.`".into()));
        }
        if options.secret.expose().len() < SECRET {
            return Err(wrong(format!(
                "`secret` must have at least {SECRET} characters, e.g. of `openssl rand -hex 32`"
            )));
        }
        let url = Url::parse(&options.url).map_err(|error| wrong(format!("`url` is not a URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("`url` must begin with http:// or https://".into()));
        }
        let authorities = match &events.webhook_cafile {
            Some(path) => bundle(path).map_err(|error| wrong(format!("[events] webhook_cafile: {error}")))?,
            None => system_authorities(),
        };
        let client = Client::builder()
            .tls_certs_only(authorities)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(events.webhook_timeout.duration().max(Duration::from_millis(100)))
            .no_proxy()
            .build()
            .map_err(|error| wrong(format!("no client: {error}")))?;
        let longest_pause = events.webhook_retry_max.duration().max(Duration::from_millis(50));
        Ok(Webhook { options: options.clone(), url, client, longest_pause })
    }

    fn visible(&self) -> Visible {
        self.options.owner.clone().map_or(Visible::Everything, Visible::Project)
    }

    /// Delivers until `stop`.
    pub async fn run(self, store: Arc<dyn Store>, stop: CancellationToken) {
        let mut failures = 0;
        while !stop.is_cancelled() {
            let Err(error) = self.work(store.as_ref(), &stop).await else { return };
            tracing::error!(webhook = self.options.name, %error, "the event log cannot be read; trying again");
            failures += 1;
            self.pause(failures, &stop).await;
        }
    }

    async fn work(&self, store: &dyn Store, stop: &CancellationToken) -> Result<(), StoreError> {
        let (place, visible) = (place(&self.options.name), self.visible());
        let filter = EventFilter { kinds: self.options.types.clone(), ..EventFilter::default() };
        let mut grow = store.events_grow();
        let mut after = store.cursor(&place).await?;
        let mut kept = after;
        loop {
            grow.borrow_and_update();
            let batch = store.events(&visible, &filter, after, BATCH).await?;
            if after > batch.newest {
                // The log of a restored backup: its newest line is where this receiver goes on.
                after = batch.newest;
                store.set_cursor(&place, after).await?;
                continue;
            }
            if batch.missed > 0 {
                tracing::warn!(
                    webhook = self.options.name,
                    "events were cut from the log before this receiver took them"
                );
                let gap = json!({"type": "gap", "after": after, "reason": "the log was cut before these events were delivered"});
                if !self.deliver(after, "gap", &gap.to_string(), stop).await {
                    return Ok(());
                }
            }
            for event in &batch.events {
                if !self.deliver_event(event, stop).await {
                    return Ok(());
                }
                store.set_cursor(&place, event.id).await?;
                kept = event.id;
            }
            after = batch.position.max(after);
            // What does not concern this receiver needs no look again, but is not worth a write each time either.
            if after - kept >= STRIDE || batch.missed > 0 {
                store.set_cursor(&place, after).await?;
                kept = after;
            }
            if batch.events.len() < BATCH {
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    grown = grow.changed() => if grown.is_err() { return Ok(()) },
                }
            }
        }
    }

    async fn deliver_event(&self, event: &Event, stop: &CancellationToken) -> bool {
        self.deliver(event.id, &event.kind, &event.shown().to_string(), stop).await
    }

    /// Tries until the receiver has it or refuses it for good; `false`: told to stop before.
    async fn deliver(&self, id: i64, kind: &str, body: &str, stop: &CancellationToken) -> bool {
        let (mut failures, mut refusals) = (0, 0);
        loop {
            let sent = tokio::select! {
                () = stop.cancelled() => return false,
                sent = self.send(id, kind, body) => sent,
            };
            let why = match sent {
                Sent::Taken => return true,
                Sent::Refused(status) => {
                    refusals += 1;
                    if refusals >= TRIES_OF_A_REFUSED {
                        tracing::error!(webhook = self.options.name, id, %status, "the receiver refuses this event; it is passed over");
                        return true;
                    }
                    format!("it answers {status}")
                }
                Sent::Failed(why) => why,
            };
            failures += 1;
            tracing::warn!(
                webhook = self.options.name,
                id,
                failures,
                why,
                "the receiver did not take an event; trying again"
            );
            self.pause(failures, stop).await;
        }
    }

    async fn send(&self, id: i64, kind: &str, body: &str) -> Sent {
        let timestamp = Timestamp::now().as_second();
        let request = self
            .client
            .post(self.url.clone())
            .header("Content-Type", "application/json")
            .header("X-Wrought-Event", kind)
            .header("X-Wrought-Delivery", id.to_string())
            .header("X-Wrought-Timestamp", timestamp.to_string())
            .header("X-Wrought-Signature", sign(self.options.secret.expose().as_bytes(), timestamp, body.as_bytes()))
            .body(body.to_owned());
        match request.send().await.map(|response| response.status()) {
            Ok(status) if status.is_success() => Sent::Taken,
            Ok(status @ (StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS | StatusCode::TOO_EARLY)) => {
                Sent::Failed(format!("it answers {status}"))
            }
            // Also who is not let in: a wrong password is corrected by people, and then nothing may be missing.
            Ok(status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND)) => {
                Sent::Failed(format!("it answers {status}"))
            }
            Ok(status) if status.is_client_error() => Sent::Refused(status),
            Ok(status) => Sent::Failed(format!("it answers {status}")),
            // Without the address: it may hold a password.
            Err(error) => Sent::Failed(error.without_url().to_string()),
        }
    }

    async fn pause(&self, failures: u32, stop: &CancellationToken) {
        let pause = FIRST_PAUSE.saturating_mul(1 << (failures - 1).min(16)).min(self.longest_pause);
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
