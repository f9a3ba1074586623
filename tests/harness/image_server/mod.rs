//! An HTTP server for images that can misbehave: drop the connection half-way, know no ranges, send other bytes, stall,
//! or answer with an error. It notes every request.

mod head;

use std::collections::HashMap;
use std::io::{self, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use self::head::{Head, read_head};

/// What goes wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection closes after this byte of the file was sent, so many times.
    Drop {
        /// Offset in the file.
        at: u64,
        /// How often.
        times: u32,
    },
    /// Requests for a part get the whole.
    NoRanges,
    /// The byte at this offset is another.
    Corrupt {
        /// Offset in the file.
        at: u64,
    },
    /// Nothing more is sent after this byte, but the connection stays open.
    Stall {
        /// Offset in the file.
        at: u64,
    },
    /// No more than so many bytes go out in a second.
    Slow {
        /// Bytes in a second.
        rate: u64,
    },
    /// This status instead of the file, so many times.
    Status {
        /// `503`.
        code: u16,
        /// How often.
        times: u32,
    },
}

/// One request, as it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET` or `HEAD`.
    pub method: String,
    /// Without the leading slash.
    pub name: String,
    /// First byte asked for, when a range was.
    pub from: Option<u64>,
    /// Status of the answer.
    pub status: u16,
    /// Bytes of the body that were sent.
    pub sent: u64,
}

/// The server. It runs until the story ends; clones are the same server.
#[derive(Debug, Clone)]
pub struct ImageServer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    files: Mutex<HashMap<String, PathBuf>>,
    faults: Mutex<HashMap<String, Fault>>,
    requests: Mutex<Vec<Request>>,
}

impl ImageServer {
    /// Listens on a free port of `address`.
    ///
    /// # Errors
    /// The address is not this machine's.
    pub async fn start(address: Ipv4Addr) -> io::Result<Self> {
        let listener = TcpListener::bind((address, 0)).await?;
        let address = listener.local_addr()?;
        let (files, faults, requests) = (Mutex::default(), Mutex::default(), Mutex::default());
        let server = ImageServer(Arc::new(Shared { address, files, faults, requests }));
        let running = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = running.clone();
                // A client that goes away in the middle is the client's affair.
                tokio::spawn(async move { server.talk(stream).await.ok() });
            }
        });
        Ok(server)
    }

    /// Serves a file; returns its URL.
    pub fn offer(&self, name: &str, path: &Path) -> String {
        lock(&self.0.files).insert(name.to_owned(), path.to_owned());
        format!("http://{}/{name}", self.0.address)
    }

    /// From now on this goes wrong with the file; `None`: nothing.
    pub fn fault(&self, name: &str, fault: Option<Fault>) {
        let mut faults = lock(&self.0.faults);
        match fault {
            Some(fault) => faults.insert(name.to_owned(), fault),
            None => faults.remove(name),
        };
    }

    /// What was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.0.requests).clone()
    }

    async fn talk(&self, mut stream: TcpStream) -> io::Result<()> {
        while let Some(head) = read_head(&mut stream).await? {
            if !self.answer(&mut stream, &head).await? {
                break;
            }
        }
        Ok(())
    }

    /// One request; false when the connection ends with it.
    async fn answer(&self, stream: &mut TcpStream, head: &Head) -> io::Result<bool> {
        let fault = self.take_fault(&head.name);
        if let Some(Fault::Status { code, .. }) = fault {
            return self.refuse(stream, head, code).await;
        }
        let path = lock(&self.0.files).get(&head.name).cloned();
        let Some(path) = path else { return self.refuse(stream, head, 404).await };
        let mut file = File::open(&path).await?;
        let size = file.metadata().await?.len();
        let range = head.range.filter(|_| fault != Some(Fault::NoRanges));
        let (start, end, status) = match range {
            None => (0, size, 200),
            Some((from, _)) if from >= size => return self.refuse(stream, head, 416).await,
            Some((from, to)) => (from, to.map_or(size, |to| size.min(to + 1)), 206),
        };
        let mut answer = format!("HTTP/1.1 {status} Fine\r\nContent-Length: {}\r\nETag: \"{size}\"\r\n", end - start);
        if status == 206 {
            answer += &format!("Content-Range: bytes {start}-{}/{size}\r\n", end - 1);
        }
        if fault != Some(Fault::NoRanges) {
            answer += "Accept-Ranges: bytes\r\n";
        }
        answer += "\r\n";
        let number = self.note(head, status);
        stream.write_all(answer.as_bytes()).await?;
        if head.method == "HEAD" {
            return Ok(true);
        }
        file.seek(SeekFrom::Start(start)).await?;
        self.send(stream, &mut file, (start, end), fault, number).await
    }

    async fn send(
        &self,
        stream: &mut TcpStream,
        file: &mut File,
        (start, end): (u64, u64),
        fault: Option<Fault>,
        number: usize,
    ) -> io::Result<bool> {
        let name = lock(&self.0.requests)[number].name.clone();
        let mut bytes = vec![0; 256 << 10];
        let (mut at, stop) = (start, cut(fault).unwrap_or(u64::MAX));
        while at < end {
            let most = usize::try_from((end - at).min(stop.saturating_sub(at))).unwrap_or(usize::MAX).min(bytes.len());
            if most == 0 {
                break;
            }
            let count = file.read(&mut bytes[..most]).await?;
            if count == 0 {
                return Ok(false);
            }
            if let Some(Fault::Corrupt { at: wrong }) = fault
                && (at..at + count as u64).contains(&wrong)
                && let Some(byte) = usize::try_from(wrong - at).ok().and_then(|index| bytes.get_mut(index))
            {
                *byte = !*byte;
            }
            stream.write_all(&bytes[..count]).await?;
            at += count as u64;
            if let Some(Fault::Slow { rate }) = self.current_fault(&name) {
                tokio::time::sleep(Duration::from_secs_f64(count as f64 / rate.max(1) as f64)).await;
            }
            if let Some(request) = lock(&self.0.requests).get_mut(number) {
                request.sent = at - start;
            }
        }
        stream.flush().await?;
        if at < end && matches!(fault, Some(Fault::Stall { .. })) {
            // Until the client gives up.
            while stream.read(&mut bytes).await? > 0 {}
        }
        Ok(at == end)
    }

    async fn refuse(&self, stream: &mut TcpStream, head: &Head, code: u16) -> io::Result<bool> {
        self.note(head, code);
        stream.write_all(format!("HTTP/1.1 {code} No\r\nContent-Length: 0\r\n\r\n").as_bytes()).await?;
        Ok(true)
    }

    fn note(&self, head: &Head, status: u16) -> usize {
        let from = head.range.map(|(from, _)| from);
        let request = Request { method: head.method.clone(), name: head.name.clone(), from, status, sent: 0 };
        let mut requests = lock(&self.0.requests);
        requests.push(request);
        requests.len() - 1
    }

    /// Slowness counts at once, also for what is being sent: a story speeds up what it has slowed down.
    fn current_fault(&self, name: &str) -> Option<Fault> {
        lock(&self.0.faults).get(name).copied()
    }

    /// The fault for this request. One that has a number counts down here.
    fn take_fault(&self, name: &str) -> Option<Fault> {
        let mut faults = lock(&self.0.faults);
        let fault = *faults.get(name)?;
        match fault {
            Fault::Drop { times: 0, .. } | Fault::Status { times: 0, .. } => return None,
            Fault::Drop { at, times } => faults.insert(name.to_owned(), Fault::Drop { at, times: times - 1 }),
            Fault::Status { code, times } => faults.insert(name.to_owned(), Fault::Status { code, times: times - 1 }),
            Fault::NoRanges | Fault::Corrupt { .. } | Fault::Stall { .. } | Fault::Slow { .. } => None,
        };
        Some(fault)
    }
}

