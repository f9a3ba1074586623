//! A small load tool: so many connections, one request after another on each, times of all answers. One thread, written by hand:
//! what it costs is in the table as a floor (`floor`).

use std::cell::Cell;
use std::io::Write;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Largest head of an answer, bytes.
const HEAD: usize = 16 * 1024;

/// What has no answer so long after the end is given up: a server that stalls must not stall the table.
const GRACE: Duration = Duration::from_secs(5);

/// A request: method, path, body.
pub type Request = (&'static str, String, Option<String>);

/// What one call is: the request of each serial number, and the status that counts as success.
pub struct Shot<'a> {
    /// Makes the request of a serial number.
    pub make: &'a dyn Fn(usize) -> Request,
    /// Its good status.
    pub status: u16,
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct Score {
    /// Good answers that came in time.
    pub good: usize,
    /// The same, a second.
    pub rate: f64,
    /// Half of the answers took at most this.
    pub median: Duration,
    /// Of a hundred answers, one took longer.
    pub slow: Duration,
    /// Answers of the slowest whole second.
    pub worst_second: usize,
    /// Answers with another status, and the first of their bodies.
    pub bad: usize,
    /// For people.
    pub complaint: String,
    /// Work of the server for one answer, of all its processors.
    pub work: Duration,
}

/// Fires for `time` over `connections`; serial numbers go on where `serial` stands.
///
/// # Panics
/// When nobody listens at `port`.
pub async fn fire(port: u16, connections: usize, time: Duration, shot: &Shot<'_>, serial: &Cell<usize>) -> Score {
    let begun = Instant::now();
    let lanes = (0..connections).map(|_| lane(port, begun, begun + time, shot, serial));
    let lanes = futures_util::future::join_all(lanes).await;
    let mut times: Vec<Duration> = lanes.iter().flat_map(|lane| lane.times.iter().copied()).collect();
    times.sort_unstable();
    let at = |part: f64| times.get(((times.len() as f64 * part) as usize).min(times.len().saturating_sub(1)));
    let second = |number| lanes.iter().map(|lane| lane.seconds.get(number).copied().unwrap_or(0)).sum::<usize>();
    let good: usize = lanes.iter().map(|lane| lane.in_time).sum();
    Score {
        good,
        rate: good as f64 / time.as_secs_f64(),
        median: at(0.5).copied().unwrap_or_default(),
        slow: at(0.99).copied().unwrap_or_default(),
        worst_second: (0..time.as_secs() as usize).map(second).min().unwrap_or(0),
        bad: lanes.iter().map(|lane| lane.bad).sum(),
        complaint: lanes.into_iter().find_map(|lane| lane.complaint).unwrap_or_default(),
        work: Duration::ZERO,
    }
}

#[derive(Default)]
struct Lane {
    times: Vec<Duration>,
    seconds: Vec<usize>,
    in_time: usize,
    bad: usize,
    complaint: Option<String>,
}

async fn lane(port: u16, begin: Instant, end: Instant, shot: &Shot<'_>, serial: &Cell<usize>) -> Lane {
    let mut lane = Lane::default();
    let mut line = None;
    let (mut request, mut answer) = (Vec::with_capacity(4096), Vec::with_capacity(64 * 1024));
    loop {
        let begun = Instant::now();
        if begun >= end {
            return lane;
        }
        let (method, path, body) = (shot.make)(serial.replace(serial.get() + 1));
        let body = body.as_deref().unwrap_or_default();
        request.clear();
        let _ = write!(
            request,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-OpenStack-Ironic-API-Version: 1.95\r\n\
             Content-Type: application/json\r\nAccept: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let kept = line.take();
        let asked = async {
            let mut stream = match kept {
                Some(stream) => stream,
                None => connect(port).await,
            };
            stream.write_all(&request).await?;
            read(&mut stream, &mut answer).await.map(|(status, keep)| (status, keep.then_some(stream)))
        };
        match tokio::time::timeout_at((end + GRACE).into(), asked).await {
            Ok(Ok((status, keep))) => {
                line = keep;
                if status != shot.status {
                    lane.bad += 1;
                    lane.complaint
                        .get_or_insert_with(|| String::from_utf8_lossy(&answer[..answer.len().min(900)]).into_owned());
                    continue;
                }
                let now = Instant::now();
                lane.times.push(now - begun);
                if now < end {
                    lane.in_time += 1;
                    let second = (now - begin).as_secs() as usize;
                    lane.seconds.resize(lane.seconds.len().max(second + 1), 0);
                    lane.seconds[second] += 1;
                }
            }
            Ok(Err(error)) => {
                lane.bad += 1;
                lane.complaint.get_or_insert_with(|| error.to_string());
            }
            Err(_) => {
                lane.bad += 1;
                lane.complaint.get_or_insert_with(|| "no answer in time".into());
            }
        }
    }
}

async fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the API listens");
    stream.set_nodelay(true).expect("a socket option");
    stream
}

/// Reads one answer into `buffer`; the status, and whether the connection lives on.
async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<(u16, bool)> {
    buffer.clear();
    let broken = || std::io::Error::other("the answer ends in its middle");
    let head = loop {
        if stream.read_buf(buffer).await? == 0 || buffer.len() > HEAD && !buffer[..HEAD].contains(&b'\n') {
            return Err(broken());
        }
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let text = std::str::from_utf8(&buffer[..head]).map_err(|_| broken())?;
    let status = text.get(9..12).and_then(|word| word.parse().ok()).ok_or_else(broken)?;
    let (mut length, mut chunked, mut keep) = (0, false, true);
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(|_| broken())?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = true;
        } else if name.eq_ignore_ascii_case("connection") {
            keep = !value.trim().eq_ignore_ascii_case("close");
        }
    }
    // The last chunk is empty, and JSON never ends like this.
    while if chunked { !buffer.ends_with(b"\r\n0\r\n\r\n") } else { buffer.len() < head + length } {
        if stream.read_buf(buffer).await? == 0 {
            return Err(broken());
        }
    }
    Ok((status, keep))
}
