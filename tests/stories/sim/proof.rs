//! The proof of an erase: kept with the node's history when it holds, a failure when it does not.

use serde_json::{Value, json};
use std::process::Command;
use tests::sim::{Proof, Site};

fn erase() -> Value {
    json!({"clean_steps": [{"interface": "deploy", "step": "erase_devices"}]})
}

/// The line of the history that tells of the erase, as `GET /v1/nodes/{}/history/{}` shows it.
async fn line(site: &Site, node: &tests::sim::Node) -> Option<Value> {
    let list = site.api().get(&node.path("/history?detail=True")).await.expect(200);
    let lines = list["history"].as_array().expect("a list").clone();
    let line = lines.iter().find(|line| line["event_type"] == "erase")?;
    assert!(line.get("proof").is_none(), "lists stay short");
    let uuid = line["uuid"].as_str().expect("an identity");
    Some(site.api().get(&node.path(&format!("/history/{uuid}"))).await.expect(200))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_proof_is_kept_with_the_history_and_openssl_verifies_it() {
    let site = Site::start().await;
    let node = site.manageable().await;
    node.machine.faults(|faults| faults.proof = Some(Proof::Honest));
    node.ask_with("clean", erase()).await.expect(202);
    node.becomes("cleaning", |node| node["provision_state"] != "manageable").await;
    node.reaches("manageable").await;
    let line = line(&site, &node).await.expect("a line of type erase");
    let event = line["event"].as_str().unwrap_or_default();
    assert_eq!(
        event,
        "deploy.erase_devices: 1 disks erased: /dev/sda (SIM-1) overwrite; proven by the agent's signature"
    );
    let proof = &line["proof"];
    assert_eq!(proof["verified"], true);
    assert_eq!(proof["document"]["disks"][0]["read_back"]["verdict"], "pass");

    // Whoever has the line can verify it, years later, without us: docs/operating.md says how.
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, data: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, data).expect("a file");
        path
    };
    let kept = file("line.json", line.to_string().as_bytes());
    let script = "import base64,json,sys\n\
        proof=json.load(open(sys.argv[1]))['proof']\n\
        text=json.dumps(proof['document'],sort_keys=True,separators=(',',':'),ensure_ascii=False)\n\
        open(sys.argv[2]+'/document','w').write(text)\n\
        open(sys.argv[2]+'/signature','wb').write(base64.b64decode(proof['signature']['value']))\n\
        open(sys.argv[2]+'/agent.crt','w').write(proof['certificate'])\n";
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).current_dir(folder.path()).args(arguments).output().expect(program);
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    run("python3", &["-c", script, kept.to_str().expect("text"), folder.path().to_str().expect("text")]);
    let key = run("openssl", &["x509", "-in", "agent.crt", "-noout", "-pubkey"]);
    file("agent.pub", &key);
    run("openssl", &["dgst", "-sha384", "-verify", "agent.pub", "-signature", "signature", "document"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_that_was_changed_or_lost_its_signature_fails_the_cleaning() {
    let site = Site::start().await;
    for (kind, why) in [
        (Proof::Tampered, "its signature is not that of the agent's pinned certificate"),
        (Proof::Unsigned, "it is not signed"),
    ] {
        let node = site.manageable().await;
        node.machine.faults(|faults| faults.proof = Some(kind));
        node.ask("provide").await.expect(202);
        let shown = node.reaches("clean failed").await;
        let error = node.last_error().await;
        assert!(error.contains("proof of deploy.erase_devices does not hold") && error.contains(why), "{error}");
        assert_eq!(shown["fault"], "clean failure");
        assert!(line(&site, &node).await.is_none(), "what does not hold is not kept");
    }
}
