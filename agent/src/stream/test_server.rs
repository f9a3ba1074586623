//! A small image server for tests, with a list of faults: one a connection, in order, then none.

use super::request::Request;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What goes wrong with one response.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The connection closes after so many bytes of the body.
    DropAfter(usize),
    /// Silence after so many bytes of the body.
    StallAfter(usize),
    /// Another status, no body.
    Status(u16),
    /// Content-Length is so much too large.
    ClaimLonger(usize),
    /// Zeroes for ever, chunked.
    Endless,
    /// 302.
    Redirect(String),
    /// The file has another ETag now, and If-Range does not match.
    NewTag,
    /// A part is asked for; Content-Range says it begins so many bytes later, and the bytes do.
    WrongPart(usize),
    /// Headers without end.
    EndlessHead,
    /// No answer at all, the connection closes.
    HangUp,
    /// Something that is no HTTP.
    Nonsense,
}

/// The server, before and after its start.
#[derive(Clone)]
pub struct Server {
    body: Arc<Vec<u8>>,
    /// Served for ranged requests instead: a server that lies.
    other_body: Option<Arc<Vec<u8>>>,
    ranges: bool,
    length: bool,
    faults: Arc<Mutex<VecDeque<Fault>>>,
    always: Option<Fault>,
    seen: Arc<Mutex<Vec<String>>>,
    address: String,
    _alive: Arc<()>,
}

impl Server {
    /// Serves `body` at every path.
    pub fn new(body: Vec<u8>) -> Self {
        Self {
            body: Arc::new(body),
            other_body: None,
            ranges: true,
            length: true,
            faults: Arc::default(),
            always: None,
            seen: Arc::default(),
            address: String::new(),
            _alive: Arc::new(()),
        }
    }

    /// Range headers are ignored.
    pub fn without_ranges(mut self) -> Self {
        self.ranges = false;
        self
    }

    /// Chunked, size unknown.
    pub fn without_length(mut self) -> Self {
        self.length = false;
        self
    }

    /// Ranged requests get these bytes.
    pub fn other_for_ranges(mut self, body: Vec<u8>) -> Self {
        self.other_body = Some(Arc::new(body));
        self
    }

    /// The next connection's fault.
    pub fn fault(self, fault: Fault) -> Self {
        self.faults.lock().unwrap().push_back(fault);
        self
    }

    /// The fault of every connection after those.
    pub fn always(mut self, fault: Fault) -> Self {
        self.always = Some(fault);
        self
    }

    /// Listens. The thread ends when the last handle is gone and one more connection came, or with the process.
    pub fn start(mut self) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        self.address = format!("http://{}", listener.local_addr().unwrap());
        let mut copy = self.clone();
        copy._alive = Arc::new(());
        let alive = Arc::downgrade(&self._alive);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if alive.upgrade().is_none() {
                    return;
                }
                let server = copy.clone();
                std::thread::spawn(move || server.serve(stream.unwrap()));
            }
        });
        self
    }

    /// The address of `path` on this server.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// A request for `path`.
    pub fn request(&self, path: &str) -> Request {
        Request::plain(self.url(path).parse().unwrap())
    }

    /// The heads of all requests so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        loop {
            let mut head = String::new();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                if line == "\r\n" {
                    break;
                }
                head.push_str(&line);
            }
            self.seen.lock().unwrap().push(head.clone());
            let fault = self.faults.lock().unwrap().pop_front().or_else(|| self.always.clone());
            if self.answer(&mut stream, &head, fault).is_none() {
                return;
            }
        }
    }

    /// None when the connection is to be closed.
    fn answer(&self, stream: &mut TcpStream, head: &str, fault: Option<Fault>) -> Option<()> {
        let tag = if matches!(fault, Some(Fault::NewTag)) { "\"2\"" } else { "\"1\"" };
        match &fault {
            Some(Fault::Status(status)) => {
                write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").ok()?;
                return None;
            }
            Some(Fault::Redirect(to)) => {
                write!(stream, "HTTP/1.1 302 X\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").ok()?;
                return Some(());
            }
            Some(Fault::Endless) => {
                write!(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").ok()?;
                let mut chunk = b"10000\r\n".to_vec();
                chunk.extend(vec![0; 0x10000]);
                chunk.extend(b"\r\n");
                loop {
                    stream.write_all(&chunk).ok()?;
                }
            }
            Some(Fault::HangUp) => return None,
            Some(Fault::Nonsense) => {
                stream.write_all(b"\x15\x03\x01\0\x02\x02\x28 what is this\r\n\r\n").ok()?;
                return None;
            }
            Some(Fault::EndlessHead) => {
                write!(stream, "HTTP/1.1 200 OK\r\n").ok()?;
                let line = format!("x-more: {}\r\n", "y".repeat(1000));
                loop {
                    stream.write_all(line.as_bytes()).ok()?;
                }
            }
            _ => {}
        }
        let range = self.ranges.then(|| range(head, self.body.len())).flatten();
        let range = match fault {
            Some(Fault::WrongPart(later)) => range.map(|(start, end)| ((start + later).min(end - 1), end)),
            _ => range,
        };
        let range = range.filter(|_| !head.contains("if-range") || head.contains(&format!("if-range: {tag}")));
        let (body, status, content_range) = match range {
            Some((start, end)) => {
                let body = self.other_body.as_ref().unwrap_or(&self.body);
                let text = format!("content-range: bytes {start}-{}/{}\r\n", end - 1, self.body.len());
                (&body[start..end], "206 Partial", text)
            }
            None => (&self.body[..], "200 OK", String::new()),
        };
        let more = if let Some(Fault::ClaimLonger(more)) = fault { more } else { 0 };
        let length = match self.length || range.is_some() {
            true => format!("content-length: {}\r\n", body.len() + more),
            false => "transfer-encoding: chunked\r\n".into(),
        };
        write!(stream, "HTTP/1.1 {status}\r\netag: {tag}\r\n{content_range}{length}\r\n").ok()?;
        match fault {
            Some(Fault::DropAfter(bytes)) => {
                stream.write_all(&body[..bytes.min(body.len())]).ok()?;
                return None;
            }
            Some(Fault::StallAfter(bytes)) => {
                stream.write_all(&body[..bytes]).ok()?;
                std::thread::sleep(Duration::from_secs(5));
                return None;
            }
            _ => {}
        }
        if self.length || range.is_some() {
            stream.write_all(body).ok()?;
        } else {
            for chunk in body.chunks(65536) {
                write!(stream, "{:x}\r\n", chunk.len()).ok()?;
                stream.write_all(chunk).ok()?;
                stream.write_all(b"\r\n").ok()?;
            }
            stream.write_all(b"0\r\n\r\n").ok()?;
        }
        (more == 0).then_some(())
    }
}

fn range(head: &str, size: usize) -> Option<(usize, usize)> {
    let text = head.lines().find_map(|line| line.strip_prefix("range: bytes="))?;
    let (start, end) = text.split_once('-')?;
    let start = start.parse::<usize>().ok()?;
    let end = if end.is_empty() { size } else { (end.parse::<usize>().ok()? + 1).min(size) };
    (start < end).then_some((start, end))
}

/// Bytes that no compressor makes smaller, the same for the same seed.
pub fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(bytes);
    out
}
