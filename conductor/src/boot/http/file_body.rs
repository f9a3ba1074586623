//! A file as an HTTP answer: validators, ranges, and a body read in large pieces.
//!
//! The file is opened once per request and answered from that handle: replaced behind our back, a running download goes on
//! with the old content, and the next range request sees another ETag.

use super::range::{Wanted, wanted};
use axum::body::{Body, Bytes};
use axum::response::Response;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, Method, StatusCode};
use nix::fcntl::OFlag;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// Bytes read from the file at a time: few enough system calls, small enough per client.
const PIECE: u64 = 256 * 1024;

/// Answers GET or HEAD of a file; `keep` lives as long as the body.
pub async fn answer<K: Send + Sync + 'static>(
    method: &Method,
    headers: &HeaderMap,
    path: &Path,
    keep: K,
) -> io::Result<Response> {
    let path = path.to_owned();
    let opened = tokio::task::spawn_blocking(move || open(&path)).await.map_err(io::Error::other)??;
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let builder = Response::builder().header(ACCEPT_RANGES, "bytes").header(ETAG, &opened.etag);
    if text(IF_NONE_MATCH).is_some_and(|list| list.split(',').any(|tag| tag.trim() == opened.etag)) {
        return finish(builder.status(StatusCode::NOT_MODIFIED), Body::empty());
    }
    // A resumed download of a file that has changed gets all of the new one, never a mix.
    let still_same = text(IF_RANGE).is_none_or(|tag| tag.trim() == opened.etag);
    let range = if still_same { text(RANGE) } else { None };
    let builder = builder.header(CONTENT_TYPE, "application/octet-stream");
    let (builder, from, length) = match wanted(range, opened.size) {
        Wanted::Whole => (builder, 0, opened.size),
        Wanted::Part { from, length } => {
            let value = format!("bytes {from}-{}/{}", from + length - 1, opened.size);
            (builder.status(StatusCode::PARTIAL_CONTENT).header(CONTENT_RANGE, value), from, length)
        }
        Wanted::Outside => {
            let builder = builder.header(CONTENT_RANGE, format!("bytes */{}", opened.size));
            return finish(builder.status(StatusCode::RANGE_NOT_SATISFIABLE), Body::empty());
        }
    };
    let builder = builder.header(CONTENT_LENGTH, length);
    let body = if method == Method::HEAD { Body::empty() } else { body(opened.file, from, length, keep) };
    finish(builder, body)
}

fn finish(builder: http::response::Builder, body: Body) -> io::Result<Response> {
    builder.body(body).map_err(io::Error::other)
}

struct Opened {
    file: File,
    size: u64,
    etag: String,
}

fn open(path: &Path) -> io::Result<Opened> {
    // Without this flag, opening a FIFO would wait for ever for somebody to write into it.
    let file = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    // Strong: another file, or the same file written to, differs in one of these.
    let etag = format!("\"{:x}-{:x}-{:x}.{:x}\"", meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec());
    Ok(Opened { file, size: meta.len(), etag })
}

fn body<K: Send + Sync + 'static>(file: File, from: u64, length: u64, keep: K) -> Body {
    let state = Some((Arc::new(file), from, from + length, keep));
    let pieces = futures_util::stream::try_unfold(state, |state| async move {
        let Some((file, at, end, keep)) = state else { return Ok(None) };
        if at == end {
            return Ok(None);
        }
        let reader = Arc::clone(&file);
        let piece = tokio::task::spawn_blocking(move || read_piece(&reader, at, (end - at).min(PIECE)))
            .await
            .map_err(io::Error::other)??;
        let next = at + piece.len() as u64;
        Ok::<_, io::Error>(Some((piece, Some((file, next, end, keep)))))
    });
    Body::from_stream(pieces)
}

/// Reads at least one byte; a file that became shorter ends the answer with an error, so the client sees a cut, not a lie.
fn read_piece(file: &File, at: u64, length: u64) -> io::Result<Bytes> {
    let mut piece = vec![0; length as usize];
    let got = file.read_at(&mut piece, at)?;
    if got == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was served"));
    }
    piece.truncate(got);
    Ok(piece.into())
}
