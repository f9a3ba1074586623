//! Every command this agent knows. To add one: write its body, add its row.

use super::call::{Call, Failure};
use super::refused::Refused;
use super::{ending, flow, rescue, standby, steps};
use crate::hardware::{self, Roots};
use crate::logs;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// How a command is run (agent-protocol section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request is answered when it has ended.
    Sync,
    /// The request is answered when it has started.
    Async,
}

/// One command.
pub struct Row {
    /// First part of its full name.
    pub extension: &'static str,
    /// Second part, the name in results.
    pub name: &'static str,
    /// Sync or async.
    pub kind: Kind,
    /// Looks at the arguments before the command is accepted.
    pub check: fn(&Map<String, Value>) -> Result<(), Refused>,
    /// The body, on a thread of its own.
    pub run: fn(&Call) -> Result<Value, Failure>,
    /// May be run while another command runs.
    pub beside: bool,
}

const fn row(
    extension: &'static str,
    name: &'static str,
    kind: Kind,
    check: fn(&Map<String, Value>) -> Result<(), Refused>,
    run: fn(&Call) -> Result<Value, Failure>,
) -> Row {
    Row { extension, name, kind, check, run, beside: false }
}

#[rustfmt::skip]
static TABLE: &[Row] = &[
    row("clean", "get_clean_steps", Kind::Sync, anything, steps::get_clean),
    row("clean", "execute_clean_step", Kind::Async, steps::check, steps::execute_clean),
    row("deploy", "get_deploy_steps", Kind::Sync, anything, steps::get_deploy),
    row("deploy", "execute_deploy_step", Kind::Async, steps::check, steps::execute_deploy),
    row("service", "get_service_steps", Kind::Sync, anything, steps::get_service),
    row("service", "execute_service_step", Kind::Async, steps::check, steps::execute_service),
    row("standby", "prepare_image", Kind::Async, standby::check_image, standby::prepare_image),
    row("standby", "execute_bootc_install", Kind::Async, anything, standby::execute_bootc_install),
    row("standby", "get_partition_uuids", Kind::Sync, anything, standby::partition_uuids),
    row("image", "install_bootloader", Kind::Async, anything, standby::install_bootloader),
    row("standby", "sync", Kind::Sync, anything, standby::sync),
    row("standby", "power_off", Kind::Async, anything, standby::power_off),
    row("standby", "run_image", Kind::Async, anything, standby::run_image),
    // Logs are wanted most while something hangs: the one command that never is told to come later.
    Row { beside: true, ..row("log", "collect_system_logs", Kind::Sync, anything, system_logs) },
    row("rescue", "finalize_rescue", Kind::Sync, rescue::check, rescue::finalize),
    row("system", "lockdown", Kind::Sync, anything, ending::lockdown),
    row("flow", "start_flow", Kind::Async, flow::check, flow::start),
    row("poll", "get_hardware_info", Kind::Sync, anything, hardware_info),
    row("poll", "set_node_info", Kind::Sync, not_standalone, never),
];

/// The command `extension.name`.
pub fn find(extension: &str, name: &str) -> Result<&'static Row, Refused> {
    let short = |text: &str| text.chars().take(64).collect::<String>();
    let mut of_extension = TABLE.iter().filter(|row| row.extension == extension).peekable();
    if of_extension.peek().is_none() {
        return Err(Refused::NoExtension(short(extension)));
    }
    of_extension.find(|row| row.name == name).ok_or_else(|| Refused::UnknownCommand(short(name)))
}

fn anything(_: &Map<String, Value>) -> Result<(), Refused> {
    Ok(())
}

fn system_logs(call: &Call) -> Result<Value, Failure> {
    Ok(json!({ "system_logs": logs::collect_system_logs(call.agent.is_busy()) }))
}

/// Listening to switches for an answer that somebody waits for: conductors hang up after 60 s, and BMC and disks are asked in
/// that time, too. One round of a switch (30 s).
const LISTEN_TIME: Duration = Duration::from_secs(30);

/// The inventory, read anew.
fn hardware_info(call: &Call) -> Result<Value, Failure> {
    let options = while_somebody_waits(call.agent.facts().hardware_options());
    let (inventory, unread) = hardware::inventory_with(&Roots::machine(), &options);
    for what in unread {
        tracing::info!(what = %what.what, why = %what.why, "not read for the inventory");
    }
    serde_json::to_value(inventory).map_err(|cause| Failure::execution(cause.to_string()))
}

fn while_somebody_waits(options: hardware::Options) -> hardware::Options {
    hardware::Options { lldp_most: Some(LISTEN_TIME), ..options }
}

fn not_standalone(_: &Map<String, Value>) -> Result<(), Refused> {
    Err(Refused::NotStandalone)
}

/// Behind a check that always refuses.
fn never(_: &Call) -> Result<Value, Failure> {
    Err(Failure::execution("this command is never accepted"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_is_there_twice_and_names_are_unique_without_their_extension() {
        for (at, row) in TABLE.iter().enumerate() {
            assert!(TABLE[..at].iter().all(|earlier| earlier.name != row.name), "{}", row.name);
        }
    }

    #[test]
    fn an_inventory_is_there_before_the_conductor_hangs_up_whatever_the_operator_says_of_switches() {
        let patient = hardware::Options { lldp_patience: Duration::from_secs(300), ..Default::default() };
        let most = while_somebody_waits(patient).lldp_most.unwrap();
        assert!(most <= Duration::from_secs(60) / 2, "the rest of the inventory takes time, too: {most:?}");
    }

    #[test]
    fn unknown_names_are_told_apart() {
        assert_eq!(find("clean", "foo").err(), Some(Refused::UnknownCommand("foo".into())));
        assert_eq!(find("foo", "get_clean_steps").err(), Some(Refused::NoExtension("foo".into())));
        assert_eq!(find("standby", "sync").unwrap().kind, Kind::Sync);
    }
}
