//! Burn-ins end to end: short ones on this machine, with files in place of disks and loopback in place of a network.

use crate::step::{StepContext, execute, tests};
use common::step::{Step, StepKind};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

fn step(name: &str) -> Step {
    serde_json::from_value(json!({"step": name, "interface": "deploy"})).unwrap()
}

/// Burn-ins are for ramdisks; here they are allowed by name.
fn context(allow_erase: Vec<std::path::PathBuf>, node: Value) -> StepContext {
    let mut context = tests::context(allow_erase, node);
    let names = ["cpu", "memory", "disk", "network", "gpu"];
    context.rules.allow_steps = names.map(|name| format!("burnin_{name}")).to_vec();
    context
}

fn burn(name: &str, info: Value) -> Result<Value, crate::step::StepError> {
    execute(StepKind::Clean, &step(name), &context(vec![], json!({ "driver_info": info })))
}

#[test]
fn a_processor_and_its_memory_pass_and_leave_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report");
    burn(
        "burnin_cpu",
        json!({"agent_burnin_cpu_timeout": 1, "agent_burnin_cpu_cpu": 2, "agent_burnin_cpu_outputfile": file}),
    )
    .unwrap();
    let memory = json!({"agent_burnin_vm_timeout": "1s", "agent_burnin_vm_vm": "1", "agent_burnin_vm_vm-bytes": "8m", "agent_burnin_vm_outputfile": file});
    burn("burnin_memory", memory).unwrap();
    let report = std::fs::read_to_string(&file).unwrap();
    assert!(report.contains("cpu: 2 workers") && report.contains("memory: 1 workers of 8 MiB"), "{report}");
    assert!(!report.contains(" 0 rounds"), "{report}");
}

#[test]
fn settings_that_make_no_sense_are_told_by_name() {
    for (name, info, words) in [
        ("burnin_cpu", json!({"agent_burnin_cpu_timeout": "soon"}), "agent_burnin_cpu_timeout"),
        ("burnin_memory", json!({"agent_burnin_vm_vm-bytes": "all"}), "agent_burnin_vm_vm-bytes"),
        ("burnin_disk", json!({"agent_burnin_fio_disk_loops": "x"}), "agent_burnin_fio_disk_loops"),
        ("burnin_network", json!({}), "agent_burnin_fio_network_config is missing"),
        (
            "burnin_network",
            json!({"agent_burnin_fio_network_config": {"role": "both", "partner": "h"}}),
            "unknown role: both",
        ),
        ("burnin_network", json!({"agent_burnin_fio_network_config": {"role": "reader"}}), "failed to find partner"),
        ("burnin_gpu", json!({"agent_burnin_gpu_memory": "--help"}), "agent_burnin_gpu_memory"),
    ] {
        let error = burn(name, info).unwrap_err();
        assert!(error.kind == "CleaningError" && error.details.contains(words), "{error:?}");
    }
}

#[test]
fn a_stopped_burn_in_has_not_passed() {
    let context = context(vec![], json!({"driver_info": {"agent_burnin_cpu_cpu": 1}}));
    context.progress.cancel();
    let error = execute(StepKind::Clean, &step("burnin_cpu"), &context).unwrap_err();
    assert!(error.details.contains("stopped before its end"), "{error}");
}

#[test]
fn disks_are_written_and_read_back_and_those_on_the_skip_list_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let make = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, vec![7; 6 << 20]).unwrap();
        path.canonicalize().unwrap()
    };
    let (burnt, kept) = (make("burnt"), make("kept"));
    let report = folder.path().join("report");
    let node = json!({
        "driver_info": {"agent_burnin_fio_disk_loops": 2, "agent_burnin_fio_disk_outputfile": report},
        "properties": {"skip_block_devices": [{"name": kept}]},
    });
    let context = context(vec![burnt.clone(), kept.clone()], node);
    execute(StepKind::Clean, &step("burnin_disk"), &context).unwrap();
    assert_eq!(std::fs::read(&kept).unwrap(), vec![7; 6 << 20], "a disk on the skip list was written");
    let data = std::fs::read(&burnt).unwrap();
    assert!(data.iter().filter(|&&byte| byte == 7).count() < data.len() / 100, "the disk was not written");
    let text = std::fs::read_to_string(&report).unwrap();
    assert!(text.contains("12 MiB written and read back, 2 times the whole disk"), "{text}");
    assert_eq!(context.progress.to_value()["percent"], 100);
    let none =
        super::tests::context(vec![kept.clone()], json!({"properties": {"skip_block_devices": [{"name": kept}]}}));
    assert_eq!(execute(StepKind::Clean, &step("burnin_disk"), &none).unwrap_err().kind, "DeviceNotFound");
}

#[test]
fn gpu_burn_is_run_where_it_lies_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("gpu_burn");
    std::fs::write(&program, "#!/bin/sh\necho \"$PWD $*\" >> calls\necho 'ID 0: card'\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let info = |count: u64| json!({"agent_burnin_gpu_install_dir": folder.path(), "agent_burnin_gpu_count": count, "agent_burnin_gpu_timeout": 5});
    burn("burnin_gpu", info(1)).unwrap();
    let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap();
    let place = folder.path().canonicalize().unwrap();
    assert_eq!(calls, format!("{0} -l\n{0} -m 95% 5\n", place.display()));
    let error = burn("burnin_gpu", info(2)).unwrap_err();
    assert!(error.details.contains("1 found but 2 expected"), "{error}");
    let error = burn("burnin_gpu", json!({"agent_burnin_gpu_install_dir": "/no/such/place"})).unwrap_err();
    assert!(error.kind == "CommandExecutionError" && error.details.contains("not installed"), "{error}");
}
