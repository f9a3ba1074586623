//! What the step takes and refuses, and one run on a disk of the test.

use super::checked;
use crate::step::{execute, offered_by, tests::context};
use crate::stream::test_server::Server;
use crate::sys::loop_device::LoopDevice;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::step::{Step, StepKind};
use serde_json::{Value, json};
use std::process::Command;

fn refusal(files: Value) -> String {
    checked(None, Some(&files)).err().map(|error| error.details).unwrap_or_default()
}

#[test]
fn every_mistake_is_told_at_once_and_no_content_is_repeated() {
    let files = json!([
        {"path": "/etc/a", "content": "c2VjcmV0", "color": 1},
        {"content": ""},
        {"path": "/root", "content": "c2VjcmV0"},
        {"path": "/etc/dir/", "content": ""},
        {"path": "/etc/b", "content": "c2VjcmV0", "deleted": true},
        {"path": "/etc/c", "content": "", "mode": "0644", "owner": -1, "group": 1.5, "dirmode": 0o10000},
        {"path": "/etc/d", "content": "", "partition": "sda1"},
        {"path": "/etc/e"},
        7
    ]);
    let text = refusal(files);
    for part in [
        "Validation of files failed: unexpected fields in /etc/a: color",
        "expected a path in file 2",
        "/root in root directory requires \"partition\"",
        "directories not supported for /etc/dir/",
        "content cannot be used with deleted in /etc/b",
        "mode must be a number in /etc/c",
        "owner must be a number in /etc/c",
        "group must be a number in /etc/c",
        "dirmode must be a number in /etc/c",
        "partition of /etc/d",
        "content must be text in /etc/e",
        "file 9 is no object",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("c2VjcmV0"));
    assert!(refusal(json!("x")).contains("must be a list") && checked(Some(&json!({})), None).is_err());
    assert!(
        refusal(
            json!([{"path": "/x", "partition": 1, "content": ""}, {"path": "/y", "deleted": true, "partition": "2"}])
        )
        .is_empty()
    );
    assert!(refusal(Value::Array(vec![json!({}); 1001])).contains("too many"));
}

#[test]
fn the_priority_is_the_operators() {
    let mut rules = context(vec![], json!({})).rules;
    rules.inject_files_priority = 55;
    for kind in [StepKind::Deploy, StepKind::Service] {
        let offered = offered_by(kind, &rules).to_value(kind).to_string();
        assert!(offered.contains("\"step\":\"inject_files\",\"interface\":\"deploy\",\"priority\":55"), "{offered}");
    }
}

#[test]
fn files_of_the_node_and_of_the_step_arrive() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Some(disk) = LoopDevice::new(64 << 20, 512) else { return };
    let path = disk.path().to_str().unwrap();
    let made = Command::new("sgdisk").args(["-n", "1:2048:0", path]).output().unwrap();
    assert!(made.status.success());
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("etc")).unwrap();
    let made = Command::new("mke2fs")
        .args(["-q", "-t", "ext4", "-E", "offset=1048576", "-d"])
        .arg(root.path())
        .arg(path)
        .arg("60m")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    let server = Server::new(b"from the server".to_vec()).start();
    let url = server.url("/image").replace("image", "{node[name]}");
    let node = json!({"name": "image", "properties": {"inject_files": [{"path": "/etc/one", "content": STANDARD.encode("first")}]},
        "instance_info": {"root_device": {"name": path}}});
    let context = context(vec![disk.path().to_path_buf()], node);
    let files = json!([{"path": "/etc/sub/two", "content": url, "mode": 0o600}, {"path": "/etc/one", "deleted": true, "partition": 1}]);
    let step = |files: Value| -> Step {
        serde_json::from_value(json!({"step": "inject_files", "interface": "deploy", "args": {"files": files}}))
            .unwrap()
    };
    assert_eq!(execute(StepKind::Deploy, &step(files), &context).unwrap(), Value::Null);
    let bytes = std::fs::read(disk.file()).unwrap();
    let copy = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(copy.path(), &bytes[1 << 20..]).unwrap();
    let ask = |order: &str| {
        let run = Command::new("debugfs").args(["-R", order]).arg(copy.path()).output().unwrap();
        String::from_utf8_lossy(&run.stdout).into_owned()
    };
    assert_eq!(ask("cat /etc/sub/two"), "from the server");
    assert!(!ask("ls -p /etc").contains("one"), "first injected, then deleted");

    let error =
        execute(StepKind::Deploy, &step(json!([{"path": "/etc/x", "content": "not base64!"}])), &context).unwrap_err();
    assert_eq!(error.kind, "CommandExecutionError");
    assert!(error.details.starts_with("Failed to process file /etc/x. "), "{error}");
    let error = execute(StepKind::Deploy, &step(json!([{"path": "/opt/x", "content": ""}])), &context).unwrap_err();
    assert_eq!((error.kind, error.code), ("DeviceNotFound", 404));
    let closed = crate::step::tests::context(vec![], json!({}));
    assert!(
        execute(StepKind::Deploy, &step(json!([{"path": "/etc/x", "content": ""}])), &closed).is_err(),
        "the gate is closed"
    );
}
