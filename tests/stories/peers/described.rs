//! Programs that know nothing of us read the description of the API: one makes a client of it, one looks for answers that
//! are not as described.

use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};
use tests::peers::ours::OurConductor;
use tests::peers::{api_tool, require_api_tools};
use tests::story::{Stage, story_after};

/// Cases for each call in each phase.
const CASES: &str = "15";

/// What is held against every answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

fn run(program: &str, line: &[&str], folder: &Path) -> String {
    let output = Command::new(api_tool(program))
        .args(line)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {}\n{text}", line.join(" "));
    text
}

#[test]
fn a_client_that_is_generated_from_the_description_compiles_and_has_every_call() {
    story_after(require_api_tools, async |stage: Stage| {
        let document = conductor::api::openapi::document();
        let file = stage.dir.join("openapi.json");
        std::fs::write(&file, document.to_string()).unwrap();
        let line = ["generate", "--path", "openapi.json", "--meta", "none", "--output-path", "stubs"];
        let said = run("openapi-python-client", &line, &stage.dir);
        assert!(!said.contains("ERROR"), "{said}");
        run("python", &["-m", "compileall", "-q", "stubs"], &stage.dir);
        let mut calls = 0;
        for folder in std::fs::read_dir(stage.dir.join("stubs/api")).unwrap() {
            let folder = folder.unwrap().path();
            if folder.is_dir() {
                let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
                let files = files.filter_map(|name| name.into_string().ok());
                calls += files.filter(|name| name.ends_with(".py") && name != "__init__.py").count();
            }
        }
        let paths = document["paths"].as_object().unwrap().values();
        let described: usize = paths.map(|path| path.as_object().unwrap().len()).sum();
        assert_eq!(calls, described, "{said}");
    });
}

#[test]
fn no_answer_is_a_failure_of_ours_or_other_than_described() {
    story_after(require_api_tools, async |stage: Stage| {
        let ours = OurConductor::start(&stage.dir).await;
        let http = reqwest::Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
        let body = json!({"driver": "fake-hardware", "name": "fuzzed"});
        let request =
            http.post(format!("{}/v1/nodes", ours.api.base)).header("X-OpenStack-Ironic-API-Version", "1.115");
        assert_eq!(request.json(&body).send().await.unwrap().status(), 201);
        // Half the calls are about a node that exists, and speak the newest version: guesses would only find 404 and 406.
        let known = "[parameters]\n\"path.node_ident\" = \"fuzzed\"\n\"path.driver_name\" = \"fake-hardware\"\n\
            \"header.X-OpenStack-Ironic-API-Version\" = \"1.115\"\n";
        std::fs::write(stage.dir.join("known.toml"), known).unwrap();
        std::fs::write(stage.dir.join("unknown.toml"), "").unwrap();
        let address = format!("{}/openapi.json", ours.api.base);
        for (file, phases) in [("known.toml", "coverage,fuzzing"), ("unknown.toml", "fuzzing")] {
            let file = format!("--config-file={file}");
            let line = ["run", &address, "--checks", CHECKS, "--phases", phases, "--max-examples", CASES];
            // A stream has no end: it has its own stories.
            let rest = ["--exclude-path", "/v1/events", "--request-timeout", "20", "--seed", "1", "--no-color"];
            let said = run("st", &[&[file.as_str()], &line[..], &rest].concat(), &stage.dir);
            assert!(said.contains(" passed"), "{said}");
        }
    });
}
