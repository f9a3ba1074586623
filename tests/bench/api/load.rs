//! A small load tool: so many connections, one request after another on each, times of all answers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Largest head of an answer, bytes.
const HEAD: usize = 16 * 1024;

/// What has no answer so long after the end is given up: a server that stalls must not stall the table.
const GRACE: Duration = Duration::from_secs(5);

/// What one call is: the request of each serial number, and the status that counts as success.
pub struct Shot<'a> {
    /// Method, path and body for a serial number.
    pub make: &'a dyn Fn(usize) -> (&'static str, String, Option<String>),
    /// Its good status.
    pub status: u16,
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct Score {
    /// Good answers a second, of those that came in time.
    pub rate: f64,
    /// Half of the answers took at most this.
    pub median: Duration,
    /// Of a hundred answers, one took longer.
    pub slow: Duration,
    /// Answers with another status, and the first of their bodies.
    pub bad: usize,
    /// For people.
    pub complaint: String,
}

/// Fires for `time` over `connections`; serial numbers go on where `serial` stands.
///
/// # Panics
/// When nobody listens at `port`.
pub async fn fire(port: u16, connections: usize, time: Duration, shot: &Shot<'_>, serial: &AtomicUsize) -> Score {
    let begun = Instant::now();
    let lanes = (0..connections).map(|_| lane(port, begun + time, shot, serial));
    let lanes = futures_util::future::join_all(lanes).await;
    let in_time: usize = lanes.iter().map(|lane| lane.in_time).sum();
    let mut times: Vec<Duration> = lanes.iter().flat_map(|lane| lane.times.iter().copied()).collect();
    times.sort_unstable();
    let at = |part: f64| times.get(((times.len() as f64 * part) as usize).min(times.len().saturating_sub(1)));
    Score {
        rate: in_time as f64 / time.as_secs_f64(),
        median: at(0.5).copied().unwrap_or_default(),
        slow: at(0.99).copied().unwrap_or_default(),
        bad: lanes.iter().map(|lane| lane.bad).sum(),
        complaint: lanes.into_iter().find_map(|lane| lane.complaint).unwrap_or_default(),
    }
}

#[derive(Default)]
struct Lane {
    times: Vec<Duration>,
    in_time: usize,
    bad: usize,
    complaint: Option<String>,
}

async fn lane(port: u16, end: Instant, shot: &Shot<'_>, serial: &AtomicUsize) -> Lane {
    let mut lane = Lane::default();
    let mut line = None;
    let mut buffer = Vec::with_capacity(64 * 1024);
    while Instant::now() < end {
        let (method, path, body) = (shot.make)(serial.fetch_add(1, Ordering::Relaxed));
        let begun = Instant::now();
        let kept = line.take();
        let asked = async {
            let mut stream = match kept {
                Some(stream) => stream,
                None => connect(port).await,
            };
            let answer = ask(&mut stream, &mut buffer, method, &path, body.as_deref()).await;
            answer.map(|(status, keep)| (status, keep.then_some(stream)))
        };
        let answer = tokio::time::timeout_at((end + GRACE).into(), asked).await;
        match answer.unwrap_or_else(|_| Err(std::io::Error::other("no answer in time"))) {
            Ok((status, keep)) => {
                if status == shot.status {
                    lane.times.push(begun.elapsed());
                    lane.in_time += usize::from(Instant::now() < end);
                } else {
                    lane.bad += 1;
                    lane.complaint
                        .get_or_insert_with(|| String::from_utf8_lossy(&buffer[..buffer.len().min(900)]).into_owned());
                }
                line = keep;
            }
            Err(error) => {
                lane.bad += 1;
                lane.complaint.get_or_insert_with(|| error.to_string());
            }
        }
    }
    lane
}

async fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the API listens");
    stream.set_nodelay(true).expect("a socket option");
    stream
}

/// One exchange; the status, and whether the connection lives on. The answer stays in `buffer`.
async fn ask(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    method: &str,
    path: &str,
    body: Option<&str>,
) -> std::io::Result<(u16, bool)> {
    let body = body.unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-OpenStack-Ironic-API-Version: 1.95\r\n\
         Content-Type: application/json\r\nAccept: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    buffer.clear();
    let broken = || std::io::Error::other("the answer ends in its middle");
    let head = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if buffer.len() > HEAD || stream.read_buf(buffer).await? == 0 {
            return Err(broken());
        }
    };
    let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or_else(broken)?;
    let header = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<usize>().ok());
    let keep = !text.contains("connection: close");
    if text.contains("transfer-encoding: chunked") {
        // The last chunk is empty, and JSON never ends like this.
        while !buffer.ends_with(b"\r\n0\r\n\r\n") {
            if stream.read_buf(buffer).await? == 0 {
                return Err(broken());
            }
        }
        return Ok((status, keep));
    }
    let length = head + header("content-length:").unwrap_or(0);
    while buffer.len() < length {
        if stream.read_buf(buffer).await? == 0 {
            return Err(broken());
        }
    }
    Ok((status, keep))
}
