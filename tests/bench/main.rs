//! `make bench`: a table of measurements, each beside a baseline from the same run. Not a test: it asserts nothing.

mod boot;
mod images;
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

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    boot::inside();
    let dir = workspace::target().join(format!("lab/bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut rows = Vec::new();
    rows.extend(programs::conductor(&dir));
    rows.extend(programs::agent(&dir));
    rows.extend(programs::ramdisk());
    rows.extend(boot::rows(&dir));
    rows.extend(images::writes(&scratch(&dir)));
    rows.extend(boot::demo());
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
