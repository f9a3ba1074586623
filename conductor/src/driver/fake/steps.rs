//! Steps of the fake interfaces: the tables of Ironic's, and what they do, which is nearly nothing.

use super::delay::Delay;
use crate::driver::steps::{Arg, StepDone, StepFlow, StepRow, Steps, unknown};
use crate::driver::traits::DriverError;
use crate::model::machine_parts::BiosSetting;
use crate::model::node::InterfaceKind;
use async_trait::async_trait;
use serde_json::{Map, Value};

const fn row(flow: StepFlow, name: &'static str, priority: i64) -> StepRow {
    StepRow { flow, name, priority, abortable: false, requires_ramdisk: true, args: &[] }
}

const BIOS_ARGS: &[Arg] =
    &[("settings", "List of BIOS settings, each item needs to contain a dictionary with name/value pairs", true)];
const FIRMWARE_ARGS: &[Arg] =
    &[("settings", "List of Firmware components, each item needs to contain a dictionary with name/value pairs", true)];

const BIOS: &[StepRow] = &[
    StepRow { args: BIOS_ARGS, ..row(StepFlow::Clean, "apply_configuration", 0) },
    row(StepFlow::Clean, "cache_bios_settings", 0),
    row(StepFlow::Clean, "factory_reset", 0),
];
const FIRMWARE: &[StepRow] = &[StepRow { args: FIRMWARE_ARGS, ..row(StepFlow::Clean, "update", 0) }];
const VENDOR: &[StepRow] = &[
    row(StepFlow::Clean, "log_passthrough", 1),
    StepRow { requires_ramdisk: false, ..row(StepFlow::Service, "log_passthrough", 0) },
    row(StepFlow::Service, "trigger_servicewait", 0),
];
/// `noop` deploys in the same way.
const DEPLOY: &[StepRow] = &[StepRow { abortable: true, ..row(StepFlow::Deploy, "deploy", 100) }];

/// Most settings of one node: real machines have some hundred.
const SETTINGS_MAX: usize = 5000;
/// Longest name and value of a setting, as Ironic's columns.
const TEXT_MAX: usize = 255;

/// Steps of one fake interface.
pub struct FakeSteps {
    kind: InterfaceKind,
    delay: Delay,
}

impl FakeSteps {
    /// Of a kind.
    pub fn new(kind: InterfaceKind, delay: Delay) -> Self {
        Self { kind, delay }
    }

    /// What the fake interface of a kind offers.
    pub fn table(kind: InterfaceKind) -> &'static [StepRow] {
        match kind {
            InterfaceKind::Bios => BIOS,
            InterfaceKind::Firmware => FIRMWARE,
            InterfaceKind::Vendor => VENDOR,
            InterfaceKind::Deploy => DEPLOY,
            _ => &[],
        }
    }
}

/// What a person wants the settings to be, as the list that the machine then has: those not named are gone.
fn settings(args: &Map<String, Value>) -> Result<Vec<BiosSetting>, DriverError> {
    let wrong = |text: String| DriverError::Invalid(format!("BIOS settings cannot be applied: {text}"));
    let Some(list) = args.get("settings").and_then(Value::as_array) else {
        return Err(wrong("`settings` must be a list of objects with `name` and `value`".into()));
    };
    if list.len() > SETTINGS_MAX {
        return Err(wrong(format!("more than {SETTINGS_MAX} of them")));
    }
    let mut settings: Vec<BiosSetting> = Vec::with_capacity(list.len());
    for item in list {
        let Some(name) = item.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()) else {
            return Err(wrong("each needs a `name`".into()));
        };
        let value = match item.get("value") {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Null) => None,
            // Ironic's column is text; its databases write 1 and 0 there.
            Some(Value::Bool(value)) => Some(i32::from(*value).to_string()),
            Some(other) => Some(other.to_string()),
            None => return Err(wrong(format!("`{name}` has no `value`"))),
        };
        if name.chars().count() > TEXT_MAX || value.as_ref().is_some_and(|value| value.chars().count() > TEXT_MAX) {
            return Err(wrong(format!("names and values have at most {TEXT_MAX} characters")));
        }
        settings.retain(|setting| setting.name != name);
        settings.push(BiosSetting { name: name.into(), value, ..BiosSetting::default() });
    }
    Ok(settings)
}

