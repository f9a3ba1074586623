//! One connection to a message broker (AMQP 0-9-1, by `lapin`): declare, publish, wait for the confirmation.
//!
//! One channel, one message at a time: the place in the event log moves only with the broker's word for each message. A
//! connection on which anything failed is of no more use; whoever holds it drops it and opens another.

use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::tcp::OwnedTLSConfig;
use lapin::types::FieldTable;
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel, Confirmation, ConnectionProperties, ExchangeKind};
use std::error::Error;
use std::time::Duration;

/// Longest time that any answer of the broker may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Delivery mode: the message outlives a restart of a durable queue's broker.
const PERSISTENT: u8 = 2;

/// An open connection with one channel that confirms.
pub struct Connection {
    connection: lapin::Connection,
    channel: Channel,
}

/// The chain of an error without what only repeats itself. The library's errors hold no passwords: they are the system's, or
/// the broker's words.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

async fn in_time<T>(work: impl Future<Output = lapin::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(result) => result.map_err(|error| chain(&error)),
        Err(_) => Err("the broker does not answer".into()),
    }
}

impl Connection {
    /// Logs in and opens a channel that confirms what it took.
    ///
    /// # Errors
    /// The system's, or what the broker says. Never shows the password.
    pub async fn open(uri: AMQPUri, tls: OwnedTLSConfig) -> Result<Self, String> {
        in_time(async {
            let named = ConnectionProperties::default().with_connection_name("wrought notifications".into());
            let runtime = lapin::runtime::default_runtime()?;
            let connection = lapin::Connection::connect_uri_with_config(uri, named, tls, runtime).await?;
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(Connection { connection, channel })
        })
        .await
    }

    /// A topic exchange and a queue of the key's name bound to it, as the reference's library makes them: messages wait there
    /// when nobody listens yet.
    ///
    /// # Errors
    /// What the broker says, e.g. that they are there with other properties.
    pub async fn declare(&mut self, exchange: &str, key: &str) -> Result<(), String> {
        let (channel, none) = (&self.channel, FieldTable::default);
        in_time(async {
            let options = ExchangeDeclareOptions::default();
            channel.exchange_declare(exchange.into(), ExchangeKind::Topic, options, none()).await?;
            channel.queue_declare(key.into(), QueueDeclareOptions::default(), none()).await?;
            channel.queue_bind(key.into(), exchange.into(), key.into(), QueueBindOptions::default(), none()).await
        })
        .await
    }

    /// Publishes JSON; returns when the broker has it.
    ///
    /// # Errors
    /// The system's, or that the broker does not take it.
    pub async fn publish(&mut self, exchange: &str, key: &str, body: &[u8]) -> Result<(), String> {
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_content_encoding("utf-8".into())
            .with_delivery_mode(PERSISTENT);
        let options = BasicPublishOptions::default();
        let sent = in_time(async {
            self.channel.basic_publish(exchange.into(), key.into(), options, body, properties).await?.await
        });
        match sent.await? {
            Confirmation::Ack(_) => Ok(()),
            Confirmation::Nack(_) | Confirmation::NotRequested => Err("the broker does not take a message".into()),
        }
    }

    /// Says good-bye; errors mean nothing any more.
    pub async fn close(self) {
        let _ = in_time(self.connection.close(200, "".into())).await;
    }
}
