//! openstacksdk, which other tools are built on, works with our conductor: a short life, written in Python.

use std::path::Path;
use std::process::{Command, Stdio};

use tests::peers::ours::OurConductor;
use tests::peers::{require_client, venv};
use tests::story::{Stage, story_after};

#[test]
fn openstacksdk_connects_and_drives_a_node() {
    story_after(require_client, async |stage: Stage| {
        let ours = OurConductor::start(&stage.dir).await;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/peers/sdk_life.py");
        let output = Command::new(venv().join("bin/python"))
            .arg(script)
            .arg(&ours.api.base)
            .env_clear()
            .env("HOME", &stage.dir)
            .stdin(Stdio::null())
            .output()
            .expect("the interpreter of the virtual environment");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.ends_with("the node is gone\n"),
            "{said}\n{}\n{}",
            String::from_utf8_lossy(&output.stderr),
            ours.process.said()
        );
    });
}