#[async_trait]
impl Steps for FakeSteps {
    async fn run(&self, step: &str, args: &Map<String, Value>) -> Result<StepDone, DriverError> {
        if !Self::table(self.kind).iter().any(|row| row.name == step) {
            return Err(unknown(self.kind, step));
        }
        if step == "trigger_servicewait" {
            return Ok(StepDone { waits: true, ..StepDone::default() });
        }
        self.delay.pass().await;
        Ok(match (self.kind, step) {
            (InterfaceKind::Bios, "apply_configuration") => {
                StepDone { bios: Some(settings(args)?), ..StepDone::default() }
            }
            (InterfaceKind::Bios, "factory_reset") => StepDone { bios: Some(Vec::new()), ..StepDone::default() },
            _ => StepDone::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Delay, FakeSteps, InterfaceKind, StepDone, StepFlow, Steps};
    use serde_json::{Value, json};

    async fn run(kind: InterfaceKind, step: &str, args: Value) -> Result<StepDone, String> {
        let args = args.as_object().unwrap().clone();
        FakeSteps::new(kind, Delay::default()).run(step, &args).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn every_step_of_every_table_runs() {
        for &kind in InterfaceKind::ALL {
            for row in FakeSteps::table(kind) {
                assert!(run(kind, row.name, json!({"settings": []})).await.is_ok(), "{kind} {}", row.name);
            }
            assert!(run(kind, "nope", json!({})).await.unwrap_err().contains("no step 'nope'"));
        }
        assert!(run(InterfaceKind::Vendor, "trigger_servicewait", json!({})).await.unwrap().waits);
    }

    #[tokio::test]
    async fn bios_settings_are_what_was_applied_last() {
        let apply = async |settings: Value| {
            run(InterfaceKind::Bios, "apply_configuration", json!({"settings": settings})).await
        };
        let done = apply(json!([{"name": "a", "value": 1}, {"name": "b", "value": true}, {"name": "a", "value": "x"}]))
            .await
            .unwrap();
        let pairs: Vec<_> =
            done.bios.unwrap().into_iter().map(|setting| (setting.name, setting.value.unwrap())).collect();
        assert_eq!(pairs, [("b".to_owned(), "1".to_owned()), ("a".into(), "x".into())]);
        for wrong in [json!("x"), json!([{"value": 1}]), json!([{"name": "a"}]), json!([{"name": "", "value": 1}])] {
            assert!(apply(wrong.clone()).await.is_err(), "{wrong}");
        }
        let reset = run(InterfaceKind::Bios, "factory_reset", json!({})).await.unwrap();
        assert_eq!(reset.bios, Some(vec![]));
    }

    #[test]
    fn steps_are_listed_as_ironic_lists_them() {
        let step = FakeSteps::table(InterfaceKind::Bios)[0].step(InterfaceKind::Bios);
        assert_eq!(
            serde_json::to_value(step).unwrap(),
            json!({"step": "apply_configuration", "interface": "bios", "priority": 0, "abortable": false,
                "requires_ramdisk": true, "argsinfo": {"settings": {"required": true, "description":
                "List of BIOS settings, each item needs to contain a dictionary with name/value pairs"}}})
        );
        let automatic: Vec<_> = InterfaceKind::ALL
            .iter()
            .flat_map(|&kind| FakeSteps::table(kind))
            .filter(|row| row.flow == StepFlow::Clean && row.priority > 0)
            .map(|row| row.name)
            .collect();
        assert_eq!(automatic, ["log_passthrough"]);
    }
}
