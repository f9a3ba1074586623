//! What nothing can be faster than here: the load tool against a server that does nothing, and the disk's own flush.

use super::load::{Shot, fire};
use super::turns::Turns;
use super::{Row, figure};
use crate::programs::{Running, answers, free_port, wait_for};

use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// The word that makes this program such a server.
pub const PART: &str = "serve-nothing";
/// The command that every agent of [`Nothing`] says it runs.
pub const COMMAND: &str = "8a2f1f0e-5a57-4c4e-9ac5-6d1f0f6f2b11";
/// As long as the answer to a GET of a node.
const BODY: usize = 3000;
/// One page of the database.
const PAGE: usize = 4096;

/// A server that answers every request with the same bytes, in a process of its own; as an agent it runs one command for ever.
pub struct Nothing {
    process: Running,
    /// Where.
    pub port: u16,
}

/// The URL of the agents.
pub fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

impl Nothing {
    /// Starts it.
    pub fn start() -> Self {
        let port = free_port();
        let me = std::env::current_exe().expect("this program");
        let child = Command::new(me).args([PART, &port.to_string()]).stdin(Stdio::null()).spawn().expect("it starts");
        wait_for(|| answers(port, "/"));
        Nothing { process: Running(child), port }
    }
}

/// The server itself; never returns.
pub fn serve(port: u16) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let asked = Arc::new(AtomicUsize::new(0));
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let asked = Arc::clone(&asked);
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let answer = answer(&request, &asked);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let http = hyper::server::conn::http1::Builder::new();
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
}

fn answer(request: &Request<Incoming>, asked: &AtomicUsize) -> Response<Full<Bytes>> {
    static NOTHING: [u8; BODY] = [b' '; BODY];
    Response::new(Full::new(match request.uri().path().trim_end_matches('/') {
        "/v1/commands" => {
            asked.fetch_add(1, Ordering::Relaxed);
            format!(
                r#"{{"commands": [{{"id": "{COMMAND}", "command_name": "execute_deploy_step", "command_status": "RUNNING",
                    "command_error": null, "command_result": null}}]}}"#
            )
            .into()
        }
        "/asked" => asked.load(Ordering::Relaxed).to_string().into(),
        _ => Bytes::from_static(&NOTHING),
    }))
}

/// The floors of the table.
pub fn measure(dir: &Path, runtime: &tokio::runtime::Runtime, time: Duration) -> Vec<Row> {
    let nothing = Nothing::start();
    let mut rows = Vec::new();
    let make = |_| ("GET", "/v1/nodes".to_owned(), None);
    let shot = Shot { make: &make, status: 200 };
    let mut row = |connections: usize, place: &str| {
        let score = runtime.block_on(fire(nothing.port, connections, time, &shot, &Cell::new(0)));
        let what = format!("floor: a server that does nothing, {connections} conn.{place}");
        rows.push(Row::plain(&what, figure(&score)));
    };
    row(1, ", two processors");
    let bound = Turns::of(vec![nothing.process.0.id()]);
    row(1, "");
    drop(bound);
    row(8, "");
    row(64, "");
    rows.push(Row::plain("floor: one page written and flushed (fdatasync)", flushes(dir, time)));
    rows
}

fn flushes(dir: &Path, time: Duration) -> String {
    let path = dir.join("flushes");
    let mut file = File::create(&path).expect("a file");
    file.write_all(&vec![0; PAGE * 1024]).and_then(|()| file.sync_all()).expect("room");
    let mut times = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < time {
        let one = Instant::now();
        let at = (times.len() % 1024 * PAGE) as u64;
        file.write_all_at(&[times.len() as u8; PAGE], at).and_then(|()| file.sync_data()).expect("the disk takes it");
        times.push(one.elapsed());
    }
    let _ = std::fs::remove_file(path);
    let count = times.len();
    times.sort_unstable();
    let at = |part: usize| times[(count * part / 100).min(count - 1)].as_secs_f64() * 1000.0;
    format!("{:.0}/s p50 {:.2} p99 {:.1} ms", count as f64 / time.as_secs_f64(), at(50), at(99))
}
