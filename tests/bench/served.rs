//! One file over HTTP, with ranges: a thread of its own, so that it costs the measured side nothing but CPU. At the speed of a
//! cable, if wanted: then the cable is the slowest part, and not this machine's processors.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What goes out at a time, bytes.
const PART: u64 = 256 << 10;

/// A file that is being served until the process ends.
pub struct Served {
    /// Where.
    pub url: String,
}

impl Served {
    /// Starts serving at an address of this machine.
    pub fn on(address: Ipv4Addr, path: &Path) -> Self {
        Self::paced(address, path, None)
    }

    /// The same with at most so many bytes a second on each connection.
    pub fn paced(address: Ipv4Addr, path: &Path, rate: Option<u64>) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("a free port");
        let url = format!("http://{}/image", listener.local_addr().expect("its address"));
        let path: PathBuf = path.to_owned();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let path = path.clone();
                std::thread::spawn(move || answer(&stream, &path, rate));
            }
        });
        Served { url }
    }
}

fn answer(mut stream: &TcpStream, path: &Path, rate: Option<u64>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut range = None;
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        let head_only = line.starts_with("HEAD");
        loop {
            line.clear();
            reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
            if line == "\r\n" {
                break;
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("range: bytes=") {
                let (first, last) = value.trim().split_once('-')?;
                range = Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()));
            }
        }
        let mut file = File::open(path).ok()?;
        let size = file.metadata().ok()?.len();
        let (first, last) =
            range.map_or((0, size - 1), |(first, last)| (first, last.unwrap_or(size - 1).min(size - 1)));
        let length = last + 1 - first;
        let head = match range {
            Some(_) => format!("206 Partial Content\r\nContent-Range: bytes {first}-{last}/{size}"),
            None => "200 OK".to_owned(),
        };
        let head =
            format!("HTTP/1.1 {head}\r\nAccept-Ranges: bytes\r\nETag: \"bench\"\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        if !head_only {
            file.seek(SeekFrom::Start(first)).ok()?;
            let (begun, mut sent, mut buffer) = (Instant::now(), 0, vec![0; PART as usize]);
            while sent < length {
                let part = usize::try_from(PART.min(length - sent)).ok()?;
                file.read_exact(&mut buffer[..part]).ok()?;
                stream.write_all(&buffer[..part]).ok()?;
                sent += part as u64;
                if let Some(rate) = rate {
                    // The cable: nothing goes out before its turn.
                    let due = Duration::from_secs_f64(sent as f64 / rate as f64);
                    std::thread::sleep(due.saturating_sub(begun.elapsed()));
                }
            }
        }
    }
}
