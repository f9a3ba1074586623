//! gophercloud, which Metal3's operator is built on, takes a host through its life with our conductor: a program in Go.

use std::path::Path;
use std::process::{Command, Stdio};

use tests::peers::ours::OurConductor;
use tests::peers::require_client;
use tests::story::{Stage, story_after};

/// Where Debian keeps the sources of Go's libraries.
const LIBRARIES: &str = "/usr/share/gocode";

/// A conductor of this program's hardware type. The whole life without a wait for a clock.
const CONFIGURATION: &str = r#"auth_strategy = "noauth"
enabled_hardware_types = ["fake-hardware"]
[conductor]
sync_power_state_interval = 0.0
"#;

#[test]
fn gophercloud_takes_a_host_through_its_life() {
    story_after(require_client, async |stage: Stage| {
        let program = built(&stage.dir);
        let base = format!("http://{}:6385", tests::network::CONDUCTOR);
        let address = format!("[api]\nhost_ip = \"{}\"\npublic_endpoint = \"{base}\"\n", tests::network::CONDUCTOR);
        let ours = OurConductor::start_configured(&stage.dir, &base, &format!("{CONFIGURATION}{address}")).await;
        let mut command = Command::new(program);
        let output = command.arg(format!("{base}/v1")).env_clear().stdin(Stdio::null()).output();
        let output = output.expect("the program runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.ends_with("the host is gone\n"),
            "{said}\n{}\n{}",
            String::from_utf8_lossy(&output.stderr),
            ours.process.said()
        );
    });
}

/// Compiles it, with Debian's own copy of the library: nothing is fetched.
fn built(dir: &Path) -> std::path::PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/peers/gophercloud/operator.go");
    let program = dir.join("operator");
    let output = Command::new("go")
        .arg("build")
        .arg("-o")
        .arg(&program)
        .arg(source)
        .env("GO111MODULE", "off")
        .env("GOPATH", LIBRARIES)
        .env("GOCACHE", dir.join("go-cache"))
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("go: {error}; run .ci/setup-peers"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}
