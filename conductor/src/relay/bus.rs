//! Events to a message bus in Ironic's versioned notifications, enveloped as its library does (`messagingv2`).

use super::RelayError;
use super::amqp::{Broker, Connection};
use crate::config::Config;
use crate::model::event::Event;
use crate::model::notice::{Level, Notice, messages};
use crate::policy::Visible;
use crate::store::events::EventFilter;
use crate::store::{Store, StoreError};
use reqwest::Url;
use serde_json::{Value, json};
use std::io;
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
    broker: Broker,
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
        let broker =
            broker(url.expose()).map_err(|text| wrong("[oslo_messaging_notifications] transport_url", text))?;
        let topics = config.top.versioned_notifications_topics.clone();
        Ok(Some(Bus { broker, topics, level, host: config.host() }))
    }

    /// Sends until `stop`.
    pub async fn run(self, store: Arc<dyn Store>, stop: CancellationToken) {
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
                        host = self.broker.host,
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
        &self,
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
        for event in &batch.events {
            for notice in messages(event).iter().filter(|notice| notice.level >= self.level) {
                if stop.is_cancelled() {
                    return Ok(false);
                }
                self.send(connection, event, notice).await.map_err(|error| error.to_string())?;
            }
            store.set_cursor(PLACE, event.id).await.map_err(log)?;
        }
        if batch.position != after && batch.events.is_empty() {
            store.set_cursor(PLACE, batch.position).await.map_err(log)?;
        }
        Ok(batch.events.len() == BATCH)
    }

    async fn send(&self, connection: &mut Option<Connection>, event: &Event, notice: &Notice) -> io::Result<()> {
        let body = self.envelope(event, notice).to_string();
        for topic in &self.topics {
            let key = format!("{topic}.{}", notice.level.name());
            let open = match connection {
                Some(open) => open,
                None => connection.insert(Connection::open(&self.broker).await?),
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

/// `rabbit://user:password@host:port/vhost`. The text of a refusal never repeats it.
fn broker(url: &str) -> Result<Broker, String> {
    let url = Url::parse(url).map_err(|error| format!("it is not a URL: {error}"))?;
    if !matches!(url.scheme(), "rabbit" | "amqp") {
        return Err("it must begin with rabbit:// or amqp://; TLS is not spoken, use a tunnel".into());
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("it names no host")?;
    if host.contains(',') {
        return Err("it names several hosts; name one".into());
    }
    let plain = |text: &str| {
        url::form_urlencoded::parse(format!("x={}", text.replace('+', "%2B")).as_bytes())
            .next()
            .map_or_else(String::new, |(_, value)| value.into_owned())
    };
    let or_guest = |text: String| if text.is_empty() { "guest".to_owned() } else { text };
    let vhost = plain(url.path().trim_start_matches('/'));
    Ok(Broker {
        host: host.trim_start_matches('[').trim_end_matches(']').into(),
        port: url.port().unwrap_or(5672),
        user: or_guest(plain(url.username())),
        password: or_guest(plain(url.password().unwrap_or_default())),
        vhost: if vhost.is_empty() { "/".into() } else { vhost },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_reference_reads_them_and_never_shown() {
        let broker = broker("rabbit://ironic:p%40ss+x@192.0.2.1:5673/cloud").unwrap_or_else(|text| panic!("{text}"));
        assert_eq!((broker.host.as_str(), broker.port, broker.vhost.as_str()), ("192.0.2.1", 5673, "cloud"));
        assert_eq!((broker.user.as_str(), broker.password.as_str()), ("ironic", "p@ss+x"));
        let plain = super::broker("rabbit://localhost/").unwrap_or_else(|text| panic!("{text}"));
        assert_eq!((plain.port, plain.user.as_str(), plain.vhost.as_str()), (5672, "guest", "/"));
        for url in ["amqps://u:hunter2@h/", "rabbit://u:hunter2@a,b/", "hunter2", "kafka://u:hunter2@h/"] {
            let error = super::broker(url).err().unwrap();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
