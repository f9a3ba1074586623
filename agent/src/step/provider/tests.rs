//! Which managers a machine has, and which step counts when two have one name.

use super::{BUILT_IN, MAINLINE, Managers, Offered, Present, Reach};
use crate::step::tests::context;
use crate::step::{StepContext, StepError};
use crate::sys::ramdisk::root_is_ramdisk;
use crate::sys::test_tree::TestTree;
use common::step::{Step, StepKind};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

struct Fake(&'static str, i64);

impl Offered for Fake {
    fn name(&self) -> &str {
        self.0
    }

    fn step(&self, _: StepKind) -> Option<Step> {
        serde_json::from_value(json!({"step": self.0, "interface": "deploy", "priority": self.1})).ok()
    }

    fn check(&self, _: &Step) -> Result<(), String> {
        Ok(())
    }

    fn run(&self, _: StepKind, _: &Step, _: &StepContext) -> Result<Value, StepError> {
        Ok(json!(self.1))
    }
}

fn fake(class: &str, level: u8, steps: Vec<Fake>) -> Present {
    let steps = steps.into_iter().map(|step| Box::new(step) as Box<dyn Offered>).collect();
    Present { class: class.into(), name: class.to_lowercase(), version: "1".into(), level, steps }
}

#[test]
fn level_then_priority_then_alphabet_decides_and_the_same_step_is_run() {
    let managers = Managers(vec![
        fake("C", 3, vec![Fake("a", 1)]),
        fake("A", 2, vec![Fake("a", 9), Fake("b", 5), Fake("c", 5)]),
        fake("B", 2, vec![Fake("b", 7), Fake("c", 5)]),
    ]);
    let offered = managers.offered(StepKind::Clean);
    let names: BTreeMap<&str, Vec<&str>> = offered
        .steps
        .iter()
        .map(|(class, steps)| (class.as_str(), steps.iter().map(|step| step.step.as_str()).collect()))
        .collect();
    assert_eq!(names, BTreeMap::from([("A", vec!["c"]), ("B", vec!["b"]), ("C", vec!["a"])]));
    assert_eq!(offered.hardware_manager_version.len(), 3);
    let run = |name: &str| {
        let step = serde_json::from_value(json!({"step": name, "interface": "deploy"})).unwrap();
        let mut context = context(vec![], json!({}));
        context.rules.allow_steps = ["a", "b", "c"].map(String::from).to_vec();
        managers.execute(StepKind::Clean, &step, &context)
    };
    assert_eq!((run("a").unwrap(), run("b").unwrap(), run("c").unwrap()), (json!(1), json!(7), json!(5)));
    assert_eq!(run("d").unwrap_err().kind, "HardwareManagerMethodNotFound");
}

#[test]
fn a_machine_has_the_managers_of_its_hardware() {
    let nowhere = Path::new("/nowhere/steps.d");
    let names = |tree: &TestTree| Managers::find(&tree.roots(), nowhere, nowhere).versions();
    let tree = TestTree::new();
    tree.interface("eth0", 2, "02:00:00:00:00:01", "sys/devices/pci/0000:00:05.0");
    assert_eq!(names(&tree), BTreeMap::from([("generic_hardware_manager".into(), "1.2".into())]));
    tree.file("sys/devices/pci/0000:00:05.0/vendor", "0x15b3\n");
    assert_eq!(names(&tree).get("MellanoxDeviceHardwareManager").map(String::as_str), Some("1"));
    tree.folder("sys/module/i40e").link("sys/bus/pci/drivers/i40e/module", "sys/module/i40e");
    tree.interface("eth1", 3, "02:00:00:00:00:02", "sys/devices/pci/0000:00:06.0");
    tree.link("sys/devices/pci/0000:00:06.0/driver", "sys/bus/pci/drivers/i40e");
    assert_eq!(names(&tree).get("IntelCnaHardwareManager").map(String::as_str), Some("1.0"));
    let managers = Managers::find(&tree.roots(), nowhere, nowhere);
    assert_eq!(managers.0.iter().map(|manager| manager.level).collect::<Vec<_>>(), [MAINLINE, MAINLINE, 1]);
    let steps = managers.offered(StepKind::Service).steps;
    let mine: Vec<&str> = steps["MellanoxDeviceHardwareManager"].iter().map(|step| step.step.as_str()).collect();
    assert_eq!(mine, ["update_nvidia_nic_firmware_image", "update_nvidia_nic_firmware_settings"]);
    let step = &steps["MellanoxDeviceHardwareManager"][0];
    assert_eq!((step.priority, step.reboot_requested, step.abortable), (Some(0), Some(true), None));
    assert!(step.argsinfo.as_ref().unwrap()["images"].required);
    assert!(!steps.contains_key("IntelCnaHardwareManager"), "it has no steps");
}

#[test]
fn code_of_others_and_firmware_are_kept_from_a_machine_that_is_no_ramdisk() {
    let reach = |offer: &dyn Offered| offer.reach();
    assert_eq!(reach(&Fake("declared", 0)), Reach::Anything, "declared steps and those of the ramdisk's containers");
    for manager in BUILT_IN.iter().filter(|manager| manager.class != "GenericHardwareManager") {
        for offer in manager.offers {
            assert_eq!(reach(&offer), Reach::Anything, "{}", offer.name);
        }
    }
    let managers = Managers(vec![fake("A", 2, vec![Fake("a", 9)])]);
    let step = serde_json::from_value(json!({"step": "a", "interface": "deploy"})).unwrap();
    if !root_is_ramdisk() {
        let refused = managers.execute(StepKind::Clean, &step, &context(vec![], json!({}))).unwrap_err();
        assert!(refused.details.contains("--allow-step a"), "{refused}");
    }
}

#[test]
fn no_built_in_step_is_offered_by_two_managers() {
    let names: Vec<&str> = BUILT_IN.iter().flat_map(|manager| manager.offers).map(|offer| offer.name).collect();
    for (at, name) in names.iter().enumerate() {
        assert!(!names[..at].contains(name), "{name}");
    }
}
