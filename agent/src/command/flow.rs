//! `flow.start_flow`: several commands, one after another, as one command (ipa-features 10).

use super::call::{Call, Failure};
use super::carry_out;
use super::refused::Refused;
use super::table::{self, Row};
use serde_json::{Map, Value};

/// Most commands of one flow.
const MOST: usize = 256;

/// A command with its arguments.
type Task = (&'static Row, Map<String, Value>);

/// Every name must be a command and every argument right before the first one is run.
pub fn check(params: &Map<String, Value>) -> Result<(), Refused> {
    for (row, params) in tasks(params)? {
        (row.check)(&params)?;
    }
    Ok(())
}

/// Runs them; the first failure ends the flow and is its failure.
pub fn start(call: &Call) -> Result<Value, Failure> {
    let tasks = tasks(&call.params).map_err(|refused| Failure::execution(refused.to_string()))?;
    for (row, params) in tasks {
        if call.agent.is_ending() {
            break; // with what came before, as with a machine that is off
        }
        if call.progress.is_cancelled() {
            return Err(Failure::execution(format!(
                "the agent was told to stop before {}.{}",
                row.extension, row.name
            )));
        }
        let part = Call { id: call.id.clone(), params, progress: call.progress.clone(), agent: call.agent.clone() };
        carry_out(row, &part).map_err(|failure| {
            Failure::execution(format!("{}.{} was failed: {}", row.extension, row.name, failure.text()))
        })?;
    }
    Ok(Value::Null)
}

fn tasks(params: &Map<String, Value>) -> Result<Vec<Task>, Refused> {
    let refuse = |why: &str| Refused::Params(format!("`flow` {why}"));
    let Some(Value::Array(flow)) = params.get("flow") else { return Err(refuse("is missing, or no list")) };
    let mut tasks = Vec::new();
    for task in flow {
        let task = task.as_object().ok_or_else(|| refuse("must hold objects {command: arguments}"))?;
        for (name, params) in task {
            let (extension, short) = name.split_once('.').ok_or(Refused::NoDot)?;
            let row = table::find(extension, short)?;
            if row.extension == "flow" {
                return Err(refuse("cannot hold a flow"));
            }
            let params = match params {
                Value::Object(params) => params.clone(),
                Value::Null => Map::new(),
                _ => return Err(refuse("has arguments that are no object")),
            };
            tasks.push((row, params));
        }
    }
    if tasks.len() > MOST { Err(refuse("has more than 256 commands")) } else { Ok(tasks) }
}

#[cfg(test)]
mod tests {
    use crate::command::{Commands, Facts, Power, Refused};
    use crate::config::Config;
    use common::command::{CommandRequest, CommandStatus};
    use serde_json::{Value, json};

    async fn run(flow: Value) -> Result<common::command::CommandResult, Refused> {
        let commands = Commands::new(Facts::new(&Config::default(), vec![]), Power::Kernel);
        let params = json!({ "flow": flow }).as_object().unwrap().clone();
        commands.run(CommandRequest { name: "flow.start_flow".into(), params }, true).await
    }

    #[tokio::test]
    async fn everything_is_looked_at_before_anything_is_run() {
        for flow in [
            json!(null),
            json!([5]),
            json!([{"nodot": {}}]),
            json!([{"clean.get_clean_steps": {}}, {"foo.bar": {}}]),
            json!([{"standby.prepare_image": {}}]),
            json!([{"flow.start_flow": {"flow": []}}]),
            json!([{"standby.sync": 5}]),
            json!(vec![json!({"standby.get_partition_uuids": {}}); 257]),
        ] {
            assert!(run(flow.clone()).await.is_err(), "{flow}");
        }
    }

    #[tokio::test]
    async fn commands_run_in_order_and_the_first_failure_is_the_flows() {
        let done =
            run(json!([{"standby.get_partition_uuids": {}}, {"clean.get_clean_steps": {"node": {}}}])).await.unwrap();
        assert_eq!((done.command_name.as_str(), done.command_status), ("start_flow", CommandStatus::Succeeded));
        let step = json!({"step": {"step": "nothing"}, "node": {}, "ports": []});
        let done = run(json!([{"clean.execute_clean_step": step}, {"standby.power_off": {}}])).await.unwrap();
        let error = done.command_error.unwrap();
        assert!(error.details.starts_with("clean.execute_clean_step was failed: "), "{}", error.details);
    }
}
