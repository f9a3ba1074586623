//! Power-on to the first heartbeat, beside a ramdisk of nothing but busybox: same server, firmware, network and kernel.

use crate::Row;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tests::machine::{Bus, GIB, Spec};
use tests::node::PATIENCE;
use tests::os_image::os_image;
use tests::site::Site;
use tests::story::Stage;
use tests::{bare_ramdisk, needs, network, ramdisk, workspace, world};

/// Set for the process that lives in namespaces of its own: its folder.
const MARK: &str = "LAB_BENCH_DIR";
/// Written there by that process.
const RESULT: &str = "boot.json";
/// Boots of each; the quicker one counts, the machine has other work too.
const BOOTS: usize = 2;

/// Seconds of each ramdisk.
#[derive(serde::Serialize, serde::Deserialize)]
struct Boots {
    bare: f64,
    ours: f64,
}

/// In the inner process: measures, writes the result, ends. Elsewhere: nothing.
pub fn inside() {
    let Some(dir) = std::env::var_os(MARK) else { return };
    network::bring_up();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let boots = runtime.expect("a runtime").block_on(measure(Path::new(&dir)));
    let text = serde_json::to_string(&boots).expect("two numbers");
    std::fs::write(Path::new(&dir).join(RESULT), text).expect("the bench's folder can be written");
    std::process::exit(0);
}

/// The line of the table.
pub fn rows(dir: &Path) -> Vec<Row> {
    needs::require_lab();
    os_image();
    ramdisk::build();
    let me = std::env::current_exe().expect("the path of this program");
    let status = world::command(me).env(MARK, dir).stdin(Stdio::null()).status().expect("unshare (package util-linux)");
    assert!(status.success(), "the boots could not be measured");
    let text = std::fs::read_to_string(dir.join(RESULT)).expect("the result of the boots");
    let boots: Boots = serde_json::from_str(&text).expect("the result of the boots");
    vec![Row {
        what: "ramdisk: power-on to first heartbeat (BIOS, virtio)".into(),
        figure: format!("{:.1} s", boots.ours),
        beside: format!("bare busybox ramdisk {:.1} s, {:+.1} s; target +3 s", boots.bare, boots.ours - boots.bare),
    }]
}

/// The demo as users see it, phase by phase.
pub fn demo() -> Vec<Row> {
    let table = workspace::target().join(format!("lab/demo-table-{}.json", std::process::id()));
    let status = Command::new(workspace::own_program("demo"))
        .env("KEEP", "0")
        .env("DEMO_TABLE", &table)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .expect("the demo starts");
    assert!(status.success(), "the demo failed; run `make demo KEEP=0` to see why");
    let text = std::fs::read_to_string(&table).expect("the demo's table");
    let _ = std::fs::remove_file(&table);
    let phases: Vec<(String, f64)> = serde_json::from_str(&text).expect("the demo's table");
    let row = |(phase, seconds): &(String, f64)| Row::plain(&format!("demo: {phase}"), format!("{seconds:.1} s"));
    phases.iter().map(row).collect()
}

async fn measure(dir: &Path) -> Boots {
    let bare = bare_ramdisk::build(dir);
    let allowed: toml::Value = vec![dir.to_string_lossy().into_owned(), ramdisk_folder()].into();
    let site = Site::start_with(Stage { dir: dir.to_owned() }, &[("conductor.file_url_allowed_paths", allowed)]).await;
    let mut best = Boots { bare: f64::INFINITY, ours: f64::INFINITY };
    for _ in 0..BOOTS {
        best.bare = best.bare.min(boot(&site, Some(&bare)).await.as_secs_f64());
        best.ours = best.ours.min(boot(&site, None).await.as_secs_f64());
    }
    best
}

fn ramdisk_folder() -> String {
    ramdisk::ramdisk().kernel.parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned()
}

/// From the power switch to the report: of the bare ramdisk on its console, of ours in the conductor's record.
async fn boot(site: &Site, bare: Option<&Path>) -> Duration {
    let node = site.enroll(Spec::bios().disk(Bus::Virtio, "BENCH0", GIB)).await;
    if let Some(path) = bare {
        let kernel = format!("file://{}", ramdisk::ramdisk().kernel.display());
        node.set("/driver_info/deploy_kernel", kernel.into()).await;
        node.set("/driver_info/deploy_ramdisk", format!("file://{}", path.display()).into()).await;
    }
    node.verb("manage").await;
    node.reaches("manageable").await;
    let mark = node.machine().console().mark();
    node.verb("provide").await;
    node.shows_since(mark, "--- power on").await;
    let begun = Instant::now();
    match bare {
        Some(_) => drop(node.shows_since(mark, bare_ramdisk::REPORTED).await),
        None => {
            while node.show().await["driver_internal_info"]["agent_url"].is_null() {
                assert!(begun.elapsed() < PATIENCE, "no heartbeat:\n{}", node.machine().console().tail(40));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    let took = begun.elapsed();
    node.machine().power_off();
    took
}
