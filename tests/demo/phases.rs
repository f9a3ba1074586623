//! What the demo shows, phase by phase, and the table at its end.

use crate::door;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tests::console::Console;
use tests::machine::{Bus, GIB, Spec};
use tests::node::{Image, Node};
use tests::site::Site;
use tests::story::Stage;
use tests::{network, os_image, ramdisk};

/// Tells the inner process how long [`prepare`] took, seconds.
pub const PREPARED_VARIABLE: &str = "DEMO_PREPARED";
/// Names a file for the table, as JSON: phases and seconds.
const TABLE_VARIABLE: &str = "DEMO_TABLE";

/// One line of the table.
struct Row {
    phase: &'static str,
    seconds: f64,
    bytes: u64,
}

/// The table under construction.
#[derive(Default)]
struct Table(Vec<Row>);

impl Table {
    fn add(&mut self, phase: &'static str, since: Instant, bytes: u64) {
        self.put(phase, since.elapsed().as_secs_f64(), bytes);
    }

    fn put(&mut self, phase: &'static str, seconds: f64, bytes: u64) {
        println!("=== {phase}: {seconds:.1} s\n");
        self.0.push(Row { phase, seconds, bytes });
    }

    fn print(&self) {
        println!("  {:<34} {:>8} {:>12}", "phase", "seconds", "bytes");
        for row in &self.0 {
            let bytes = if row.bytes > 0 { row.bytes.to_string() } else { String::new() };
            println!("  {:<34} {:>8.1} {:>12}", row.phase, row.seconds, bytes);
        }
        let sum: f64 = self.0.iter().map(|row| row.seconds).sum();
        println!("  {:<34} {:>8.1}\n", "together", sum);
    }

    /// Leaves the table for the bench, if it asked for it.
    fn leave(&self) {
        let Some(path) = std::env::var_os(TABLE_VARIABLE) else { return };
        let rows: Vec<(&str, f64)> = self.0.iter().map(|row| (row.phase, row.seconds)).collect();
        let written = serde_json::to_string(&rows).map(|text| std::fs::write(&path, text));
        if !matches!(written, Ok(Ok(()))) {
            eprintln!("demo: the table could not be written to {}", path.display());
        }
    }
}

/// Builds what servers boot. In the outer process: in a fresh clone packages are downloaded, and inside there is no way out.
pub fn prepare() -> f64 {
    println!("Wrought: one virtual server, its BMC and its network, provisioned by a real conductor.\n");
    println!("--- preparing: deploy ramdisk and operating system image (kept for the next time)");
    let begun = Instant::now();
    ramdisk::build();
    os_image::os_image();
    begun.elapsed().as_secs_f64()
}

/// Plays everything; ends by itself without `keep`, else stays until it is killed.
pub async fn play(dir: PathBuf, keep: bool) -> ExitCode {
    let port = std::env::var(door::PORT_VARIABLE).unwrap_or_default();
    let mut table = Table::default();
    let files = ramdisk::ramdisk();
    let size = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |facts| facts.len());
    let ramdisk_bytes = size(&files.kernel) + size(&files.initramfs);
    let seconds = std::env::var(PREPARED_VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or_default();
    table.put("build ramdisk and image", seconds, ramdisk_bytes);

    let begun = Instant::now();
    println!("--- starting the conductor: API, boot services, state machine in one process");
    let site = Site::start(Stage { dir: dir.clone() }).await;
    let address = format!("{}:6385", network::CONDUCTOR);
    if let Err(error) = door::serve(&dir.join(door::SOCKET), address) {
        eprintln!("demo: the API cannot be passed through: {error}");
        return ExitCode::FAILURE;
    }
    table.add("start conductor", begun, 0);

    let begun = Instant::now();
    println!("--- enrolling a server with an IPMI BMC and checking its credentials");
    let node = site.enroll(Spec::uefi().disk(Bus::Nvme, "DEMO-NVME-1", 8 * GIB)).await;
    follow(node.machine().console().clone());
    node.verb("manage").await;
    node.reaches("manageable").await;
    table.add("enroll and verify", begun, 0);

    let begun = Instant::now();
    println!("--- inspecting: power on, network boot, the agent reports what the machine has");
    node.verb("inspect").await;
    node.reaches("manageable").await;
    table.add("inspect", begun, ramdisk_bytes);

    let begun = Instant::now();
    println!("--- providing: every disk is cleaned");
    node.verb("provide").await;
    node.reaches("available").await;
    table.add("clean", begun, ramdisk_bytes);

    let image = site.qcow2();
    deploy(&mut table, &node, &image, "first", "deploy", "deployed system answers").await;

    let begun = Instant::now();
    println!("--- releasing: the instance is torn down, the disks are cleaned");
    node.verb("deleted").await;
    node.reaches("available").await;
    table.add("release and clean", begun, ramdisk_bytes);

    deploy(&mut table, &node, &image, "second", "deploy again", "redeployed system answers").await;

    table.print();
    table.leave();
    if !keep {
        println!("The deployed system answered. Done.");
        return ExitCode::SUCCESS;
    }
    look_around(&port, &node, &dir);
    std::future::pending::<()>().await;
    ExitCode::SUCCESS
}

async fn deploy(table: &mut Table, node: &Node, image: &Image, host: &str, phase: &'static str, answer: &'static str) {
    let begun = Instant::now();
    let mark = node.machine().console().mark();
    println!("--- deploying {} ({} bytes) as `{host}`", image.name, image.bytes);
    node.deploy(image, host).await;
    node.reaches("active").await;
    table.add(phase, begun, image.bytes);
    let begun = Instant::now();
    let line = node.shows_since(mark, &format!("OS: ready host={host}")).await;
    println!("    the system says: {}", line.text);
    table.add(answer, begun, 0);
}

/// Prints the console as it comes.
fn follow(console: Console) {
    tokio::spawn(async move {
        let mut seen = console.mark();
        loop {
            if console.find(seen, "", Duration::from_secs(3600)).await.is_none() {
                continue;
            }
            for line in console.since(seen) {
                println!("    console | {line}");
                seen += 1;
            }
        }
    });
}

fn look_around(port: &str, node: &Node, dir: &std::path::Path) {
    println!("Look around until Ctrl-C:\n");
    println!("  API            http://127.0.0.1:{port}");
    println!("  console log    {}", node.machine().dir().join("console.log").display());
    println!("  conductor log  {}", dir.join("conductor/conductor.log").display());
    println!("  client         pip install python-ironicclient");
    println!("                 export OS_AUTH_TYPE=none OS_ENDPOINT=http://127.0.0.1:{port}");
    for line in [
        "baremetal node list",
        "baremetal node show node-0",
        "baremetal node history list node-0",
        "baremetal node inventory save node-0",
        "baremetal node reboot node-0",
        "baremetal node undeploy node-0 --wait",
    ] {
        println!("                 {line}");
    }
    println!();
}
