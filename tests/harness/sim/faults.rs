//! What goes wrong with a simulated machine, as data. What goes wrong with its BMC is `bmc::Faults`.

use std::collections::HashMap;

/// Faults; the default has none. Steps are named without their interface.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// In the middle of this step the agent falls silent: no answer, no heartbeat.
    pub silent_during: Option<String>,
    /// At this command, so many times, the agent falls silent: it never answers and never beats again.
    pub silent_at: Option<(String, u32)>,
    /// These steps fail with these texts.
    pub fails: HashMap<String, String>,
    /// In the middle of this step, so many times, the agent forgets every command; token and address stay.
    pub forgets_during: Option<(String, u32)>,
    /// In the middle of this step the agent's process is started anew, once: no token, new certificate, new port.
    pub restarts_during: Option<String>,
    /// In the middle of this step the machine switches itself off, once.
    pub off_during: Option<String>,
    /// The answer to so many look-ups is lost on the way.
    pub lost_lookups: u32,
    /// The firmware hangs.
    pub never_boots: bool,
    /// The agent does not switch the machine off when told to.
    pub ignores_power_off: bool,
    /// The agent answers 401 to every command.
    pub refuses_token: bool,
    /// Inspection data carry this error.
    pub inspection_error: Option<String>,
    /// The ramdisk never sends what it found.
    pub never_reports: bool,
    /// `erase_devices` comes with a proof.
    pub proof: Option<Proof>,
}

/// What a proof of an erase is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Signed with the key of the agent's certificate.
    Honest,
    /// Signed, then changed: another serial number.
    Tampered,
    /// Without the signature.
    Unsigned,
}
