//! A folder of steps: what is offered, what is run, and everything that is refused.

use super::{Folder, description, load};
use crate::step::provider::{Managers, Offered};
use crate::step::tests::context;
use common::step::{Step, StepKind};
use proptest::prelude::proptest;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

const FLASH: &str = r#"
[[step]]
name = "flash_widget"
program = "flash-widget"
interface = "firmware"
clean = 0
deploy = 85
reboot_requested = true
timeout = 5
[step.args.version]
type = "string"
description = "Which firmware"
required = true
[step.args.slots]
type = "list"
description = "Which slots"
"#;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn toml(&self, name: &str, text: &str) -> &Place {
        fs::write(self.path().join(name), text).unwrap();
        self.mode(name, 0o644)
    }

    fn program(&self, name: &str, script: &str) -> &Place {
        fs::write(self.path().join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
        self.mode(name, 0o755)
    }

    fn mode(&self, name: &str, mode: u32) -> &Place {
        fs::set_permissions(self.path().join(name), PermissionsExt::from_mode(mode)).unwrap();
        self
    }

    fn load(&self) -> Option<Folder> {
        load(self.path(), &["erase_devices"])
    }

    fn names(&self) -> Vec<String> {
        self.load().map(|folder| folder.steps.iter().map(|step| step.name().to_owned()).collect()).unwrap_or_default()
    }
}

fn order(args: Value) -> Step {
    serde_json::from_value(json!({"step": "flash_widget", "interface": "firmware", "args": args})).unwrap()
}

fn run(place: &Place, args: Value) -> Result<Value, String> {
    let folder = place.load().unwrap();
    let node = json!({"uuid": "u", "instance_info": {"configdrive": "secret", "image_source": "x"}});
    let context = context(vec![], node);
    let result = folder.steps[0].run(StepKind::Clean, &order(args), &context);
    result.map_err(|error| {
        error.details.strip_prefix("Unexpected exception performing clean step flash_widget. ").unwrap().to_owned()
    })
}

#[test]
fn a_declared_step_is_offered_by_a_manager_of_its_own_with_its_own_version() {
    let place = Place::new();
    place.toml("widget.toml", FLASH).program("flash-widget", "cat");
    let tree = crate::sys::test_tree::TestTree::new();
    let offered = Managers::find(&tree.roots(), place.path(), "/nowhere".as_ref()).offered(StepKind::Deploy);
    let step = &offered.steps["DeclaredStepsHardwareManager"][0];
    assert_eq!((step.step.as_str(), step.interface.as_str(), step.priority), ("flash_widget", "firmware", Some(85)));
    assert_eq!((step.reboot_requested, step.abortable), (Some(true), None));
    assert!(step.argsinfo.as_ref().unwrap()["version"].required);
    let version = offered.hardware_manager_version["declared_steps"].clone();
    assert_eq!(version.len(), 16);
    assert!(
        !Managers::find(&tree.roots(), place.path(), "/nowhere".as_ref())
            .offered(StepKind::Service)
            .steps
            .contains_key("DeclaredStepsHardwareManager")
    );
    place.program("flash-widget", "cat -");
    let changed = Managers::find(&tree.roots(), place.path(), "/nowhere".as_ref()).versions()["declared_steps"].clone();
    assert_ne!(version, changed, "running plans start anew when a program changes");
}

#[test]
fn arguments_go_in_as_json_and_the_result_comes_out_as_json() {
    let place = Place::new();
    place.toml("widget.toml", FLASH).program("flash-widget", "echo 'progress: half done' >&2; echo noise >&2; cat");
    let result = run(&place, json!({"version": "1; reboot"})).unwrap();
    assert_eq!(
        (&result["args"], &result["step"], &result["kind"]),
        (&json!({"version": "1; reboot"}), &json!("flash_widget"), &json!("clean"))
    );
    assert_eq!(
        result["node"],
        json!({"uuid": "u", "instance_info": {"image_source": "x"}}),
        "without the tenant's config drive"
    );
    let folder = place.load().unwrap();
    let context = context(vec![], json!({}));
    folder.steps[0].run(StepKind::Clean, &order(json!({})), &context).unwrap();
    assert!(context.progress.to_value().to_string().contains("half done"), "{}", context.progress.to_value());
    place.program("flash-widget", "true");
    assert_eq!(run(&place, json!({})), Ok(Value::Null));
}

