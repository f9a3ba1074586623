//! The rules of agent-protocol section 6.3, as tests.

use super::*;
use crate::config::Config;
use serde_json::{Map, json};

fn commands() -> Commands {
    Commands::new(Facts::new(&Config::default(), vec![]), Power::Kernel)
}

fn request(name: &str, params: Value) -> CommandRequest {
    CommandRequest { name: name.into(), params: params.as_object().cloned().unwrap_or_default() }
}

#[tokio::test]
async fn sync_commands_end_with_their_answer_and_keep_their_order() {
    let commands = commands();
    let first = commands
        .run(request("clean.get_clean_steps", json!({"node": {"uuid": "n"}, "ports": []})), false)
        .await
        .unwrap();
    assert_eq!((first.command_name.as_str(), first.command_status), ("get_clean_steps", CommandStatus::Succeeded));
    assert!(first.command_result.unwrap().get("hardware_manager_version").is_some());
    assert_eq!(commands.facts().node()["uuid"], "n");
    commands.run(request("deploy.get_deploy_steps", json!({})), true).await.unwrap();
    let names: Vec<String> = commands.list().commands.into_iter().map(|result| result.command_name).collect();
    assert_eq!(names, ["get_clean_steps", "get_deploy_steps"]);
}

#[tokio::test]
async fn what_is_refused_is_not_recorded() {
    let commands = commands();
    for (name, params, wanted) in [
        ("nodot", json!({}), Refused::NoDot),
        ("clean.foo", json!({}), Refused::UnknownCommand("foo".into())),
        ("foo.bar", json!({}), Refused::NoExtension("foo".into())),
        ("poll.set_node_info", json!({"node_info": {}}), Refused::NotStandalone),
        ("clean.execute_clean_step", json!({}), Refused::Params("`step` is missing".into())),
        (
            "standby.prepare_image",
            json!({"image_info": {"id": "../x", "urls": ["http://h/x"]}}),
            Refused::Params("`image_info` has an `id` that is no plain name".into()),
        ),
    ] {
        assert_eq!(commands.run(request(name, params), false).await.unwrap_err(), wanted);
    }
    assert!(commands.list().commands.is_empty());
}

#[tokio::test]
async fn an_unknown_step_fails_with_an_error_object_and_rings() {
    let commands = commands();
    let params = json!({"step": {"step": "no_such_step", "interface": "deploy"}, "node": {}, "ports": []});
    let done = commands.run(request("service.execute_service_step", params), true).await.unwrap();
    assert_eq!(done.command_status, CommandStatus::Failed);
    assert_eq!(done.command_result, None);
    assert!(done.command_error.unwrap().details.contains("no_such_step"));
    tokio::time::timeout(std::time::Duration::from_secs(5), commands.bell()).await.expect("the bell rings");
}

#[tokio::test]
async fn another_agents_version_is_a_mismatch() {
    let commands = commands();
    let params =
        json!({"step": {"step": "erase_devices", "interface": "deploy"}, "node": {}, "clean_version": {"other": "9"}});
    let done = commands.run(request("clean.execute_clean_step", params), true).await.unwrap();
    assert_eq!(serde_json::to_value(done.command_status).unwrap(), "CLEAN_VERSION_MISMATCH");
    assert_eq!(done.command_error.unwrap().kind, "VersionMismatch");
}

static SLOW: Row =
    Row { extension: "test", name: "slow", kind: Kind::Async, check: |_| Ok(()), run: slow, beside: false };

fn slow(call: &Call) -> Result<Value, Failure> {
    while !call.progress.is_cancelled() {
        std::thread::yield_now();
    }
    panic!("the {} is over", "show");
}

#[tokio::test]
async fn while_one_runs_the_rest_is_told_to_come_later_and_a_panic_is_an_error_object() {
    let commands = commands();
    let call = Call { id: "1".into(), params: Map::new(), progress: Default::default(), agent: commands.clone() };
    let progress = call.progress.clone();
    commands.0.board.accept("1", "slow", progress.clone());
    let agent = commands.clone();
    spawn("slow", move || agent.0.board.finish("1", carry_out(&SLOW, &call))).unwrap();
    let busy = commands.run(request("standby.sync", json!({})), false).await.unwrap_err();
    assert_eq!((busy.code(), busy.to_string().as_str()), (409, "Agent is busy: executing command slow"));
    // A bundle of logs can be had all the same, and does not hide the command that runs.
    let logs = commands.run(request("log.collect_system_logs", json!({})), true).await.unwrap();
    assert!(logs.command_result.unwrap()["system_logs"].as_str().is_some_and(|bundle| bundle.len() > 1000));
    let names: Vec<String> = commands.list().commands.into_iter().map(|result| result.command_name).collect();
    assert_eq!(names, ["slow"]);
    progress.cancel();
    let done = commands.get("1", true).await.unwrap();
    assert_eq!(done.command_status, CommandStatus::Failed);
    assert_eq!(done.command_error.unwrap().details, "the agent's code panicked: the show is over");
    commands.run(request("standby.get_partition_uuids", json!({})), false).await.unwrap();
}

#[tokio::test]
async fn this_machine_is_not_switched_off() {
    assert!(!crate::sys::ramdisk::root_is_ramdisk(), "run tests on a system with a disk");
    let commands = commands();
    for name in ["standby.power_off", "standby.run_image"] {
        let done = commands.run(request(name, json!({})), true).await.unwrap();
        let error = done.command_error.unwrap();
        assert_eq!((error.kind.as_str(), done.command_status), ("SystemRebootError", CommandStatus::Failed));
        assert!(error.details.contains("not a ramdisk"), "{}", error.details);
    }
}

#[tokio::test]
async fn the_machine_ends_after_the_answer_has_left_and_by_nobody_but_main() {
    let commands = Commands::new(Facts::new(&Config::default(), vec![]), Power::Program("/nowhere".into()));
    let started = commands.run(request("standby.run_image", json!({})), false).await.unwrap();
    assert_eq!(started.command_status, CommandStatus::Running);
    commands.answered(&started.id);
    assert_eq!(commands.ended().await, Ending::Machine(End::Reboot));
    let done = commands.get(&started.id, true).await.unwrap();
    assert_eq!((done.command_status, done.command_error), (CommandStatus::Succeeded, None));
    let rung = tokio::time::timeout(std::time::Duration::from_millis(50), commands.bell()).await;
    assert!(rung.is_err(), "a machine that goes beats no more");
    commands.forget();
    assert!(commands.list().commands.is_empty());
}

#[tokio::test]
async fn a_flow_ends_with_the_machine() {
    let commands = Commands::new(Facts::new(&Config::default(), vec![]), Power::Program("/nowhere".into()));
    let flow = json!({"flow": [{"standby.power_off": {}}, {"rescue.finalize_rescue": {"rescue_password": "x"}}]});
    let started = commands.run(request("flow.start_flow", flow), false).await.unwrap();
    commands.answered(&started.id);
    let done = commands.get(&started.id, true).await.unwrap();
    assert_eq!(done.command_status, CommandStatus::Succeeded, "nothing after it is run: {:?}", done.command_error);
    assert_eq!(commands.ended().await, Ending::Machine(End::PowerOff));
}
