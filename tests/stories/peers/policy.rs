//! The fixture of policy decisions is what the real policy engine says.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tests::peers::{require_client, venv};
use tests::story::{Stage, story_after};

#[test]
fn the_fixture_is_what_the_real_policy_engine_says() {
    story_after(require_client, async |stage: Stage| {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        let output = Command::new(venv().join("bin/python"))
            .arg(fixtures.join("peers/policy_matrix.py"))
            .env_clear()
            .env("HOME", &stage.dir)
            .stdin(Stdio::null())
            .output()
            .expect("the interpreter of the virtual environment");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let kept = std::fs::read(fixtures.join("ironic/policy.json")).expect("the fixture");
        assert_eq!(said, serde_json::from_slice::<Value>(&kept).expect("JSON"));
    });
}