#[test]
fn programs_are_bounded_and_their_failures_told() {
    let place = Place::new();
    place.toml("widget.toml", &FLASH.replace("timeout = 5", "timeout = 1"));
    for (script, said) in [
        ("echo broken widget >&2; exit 3", "ProcessExecutionError: `"),
        ("echo broken widget >&2; exit 3", "broken widget"),
        ("sleep 30", "TimeoutError: "),
        ("yes", "TimeoutError: "),
        ("head -c 2000000 /dev/zero", "ValueError: the program said more than"),
        ("echo not json", "ValueError: the program's standard output is no JSON document"),
    ] {
        place.program("flash-widget", script);
        let error = run(&place, json!({})).unwrap_err();
        assert!(error.contains(said), "{script}: {error}");
    }
    place.program("flash-widget", "true");
    let folder = place.load().unwrap();
    place.program("flash-widget", "true # another one");
    let error = folder.steps[0].run(StepKind::Clean, &order(json!({})), &context(vec![], json!({}))).unwrap_err();
    assert!(error.details.contains("was changed after the agent had started"), "{error}");
}

#[test]
fn arguments_are_checked_by_name_and_type() {
    let place = Place::new();
    place.toml("widget.toml", FLASH).program("flash-widget", "true");
    let folder = place.load().unwrap();
    let check = |args: Value| folder.steps[0].check(&order(args));
    assert_eq!(check(json!({"version": "1", "slots": [1]})), Ok(()));
    assert_eq!(check(json!({"version": "1", "slots": null})), Ok(()));
    for (args, text) in [
        (json!({}), "needs the argument 'version'"),
        (json!(null), "needs the argument 'version'"),
        (json!({"version": 1}), "must be of type String"),
        (json!({"version": "1", "slots": "all"}), "must be of type List"),
        (json!({"version": "1", "force": true}), "unexpected keyword argument 'force'"),
    ] {
        let error = check(args.clone()).unwrap_err();
        assert!(error.contains(text), "{args}: {error}");
    }
}

#[test]
fn what_is_unsafe_or_wrong_is_not_offered_and_the_rest_is() {
    let place = Place::new();
    let step = |name: &str, program: &str| format!("[[step]]\nname = \"{name}\"\nprogram = \"{program}\"\nclean = 0\n");
    place.program("good", "true").program("open", "true").program("plain", "true");
    place.mode("open", 0o777).mode("plain", 0o644);
    symlink("/bin/true", place.path().join("link")).unwrap();
    place.toml("a.toml", &step("fine", "good")).toml("b.toml", &step("erase_devices", "good"));
    place.toml("c.toml", &step("fine", "good")).toml("d.toml", &step("reboot", "good"));
    place.toml("e.toml", &step("open_one", "open")).toml("f.toml", &step("plain_one", "plain"));
    place.toml("g.toml", &step("link_one", "link")).toml("h.toml", &step("gone_one", "gone"));
    place.toml("i.toml", &step("up", "../good")).toml("j.toml", &step("Bad Name", "good"));
    place.toml("k.toml", "step = 7").toml("l.toml", &[b'\xff'; 9].iter().map(|_| "\u{fffd}").collect::<String>());
    place.toml("m.toml", &step("unknown_key", "good").replace("clean", "cleen"));
    place.toml("n.toml", &format!("{}interface = \"boot\"\n", step("odd_interface", "good")));
    place.toml("o.toml", &format!("{}timeout = 0\n", step("no_time", "good")));
    place
        .toml("p.toml", &step("also_fine", "good"))
        .toml("q.toml", &step("writable_file", "good"))
        .mode("q.toml", 0o666);
    place.toml("r.txt", &step("no_toml", "good"));
    place.toml("s.toml", &step("nowhere", "good").replace("clean = 0", ""));
    assert_eq!(place.names(), ["fine", "also_fine"]);
    place.mode(".", 0o777);
    assert_eq!(place.names(), [""; 0], "a folder that others may write to");
    assert!(load(Path::new("/nowhere/steps.d"), &[]).is_none());
}

proptest! {
    #[test]
    fn any_text_is_taken_or_refused(text: String, name in "\\PC{0,70}", time in 0u64..u64::MAX) {
        let _ = description::read(Path::new("x.toml"), &text);
        let text = format!("[[step]]\nname = {:?}\nprogram = \"x\"\nclean = 0\ntimeout = {time}\n", name);
        if let Ok(steps) = description::read(Path::new("x.toml"), &text) {
            assert!(!steps[0].name.is_empty() && steps[0].timeout <= 7 * 24 * 3600);
        }
    }
}
