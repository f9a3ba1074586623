//! `make bench`: a table of measurements, each beside a baseline from the same run. Not a test: it asserts nothing.

mod api;
mod boot;
mod erase;
mod images;
mod inside;
mod programs;
mod served;

use std::path::{Path, PathBuf};
use tests::workspace;

/// One line of the table.
pub struct Row {
    /// What was measured.
    pub what: String,
    /// The figure, with its unit.
    pub figure: String,
    /// What it is compared with, if anything.
    pub beside: String,
}

impl Row {
    /// A figure without a baseline.
    pub fn plain(what: &str, figure: String) -> Self {
        Row { what: what.into(), figure, beside: String::new() }
    }
}

/// Measures one part; may use the folder.
type Measure = fn(&Path) -> Vec<Row>;

/// The parts of the bench, by name.
const PARTS: &[(&str, Measure)] = &[
    ("conductor", programs::conductor),
    ("agent", programs::agent),
    ("start", inside::start::rows),
    ("ramdisk", |_| programs::ramdisk()),
    ("boot", boot::rows),
    ("api", |dir| api::measure(dir)),
    ("images", |dir| images::writes(&scratch(dir))),
    ("erase", |dir| erase::rows(&scratch(dir))),
    ("demo", |_| boot::demo()),
];

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    boot::inside();
    inside::take_part();
    // `make bench ONLY="boot images"`: parts by name, all without any.
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let [part, port] = &wanted[..]
        && part == api::floor::PART
    {
        return api::floor::serve(port.parse().expect("a port"));
    }
    let dir = workspace::target().join(format!("lab/bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let known: Vec<&str> = PARTS.iter().map(|part| part.0).collect();
    if let Some(unknown) = wanted.iter().find(|name| !known.contains(&name.as_str())) {
        eprintln!("bench: no part is called `{unknown}`; there are {}", known.join(", "));
        std::process::exit(2);
    }
    let mut rows = Vec::new();
    for (name, measure) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            rows.extend(measure(&dir));
        }
    }
    let _ = std::fs::remove_dir_all(&dir);
    print(&rows);
}

/// Where disks are written: `WROUGHT_BENCH_DIR`, else the bench's own folder. The same device for every figure.
fn scratch(dir: &Path) -> PathBuf {
    std::env::var_os("WROUGHT_BENCH_DIR").map_or_else(|| dir.to_owned(), PathBuf::from)
}

fn print(rows: &[Row]) {
    println!("\n  {:<52} {:>16}   beside", "measured", "figure");
    for row in rows {
        println!("  {:<52} {:>16}   {}", row.what, row.figure, row.beside);
    }
    println!();
}
