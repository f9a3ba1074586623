//! One file over HTTP, with ranges: a thread of its own, so that it costs the measured side nothing but CPU.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

/// A file that is being served until the process ends.
pub struct Served {
    /// Where.
    pub url: String,
}

impl Served {
    /// Starts serving at an address of this machine.
    pub fn on(address: Ipv4Addr, path: &Path) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("a free port");
        let url = format!("http://{}/image", listener.local_addr().expect("its address"));
        let path: PathBuf = path.to_owned();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let path = path.clone();
                std::thread::spawn(move || answer(&stream, &path));
            }
        });
        Served { url }
    }
}

fn answer(mut stream: &TcpStream, path: &Path) -> Option<()> {
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
            std::io::copy(&mut file.take(length), &mut stream).ok()?;
        }
    }
}
