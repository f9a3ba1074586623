//! Image writing beside the real agent, beside `curl | dd`, and beside each part alone: network, digest, decompressor, disk. All
//! on the same loop device, from the same server, in one run.

mod alone;
mod make;

use crate::Row;
use crate::inside::write::Cost;
use crate::inside::{enter, me, sandboxed};
use crate::served::Served;
use alone::{Alone, piped};
use make::{DATA, Made, SIZE};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use tests::peers::loop_disk::LoopDisk;
use tests::{network, peers, workspace};

/// A cable that is slower than anything else here, bytes a second: 2 Gbit/s.
const CABLE: u64 = 250_000_000;
/// Each is measured so often; the quickest counts, the machine has other work too.
const ROUNDS: usize = 2;
const GIB: f64 = (1_u64 << 30) as f64;

/// One image.
#[derive(Serialize, Deserialize)]
pub struct Figures {
    name: String,
    ours: Cost,
    /// None where the real agent cannot write it.
    theirs: Option<Cost>,
    /// `curl | (decompressor |) dd`, seconds.
    piped: Option<f64>,
    alone: Alone,
    /// Over the slow cable: the write, and the network alone, seconds.
    cable: (f64, f64),
}

/// The rows.
pub fn writes(dir: &Path) -> Vec<Row> {
    peers::require_sandbox();
    let folder = dir.join("images");
    fs::create_dir_all(&folder).expect("a folder for images");
    let all: Vec<Figures> = enter("images", &folder);
    let _ = fs::remove_dir_all(&folder);
    all.iter().flat_map(rows).collect()
}

fn rows(image: &Figures) -> Vec<Row> {
    let Figures { name, ours, theirs, piped, alone, cable } = image;
    let (part, slowest) = alone.slowest();
    // Beside a slow cable one part is the slowest for certain; without it all parts share this machine's processors.
    let (bound, longest) = if cable.1 > slowest { ("network", cable.1) } else { (part, slowest) };
    let mut beside = vec![format!("{:.0}% of {part} alone ({slowest:.2} s)", slowest / ours.seconds * 100.0)];
    beside.extend(ours.busy.map(|busy| format!("processors {:.0}% busy", busy * 100.0)));
    beside.extend(piped.map(|time| format!("curl | dd {time:.2} s, {:.2} times", time / ours.seconds)));
    beside.extend(
        theirs.as_ref().map(|real| format!("IPA {:.2} s, {:.2} times", real.seconds, real.seconds / ours.seconds)),
    );
    let per_gib = |cost: &Cost| cost.cpu / (DATA as f64 / GIB);
    let against =
        |text: &dyn Fn(&Cost) -> String| theirs.as_ref().map_or(String::new(), |real| format!("IPA {}", text(real)));
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    vec![
        Row {
            what: format!("agent writes {name}, hashed, over HTTP"),
            figure: format!("{:.2} s", ours.seconds),
            beside: beside.join("; "),
        },
        Row { what: format!("  parts of {name} alone"), figure: String::new(), beside: alone.to_string() },
        Row {
            what: format!("  {name} over a cable of 2 Gbit/s"),
            figure: format!("{:.2} s", cable.0),
            beside: format!("{:.0}% of {bound} alone ({longest:.2} s); target 95%", longest / cable.0 * 100.0),
        },
        Row {
            what: format!("  {name}: CPU seconds per GiB of data"),
            figure: format!("{:.2} s", per_gib(ours)),
            beside: against(&|real| format!("{:.2} s", per_gib(real))),
        },
        Row {
            what: format!("  {name}: peak memory"),
            figure: mib(ours.peak),
            beside: against(&|real| format!("{} with its temporary copy", mib(real.peak))),
        },
    ]
}

/// In the network of the measurement.
pub fn inside(dir: &Path) -> Vec<Figures> {
    let disk = LoopDisk::direct(dir, "disk", SIZE);
    let all = make::all(dir);
    all.iter().filter(|made| chosen(made.name)).map(|made| measure(dir, made, &disk)).collect()
}

/// A part of the table only: names of images in a variable of the environment, e.g. `raw;qcow2`.
fn chosen(name: &str) -> bool {
    std::env::var("BENCH_IMAGES").map_or(true, |list| list.split(';').any(|wanted| wanted == name))
}

fn measure(dir: &Path, made: &Made, disk: &LoopDisk) -> Figures {
    let served = Served::on(network::CONDUCTOR, &made.path);
    let digest = make::digest(&made.path);
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let best = |run: &dyn Fn() -> Cost| {
        let all = (0..ROUNDS).map(|_| run());
        all.min_by(|one, other| one.seconds.total_cmp(&other.seconds)).expect("a round")
    };
    let write = |url: &str| {
        let command = [text(&me()), "--write-image".into(), url.into(), digest.clone(), text(&disk.device)];
        best(&|| sandboxed(dir, disk, "172.22.0.61", &command))
    };
    let ours = write(&served.url);
    assert_eq!(disk.differs_from(&made.raw), None, "{}: the disk is not the image", made.name);
    let theirs = made.real_format.map(|format| {
        let script = workspace::root().join("tests/fixtures/peers/write_image.py");
        let python = text(&peers::venv().join("bin/python"));
        let command = [python, text(&script), served.url.clone(), digest.clone(), format.into(), text(&disk.device)];
        best(&|| sandboxed(dir, disk, "172.22.0.62", &command))
    });
    let quickest = |run: &dyn Fn() -> f64| (0..ROUNDS).map(|_| run()).fold(f64::INFINITY, f64::min);
    let piped = made.unpack.map(|unpack| quickest(&|| piped(&served.url, unpack, &disk.device)));
    let alone = alone::measure(made, &served.url, &disk.device);
    let slow = Served::paced(network::CONDUCTOR, &made.path, Some(CABLE));
    let cable = (write(&slow.url).seconds, alone::download(&slow.url));
    Figures { name: made.name.into(), ours, theirs, piped, alone, cable }
}
