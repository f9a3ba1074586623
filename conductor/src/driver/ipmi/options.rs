//! Options of the IPMI driver; names and meaning as in Ironic's `[ipmi]` section where it has them.

use super::suite::Suite;
use std::time::Duration;

/// Options of all BMCs.
#[derive(Clone, Debug)]
pub struct IpmiOptions {
    /// One command with all its repetitions, logging in included. Ironic gives 60 s; a dead BMC need not hold a node so long.
    pub command_retry_timeout: Duration,
    /// Pause between two commands to one BMC, for those that cannot bear more. Ironic: 5 s; here commands to one BMC never
    /// overlap and share a session, so none is needed as a rule.
    pub min_command_interval: Duration,
    /// Longest pause between two looks at the power state while waiting for it; the first ones are shorter.
    pub poll_interval: Duration,
    /// Tell BMCs to keep the boot device for longer than 60 s, unless the node says otherwise.
    pub disable_boot_timeout: bool,
    /// Tried in this order for nodes without `ipmi_cipher_suite`.
    pub cipher_suite_versions: Vec<Suite>,
    /// A session not used for so long is closed: BMCs have few slots and forget after 60 s.
    pub session_idle: Duration,
    /// First wait for the answer to a command; doubled each time.
    pub first_wait: Duration,
    /// After a power cycle some BMCs report "on" for a while before the machine goes off: "on" counts after this time,
    /// or as soon as "off" was seen in between.
    pub cycle_settle: Duration,
}

impl Default for IpmiOptions {
    fn default() -> Self {
        Self {
            command_retry_timeout: Duration::from_secs(20),
            min_command_interval: Duration::ZERO,
            poll_interval: Duration::from_secs(1),
            disable_boot_timeout: true,
            cipher_suite_versions: [17, 3].into_iter().filter_map(Suite::by_id).collect(),
            session_idle: Duration::from_secs(30),
            first_wait: Duration::from_millis(500),
            cycle_settle: Duration::from_secs(3),
        }
    }
}