fn cut(fault: Option<Fault>) -> Option<u64> {
    match fault? {
        Fault::Drop { at, .. } | Fault::Stall { at } => Some(at),
        _ => None,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::{Fault, ImageServer};

    async fn server() -> (ImageServer, String, tempfile::TempDir) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), (0..100).collect::<Vec<u8>>()).unwrap();
        let server = ImageServer::start(Ipv4Addr::LOCALHOST).await.unwrap();
        let url = server.offer("file", &dir.path().join("file"));
        (server, url, dir)
    }

    async fn get(url: &str, range: Option<&str>) -> (u16, Vec<u8>, bool) {
        let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
        let request = client.get(url);
        let request = match range {
            Some(range) => request.header("range", range),
            None => request,
        };
        let mut answer = request.send().await.unwrap();
        let (status, mut body) = (answer.status().as_u16(), Vec::new());
        loop {
            match answer.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return (status, body, true),
                Err(_) => return (status, body, false),
            }
        }
    }

    #[tokio::test]
    async fn whole_and_parts_and_what_is_not_there() {
        let (server, url, _dir) = server().await;
        assert_eq!(get(&url, None).await, (200, (0..100).collect(), true));
        assert_eq!(get(&url, Some("bytes=90-")).await, (206, (90..100).collect(), true));
        assert_eq!(get(&url, Some("bytes=10-19")).await, (206, (10..20).collect(), true));
        assert_eq!(get(&url, Some("bytes=100-")).await.0, 416);
        assert_eq!(get(&format!("{url}x"), None).await.0, 404);
        assert_eq!(server.requests()[1].from, Some(90));
    }

    #[tokio::test]
    async fn every_fault_shows_on_the_wire() {
        let (server, url, _dir) = server().await;
        server.fault("file", Some(Fault::Drop { at: 50, times: 1 }));
        assert_eq!(get(&url, None).await, (200, (0..50).collect(), false));
        assert_eq!(get(&url, Some("bytes=50-")).await, (206, (50..100).collect(), true));
        server.fault("file", Some(Fault::NoRanges));
        assert_eq!(get(&url, Some("bytes=50-")).await, (200, (0..100).collect(), true));
        server.fault("file", Some(Fault::Corrupt { at: 7 }));
        assert_eq!(get(&url, None).await.1[7], !7);
        server.fault("file", Some(Fault::Status { code: 503, times: 1 }));
        assert_eq!(get(&url, None).await.0, 503);
        assert_eq!(get(&url, None).await.0, 200);
    }
}
