//! AMQP 0-9-1, as much of it as putting messages into queues takes: log in, declare, publish, wait for the confirmation.
//!
//! One channel, one message at a time: the place in the event log moves only with the broker's word for each message. Numbers
//! in brackets are class and method of the specification.

use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

/// Longest time that any answer of the broker may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Largest frame that is taken, bytes; the broker is asked to keep to it.
const FRAME: u32 = 131_072;
const END: u8 = 0xCE;
const CHANNEL: u16 = 1;

/// How to reach a broker.
#[derive(Clone)]
pub struct Broker {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User.
    pub user: String,
    /// Password; never printed: this type has no `Debug`.
    pub password: String,
    /// Virtual host.
    pub vhost: String,
}

/// An open connection with one channel that confirms.
pub struct Connection {
    stream: BufStream<TcpStream>,
    frame_max: usize,
}

/// Arguments of a method under construction.
struct Method(Vec<u8>);

impl Method {
    fn new(class: u16, method: u16) -> Self {
        Method([class.to_be_bytes(), method.to_be_bytes()].concat())
    }

    fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// At most 255 bytes; what is longer is cut, and the broker refuses it by its name.
    fn short(mut self, text: &str) -> Self {
        let bytes = &text.as_bytes()[..text.len().min(255)];
        self.0.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
        self.0.extend(bytes);
        self
    }

    fn long(self, bytes: &[u8]) -> Self {
        let mut method = self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        method.0.extend(bytes);
        method
    }

    /// A table without entries.
    fn no_table(self) -> Self {
        self.u32(0)
    }
}

