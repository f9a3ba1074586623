//! Reads the head of one HTTP request: method, path, range. Enough of HTTP for clients that fetch files.

use std::io;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// More than any client sends.
const LONGEST: usize = 16 << 10;

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// `GET` or `HEAD`.
    pub method: String,
    /// Path without the leading slash and without query.
    pub name: String,
    /// First byte, and last if it was named.
    pub range: Option<(u64, Option<u64>)>,
}

/// The next request of a connection; `None` when the client is done.
pub async fn read_head(stream: &mut TcpStream) -> io::Result<Option<Head>> {
    let mut bytes = Vec::new();
    // One byte at a time: what follows the head belongs to the next request.
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) if bytes.len() < LONGEST => bytes.push(byte),
            Ok(_) => return Err(io::Error::other("the request's head is too long")),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(parse(&String::from_utf8_lossy(&bytes)))
}

fn parse(text: &str) -> Option<Head> {
    let mut lines = text.lines();
    let mut words = lines.next()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?);
    let name = path.split('?').next()?.trim_start_matches('/').to_owned();
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("range").then(|| value.trim().to_owned())
    };
    let range = lines.find_map(field).and_then(|value| {
        let (from, to) = value.strip_prefix("bytes=")?.split_once('-')?;
        Some((from.parse().ok()?, to.parse().ok()))
    });
    Some(Head { method, name, range })
}

#[cfg(test)]
mod tests {
    use super::{Head, parse};

    #[test]
    fn a_request_is_read() {
        let head = parse("GET /os.raw?x=1 HTTP/1.1\r\nHost: a\r\nRANGE: bytes=5-9\r\n\r\n");
        assert_eq!(head, Some(Head { method: "GET".into(), name: "os.raw".into(), range: Some((5, Some(9))) }));
        assert_eq!(parse("GET /a HTTP/1.1\r\nrange: bytes=7-\r\n\r\n").unwrap().range, Some((7, None)));
        assert_eq!(parse("GET /a HTTP/1.1\r\nrange: lines=7-\r\n\r\n").unwrap().range, None);
        assert_eq!(parse("nonsense"), None);
    }
}
