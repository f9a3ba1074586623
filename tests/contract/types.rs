//! Every captured message is read into our type and written again, and nothing of it is lost or changed.

use crate::{fixture, fixtures};
use common::command::{AgentStatus, CommandList, CommandRequest, CommandResult, Fault};
use common::heartbeat::{ApiRoot, Heartbeat, InspectionData, LookupReply};
use common::image_ref::ImageInfo;
use common::step::{OfferedSteps, Step, StepKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Key order does not count, everything else does.
fn same<T: DeserializeOwned + Serialize>(name: &str, captured: &Value) -> T {
    let read: T = serde_json::from_value(captured.clone()).unwrap_or_else(|cause| panic!("{name}: {cause}"));
    let written = serde_json::to_value(&read).unwrap();
    assert_eq!(&written, captured, "{name}");
    read
}

#[test]
fn look_up_answers() {
    let first: LookupReply = same("first", &fixture("ironic/lookup.json"));
    let config = first.config.unwrap();
    assert!(config.heartbeat_timeout == 300 && config.agent_token.unwrap().is_usable());
    let again: LookupReply = same("again", &fixture("ironic/lookup_again.json"));
    assert!(again.config.unwrap().agent_token.unwrap().is_mask());
}

#[test]
fn version_documents() {
    let root: ApiRoot = serde_json::from_value(fixture("ironic/root.json")).unwrap();
    assert!(root.default_version.version.starts_with("1."), "{root:?}");
}

#[test]
fn heartbeats_and_inspection_data() {
    let beat: Heartbeat = same("heartbeat", &fixture("ipa/heartbeat.json"));
    assert!(beat.agent_token.unwrap().is_usable());
    let data: InspectionData = same("inspection", &fixture("ipa/continue_inspection.json"));
    assert!(data.error.is_none() && data.plugin_data.contains_key("configuration"));
}

#[test]
fn results_of_commands() {
    let mut seen = 0;
    for name in fixtures("ipa") {
        let captured = fixture(&name);
        if captured.get("command_status").is_some() {
            same::<CommandResult>(&name, &captured);
            seen += 1;
        }
    }
    assert!(seen >= 12, "only {seen} results were captured");
    let list: CommandList = same("list", &fixture("ipa/commands.json"));
    assert!(list.commands.iter().any(|result| result.command_name == "install_bootloader"));
    same::<CommandList>("empty list", &fixture("ipa/commands_empty.json"));
    same::<AgentStatus>("status", &fixture("ipa/status.json"));
}

#[test]
fn offered_steps() {
    for kind in [StepKind::Clean, StepKind::Deploy, StepKind::Service] {
        let captured = fixture(&format!("ipa/get_{}_steps.json", kind.word()));
        let captured = &captured["command_result"];
        let read = OfferedSteps::from_value(kind, captured).unwrap();
        assert_eq!(&read.to_value(kind), captured, "{kind:?}");
        assert!(read.hardware_manager_version.contains_key("generic_hardware_manager"));
    }
}

#[test]
fn commands_of_the_conductor() {
    let mut seen = Vec::new();
    for name in fixtures("ironic").into_iter().filter(|name| name.contains("/request_")) {
        let captured = fixture(&name);
        assert_eq!((&captured["method"], &captured["path"]), (&json!("POST"), &json!("/v1/commands/")), "{name}");
        let command: CommandRequest = same(&name, &captured["body"]);
        if let Some(step) = command.params.get("step") {
            let step: Step = same(&name, step);
            if let Some(info) = step.args.and_then(|args| args.get("image_info").cloned()) {
                let info: ImageInfo = same(&name, &info);
                assert!(!info.id.is_empty() && !info.urls.is_empty());
            }
        }
        seen.push(command.name);
    }
    for name in
        ["clean.get_clean_steps", "clean.execute_clean_step", "deploy.execute_deploy_step", "image.install_bootloader"]
    {
        assert!(seen.iter().any(|seen| seen == name), "{name} was not captured: {seen:?}");
    }
}

#[test]
fn errors_of_the_agent() {
    for error in fixture("ipa/errors.json").as_array().unwrap() {
        let request = error["request"].as_str().unwrap();
        if error["status"].as_u64() >= Some(400) {
            let fault: Fault = same(request, &error["body"]);
            assert_eq!(fault.faultcode == "Server", error["status"].as_u64() >= Some(500), "{request}");
        }
    }
}