fn odd(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the broker does not answer")))
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

impl Connection {
    /// Logs in and opens a channel that confirms what it took.
    ///
    /// # Errors
    /// The system's, or what the broker says. Never shows the password.
    pub async fn open(broker: &Broker) -> io::Result<Self> {
        in_time(async {
            let stream = TcpStream::connect((broker.host.as_str(), broker.port)).await?;
            stream.set_nodelay(true)?;
            let mut connection = Connection { stream: BufStream::new(stream), frame_max: FRAME as usize };
            connection.log_in(broker).await?;
            connection.call(Method::new(20, 10).short(""), CHANNEL, (20, 11)).await?;
            connection.call(Method::new(85, 10).u8(0), CHANNEL, (85, 11)).await?;
            Ok(connection)
        })
        .await
    }

    async fn log_in(&mut self, broker: &Broker) -> io::Result<()> {
        self.stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
        self.stream.flush().await?;
        self.expect(10, 10).await?;
        let proof = [b"\0", broker.user.as_bytes(), b"\0", broker.password.as_bytes()].concat();
        self.send(Method::new(10, 11).no_table().short("PLAIN").long(&proof).short("en_US"), 0).await?;
        let tune = self.expect(10, 30).await.map_err(|error| match error.kind() {
            // How brokers refuse a login of a client that does not know a newer way.
            io::ErrorKind::UnexpectedEof => odd("the broker refuses user or password"),
            _ => error,
        })?;
        let wanted = u32::try_from(number(tune.get(2..6).unwrap_or_default())).unwrap_or(0);
        let frame_max = if wanted == 0 { FRAME } else { wanted.min(FRAME) };
        self.frame_max = frame_max as usize;
        // No heartbeats: each message is confirmed within a time, and a lost connection is found by the next one.
        self.send(Method::new(10, 31).u16(CHANNEL).u32(frame_max).u16(0), 0).await?;
        self.call(Method::new(10, 40).short(&broker.vhost).short("").u8(0), 0, (10, 41)).await?;
        Ok(())
    }

    /// A topic exchange and a queue of the key's name bound to it, as the reference's library makes them: messages wait there
    /// when nobody listens yet.
    ///
    /// # Errors
    /// What the broker says, e.g. that they are there with other properties.
    pub async fn declare(&mut self, exchange: &str, key: &str) -> io::Result<()> {
        in_time(async {
            let declare = Method::new(40, 10).u16(0).short(exchange).short("topic").u8(0).no_table();
            self.call(declare, CHANNEL, (40, 11)).await?;
            self.call(Method::new(50, 10).u16(0).short(key).u8(0).no_table(), CHANNEL, (50, 11)).await?;
            let bind = Method::new(50, 20).u16(0).short(key).short(exchange).short(key).u8(0).no_table();
            self.call(bind, CHANNEL, (50, 21)).await?;
            Ok(())
        })
        .await
    }

    /// Publishes JSON; returns when the broker has it.
    ///
    /// # Errors
    /// The system's, or that the broker does not take it. The connection is of no use then.
    pub async fn publish(&mut self, exchange: &str, key: &str, body: &[u8]) -> io::Result<()> {
        in_time(async {
            self.frame(1, CHANNEL, &Method::new(60, 40).u16(0).short(exchange).short(key).u8(0).0).await?;
            // Content type, encoding and delivery mode 2 (the message outlives a restart of a durable queue's broker).
            let properties = 1 << 15 | 1 << 14 | 1 << 12;
            let header = Method(Vec::new()).u16(60).u16(0).u64(body.len() as u64).u16(properties);
            let header = header.short("application/json").short("utf-8").u8(2);
            self.frame(2, CHANNEL, &header.0).await?;
            for piece in body.chunks(self.frame_max - 8) {
                self.frame(3, CHANNEL, piece).await?;
            }
            self.stream.flush().await?;
            match self.method().await? {
                (60, 80, _) => Ok(()),
                (class, method, _) => Err(odd(format!("the broker does not take a message ({class}, {method})"))),
            }
        })
        .await
    }

    /// Says good-bye; errors mean nothing any more.
    pub async fn close(mut self) {
        let goodbye = Method::new(10, 50).u16(200).short("").u16(0).u16(0);
        let _ = in_time(self.call(goodbye, 0, (10, 51))).await;
    }

    async fn call(&mut self, method: Method, channel: u16, answer: (u16, u16)) -> io::Result<Vec<u8>> {
        self.send(method, channel).await?;
        self.expect(answer.0, answer.1).await
    }

    async fn send(&mut self, method: Method, channel: u16) -> io::Result<()> {
        self.frame(1, channel, &method.0).await?;
        self.stream.flush().await
    }

    async fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).map_err(|_| odd("a frame of more than 4 GiB"))?;
        self.stream.write_u8(kind).await?;
        self.stream.write_u16(channel).await?;
        self.stream.write_u32(length).await?;
        self.stream.write_all(payload).await?;
        self.stream.write_u8(END).await
    }

    async fn expect(&mut self, class: u16, method: u16) -> io::Result<Vec<u8>> {
        match self.method().await? {
            (c, m, arguments) if (c, m) == (class, method) => Ok(arguments),
            (c, m, _) => Err(odd(format!("the broker answers ({c}, {m}) instead of ({class}, {method})"))),
        }
    }

    /// The next method; what the broker closes is an error with its words.
    async fn method(&mut self) -> io::Result<(u16, u16, Vec<u8>)> {
        loop {
            let kind = self.stream.read_u8().await?;
            let _channel = self.stream.read_u16().await?;
            let length = self.stream.read_u32().await?;
            if length > FRAME {
                return Err(odd("the broker sends a frame that is too large"));
            }
            let mut payload = vec![0; length as usize];
            self.stream.read_exact(&mut payload).await?;
            if self.stream.read_u8().await? != END {
                return Err(odd("the broker does not speak AMQP 0-9-1"));
            }
            // Heartbeats and contents mean nothing to who only publishes.
            if kind != 1 {
                continue;
            }
            let head = payload.get(..4).ok_or_else(|| odd("a method without a number"))?;
            let (class, method) = (number(&head[..2]) as u16, number(&head[2..]) as u16);
            let arguments = payload.split_off(4);
            if matches!((class, method), (10, 50) | (20, 40)) {
                let code = number(arguments.get(..2).unwrap_or_default());
                let length = usize::from(arguments.get(2).copied().unwrap_or(0));
                let text = String::from_utf8_lossy(arguments.get(3..3 + length).unwrap_or_default());
                return Err(odd(format!("the broker refuses: {code} {text}")));
            }
            return Ok((class, method, arguments));
        }
    }
}
