//! What can be wrong with a BMC, as data.

use std::time::Duration;

/// Faults; the default has none. Change them while the BMC runs with [`super::BmcServer::faults`].
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Does not answer at all and forgets its sessions: dead.
    pub dead: bool,
    /// Every n-th packet that comes in is lost (counted from the first one after setting it).
    pub drop_every: Option<u32>,
    /// So many packets that come in next are lost.
    pub drop_next: u32,
    /// So many answers that go out next are lost: the command is done, nobody hears of it.
    pub lose_answers: u32,
    /// Each answer waits so long; others wait behind it.
    pub delay: Duration,
    /// Open Session with these suites is refused.
    pub refuse_suites: Vec<u8>,
    /// Open Session with these suites is not answered.
    pub ignore_suites: Vec<u8>,
    /// RAKP 1 is not answered: how some BMCs treat users they do not know.
    pub ignore_users: bool,
    /// Get Channel Authentication Capabilities is not answered.
    pub no_capabilities: bool,
    /// Has this password and not the one it was started with.
    pub password: Option<String>,
    /// Grants at most this level (4 administrator); 0 = no limit.
    pub level_limit: u8,
    /// Each answer comes with garbage before it, and with copies that were changed or already sent.
    pub garbage: bool,
    /// Commands in a session are answered with "node busy" so many times.
    pub busy: u32,
    /// Chassis Control of these actions is refused with "invalid data" (2 cycle, 4 NMI).
    pub refuse_control: Vec<u8>,
    /// Setting these boot option parameters is refused.
    pub refuse_boot_options: Vec<u8>,
    /// Takes power orders and does not carry them out.
    pub stuck: bool,
    /// So many Open Session requests are answered "no slot free".
    pub no_slots: u32,
    /// IANA number in Get Device ID.
    pub manufacturer: u32,
}
