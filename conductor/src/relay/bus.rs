//! Events to a message bus in Ironic's versioned notifications, enveloped as its library does (`messagingv2`).

use super::RelayError;
use super::amqp::Connection;
use super::brokers::Brokers;
use crate::config::Config;
use crate::model::event::Event;
use crate::model::notice::{Level, Notice, messages};
use crate::policy::Visible;
use crate::store::events::EventFilter;
use crate::store::{Store, StoreError};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The reference's exchange.
const EXCHANGE: &str = "ironic";
/// The name under which the place in the log is kept.
const PLACE: &str = "bus";
const BATCH: usize = 100;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The way to a bus.
pub struct Bus {
    brokers: Brokers,
    topics: Vec<String>,
    level: Level,
    host: String,
}

/// Notifications go to a bus: the log then keeps records as they were.
pub fn is_configured(config: &Config) -> bool {
    config.oslo_messaging_notifications.transport_url.is_some() && config.top.notification_level.is_some()
}

impl Bus {
    /// `None`: no bus is configured.
    ///
    /// # Errors
    /// An option that cannot be used, without the password.
    pub fn new(config: &Config) -> Result<Option<Self>, RelayError> {
        let wrong = |name: &str, text: String| RelayError { name: name.into(), text };
        let (Some(url), Some(word)) =
            (&config.oslo_messaging_notifications.transport_url, &config.top.notification_level)
        else {
            return Ok(None);
        };
        let level = Level::from_name(word).ok_or_else(|| {
            wrong("notification_level", format!("`{word}` is none of debug, info, warning, error, critical"))
        })?;
        let brokers = Brokers::new(url.expose(), &config.oslo_messaging_rabbit)
            .map_err(|text| wrong("[oslo_messaging_notifications] transport_url", text))?;
        let topics = config.top.versioned_notifications_topics.clone();
        Ok(Some(Bus { brokers, topics, level, host: config.host() }))
    }

    /// Sends until `stop`.
    pub async fn run(mut self, store: Arc<dyn Store>, stop: CancellationToken) {
        let mut failures = 0u32;
        let mut connection = None;
        let mut grow = store.events_grow();
        while !stop.is_cancelled() {
            grow.borrow_and_update();
            match self.round(store.as_ref(), &mut connection, &stop).await {
                Ok(true) => failures = 0,
                Ok(false) => {
                    failures = 0;
                    tokio::select! {
                        () = stop.cancelled() => {}
                        grown = grow.changed() => if grown.is_err() { break },
                    }
                }
                Err(error) => {
                    connection = None;
                    let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(8)).min(LONGEST_PAUSE);
                    failures += 1;
                    tracing::warn!(
                        hosts = self.brokers.names(),
                        error,
                        failures,
                        "notifications wait: the message bus does not take them"
                    );
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        }
        if let Some(connection) = connection {
            connection.close().await;
        }
    }

    /// Sends a batch; `false`: there is nothing more yet.
    async fn round(
        &mut self,
        store: &dyn Store,
        connection: &mut Option<Connection>,
        stop: &CancellationToken,
    ) -> Result<bool, String> {
        let log = |error: StoreError| error.to_string();
        let after = store.cursor(PLACE).await.map_err(log)?;
        let batch = store.events(&Visible::Everything, &EventFilter::default(), after, BATCH).await.map_err(log)?;
        if batch.missed > 0 {
            tracing::error!(missed = batch.missed, "the log was cut before these events were sent to the message bus");
        }
        let level = self.level;
        for event in &batch.events {
            for notice in messages(event).iter().filter(|notice| notice.level >= level) {
                if stop.is_cancelled() {
                    return Ok(false);
                }
                self.send(connection, event, notice).await?;
            }
            store.set_cursor(PLACE, event.id).await.map_err(log)?;
        }
        if batch.position != after && batch.events.is_empty() {
            store.set_cursor(PLACE, batch.position).await.map_err(log)?;
        }
        Ok(batch.events.len() == BATCH)
    }

    async fn send(
        &mut self,
        connection: &mut Option<Connection>,
        event: &Event,
        notice: &Notice,
    ) -> Result<(), String> {
        let body = self.envelope(event, notice).to_string();
        for topic in &self.topics {
            let key = format!("{topic}.{}", notice.level.name());
            let open = match connection {
                Some(open) => open,
                None => connection.insert(self.brokers.open().await?),
            };
            // Cheap, and right also after somebody removed the queue.
            open.declare(EXCHANGE, &key).await?;
            open.publish(EXCHANGE, &key, body.as_bytes()).await?;
        }
        Ok(())
    }

    fn envelope(&self, event: &Event, notice: &Notice) -> Value {
        let at = event.at.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string();
        // The same event has the same id however often it is sent.
        let id =
            Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{} {} {}", self.host, event.id, notice.event_type).as_bytes());
        let message = json!({
            "message_id": id, "publisher_id": format!("{}.{}", notice.service, self.host),
            "event_type": notice.event_type, "priority": notice.level.name().to_uppercase(),
            "payload": notice.payload, "timestamp": at, "_unique_id": id.simple().to_string(),
            "_context_request_id": event.request_id, "_context_user": event.user,
        });
        json!({"oslo.version": "2.0", "oslo.message": message.to_string()})
    }
}
