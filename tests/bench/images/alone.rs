//! Each part of a write alone, with the agent's own code where it has some; and the pipe of programs that does the same.

use super::make::{BLOCK, DATA, Made, run};
use agent::stream::decompress::{Compression, fill};
use agent::stream::fetch::Download;
use agent::stream::origin;
use agent::stream::request::{DownloadRules, Request};
use agent::sys::progress::Progress;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::{Display, Formatter};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Seconds of each part.
#[derive(Serialize, Deserialize)]
pub struct Alone {
    network: f64,
    digest: f64,
    decompress: Option<f64>,
    disk: f64,
}

impl Alone {
    /// Which is slowest.
    pub fn slowest(&self) -> (&'static str, f64) {
        let parts = [
            ("network", self.network),
            ("digest", self.digest),
            ("decompressor", self.decompress.unwrap_or(0.0)),
            ("disk", self.disk),
        ];
        parts.into_iter().max_by(|one, other| one.1.total_cmp(&other.1)).expect("four parts")
    }
}

impl Display for Alone {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        write!(out, "network {:.2} s, digest {:.2} s, disk {:.2} s", self.network, self.digest, self.disk)?;
        self.decompress.map_or(Ok(()), |time| write!(out, ", decompressor {time:.2} s"))
    }
}

fn timed(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64()
}

/// The network alone: the agent's own download, into nowhere. Seconds.
pub fn download(url: &str) -> f64 {
    let rules = DownloadRules {
        timeout: Duration::from_secs(60),
        retries: 0,
        pause: Duration::ZERO,
        whole: None,
        deadline: None,
        insecure: false,
        ca_file: None,
        client: None,
        tls13_only: false,
    };
    let request = Request::plain(origin::parse(url).expect("a URL"));
    timed(|| {
        let mut download = Download::start(request, rules, u64::MAX, &Progress::default()).expect("the server answers");
        while download.next_piece().expect("the server goes on").is_some() {}
    })
}

/// Measures them, one after the other.
pub fn measure(made: &Made, url: &str, device: &Path) -> Alone {
    let network = download(url);
    let file = || File::open(&made.path).expect("an image");
    let mut buffer = vec![0; 2 << 20];
    let length = file().metadata().expect("an image").len();
    // From memory that stays in the cache, as in the pipe: reading the file is no part of it.
    let digest = timed(|| {
        let mut hash = Sha256::new();
        (0..length / buffer.len() as u64).for_each(|_| hash.update(&buffer));
        assert!(!hash.finalize().is_empty());
    });
    let mut head = [0; 64];
    let _ = file().read(&mut head);
    let decompress = Compression::detect(&head).map(|kind| {
        timed(|| {
            let mut reader = kind.open(BufReader::with_capacity(2 << 20, file())).expect("a decoder");
            while fill(&mut *reader, &mut buffer).expect("sound data") > 0 {}
        })
    });
    let disk = timed(|| {
        let mut command = Command::new("dd");
        command.arg(format!("if={}", made.raw.display())).arg(format!("of={}", device.display()));
        command
            .args(["bs=4M", "oflag=direct", "conv=notrunc,fsync", "status=none"])
            .arg(format!("count={}", DATA / BLOCK));
        run(&mut command);
    });
    Alone { network, digest, decompress, disk }
}

/// `curl URL | UNPACK | dd`: nobody checks anything. Seconds.
pub fn piped(url: &str, unpack: &[&str], device: &Path) -> f64 {
    timed(|| {
        let curl = Command::new("curl").args(["-sf", url]).stdout(Stdio::piped()).spawn();
        let mut curl = curl.unwrap_or_else(|error| panic!("curl: {error}"));
        let mut source: Stdio = curl.stdout.take().expect("piped").into();
        let mut between = None;
        if let [program, args @ ..] = unpack {
            let child = Command::new(program).args(args).stdin(source).stdout(Stdio::piped()).spawn();
            let mut child = child.unwrap_or_else(|error| panic!("{program}: {error}"));
            source = child.stdout.take().expect("piped").into();
            between = Some(child);
        }
        let mut command = Command::new("dd");
        command.arg(format!("of={}", device.display())).stdin(source);
        run(command.args(["bs=4M", "iflag=fullblock", "oflag=direct", "conv=notrunc,fsync", "status=none"]));
        let others = [Some(curl), between].into_iter().flatten();
        others.for_each(|mut child| assert!(child.wait().is_ok_and(|status| status.success()), "{child:?}"));
    })
}
