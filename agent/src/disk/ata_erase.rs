//! Erasing an ATA disk by its security feature set, and getting back into disks that were left locked.
//!
//! The states are those of ACS-4, section 4.18.4: SEC1 no password, SEC2 that and frozen, SEC4 locked, SEC5 password set and
//! unlocked, SEC6 that and frozen. An erase needs a password set; from that moment until its end a power loss leaves the
//! disk locked. So the password is one that everybody may know ([`OURS`], documented in docs/operating.md), and whatever
//! fails, the way back to "no password" is tried before anything is reported.

use super::ata::{AtaDisk, Identity, Password, Security, Who};
use super::error::FirmwareError;
use std::time::Duration;

/// The password of our own erases, for the user: the text and zeroes after it. `hdparm --user-master u --security-unlock
/// wrought-erase` takes it off, too.
pub const OURS: Password = Password::of("wrought-erase");
/// What it is, for error texts.
const OURS_TEXT: &str = "wrought-erase";

/// What a locked disk is tried with: our own, what the reference agent sets (zeroes), blanks, and what factories leave as
/// master password. A disk takes five attempts between two power-ups, so there is no sixth.
const KNOWN: [(Who, Password); 5] = [
    (Who::User, OURS),
    (Who::User, Password([0; 32])),
    (Who::User, Password([b' '; 32])),
    (Who::Master, Password([0; 32])),
    (Who::Master, Password([b' '; 32])),
];

/// Longest time of an erase that does not say how long it takes, or says "more than 508 minutes".
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// What is given to a disk beyond its own estimate, which is for a good day.
const SLACK: Duration = Duration::from_secs(30 * 60);

/// How a disk is erased that is in this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Take another method: there is no security feature set.
    NotSupported,
    /// It can be done.
    Erase {
        /// With the enhanced erase.
        enhanced: bool,
    },
}

/// What may be done with a disk in this state.
///
/// # Errors
/// [`FirmwareError::State`] says what a person has to do first.
pub fn way(security: &Security) -> Result<Way, FirmwareError> {
    let state = |text: &str| Err(FirmwareError::State(text.into()));
    if !security.supported {
        return Ok(Way::NotSupported);
    }
    if security.frozen {
        return state(
            "ATA security is frozen by the firmware, the disk takes no secure erase until its power was off. Switch the server off and on (not only a reset), or allow the secure erase in the firmware's settings (\"freeze lock\"), or set agent_continue_if_secure_erase_failed to have the disk overwritten instead",
        );
    }
    if security.locked {
        return state(&locked_text(security));
    }
    Ok(Way::Erase { enhanced: security.enhanced })
}

fn locked_text(security: &Security) -> String {
    let why = if security.expired {
        "and takes no more passwords until its power was off: switch the server off and on, then try again"
    } else {
        "with a password that is not known. Unlock it (hdparm --user-master u --security-unlock PASSWORD), or replace it"
    };
    format!("the disk is locked by ATA security {why}; nothing on it can be read or erased")
}

/// How long an erase may take, and the disk's own estimate.
fn times(security: &Security, enhanced: bool) -> (Duration, Option<u32>) {
    let minutes = if enhanced { security.minutes.1 } else { security.minutes.0 };
    let most = match minutes {
        Some(minutes) if minutes < 508 => Duration::from_secs(u64::from(minutes) * 60 * 2) + SLACK,
        Some(minutes) => (Duration::from_secs(u64::from(minutes) * 60 * 2) + SLACK).max(LONGEST),
        None => LONGEST,
    };
    (most, minutes)
}

/// What a disk says now; an ATA disk that stops being one is an error.
fn look(disk: &AtaDisk<'_>) -> Result<Identity, FirmwareError> {
    disk.identify()?.ok_or(FirmwareError::Unknown { doing: "IDENTIFY DEVICE" })
}

/// Takes the lock off a disk, if it has one, and the password with it: who only wipes metadata must not leave a disk that
/// is locked again after the next power-up. Data stays. `true`: something was done.
///
/// # Errors
/// No known password fits; the text says what to do.
pub fn unlock(disk: &AtaDisk<'_>) -> Result<bool, FirmwareError> {
    let mut security = look(disk)?.security;
    if !security.locked {
        return Ok(false);
    }
    for (who, password) in KNOWN {
        // A wrong try costs one of five; when they are used up, or only erase with the master's, there is no use in more.
        if security.expired || (who == Who::Master && security.master_only_erases) {
            break;
        }
        if disk.unlock(who, &password).is_ok() {
            let disabled = disk.disable_password(who, &password);
            security = look(disk)?.security;
            if !security.locked {
                disabled?;
                tracing::warn!(
                    ?who,
                    "the disk was locked with a password known to us; lock and password were taken off"
                );
                return if security.enabled { Err(still_enabled()) } else { Ok(true) };
            }
        }
        security = look(disk)?.security;
    }
    Err(FirmwareError::State(locked_text(&security)))
}

fn still_enabled() -> FirmwareError {
    FirmwareError::State(
        "the disk keeps its ATA password although it was told to forget it: it will be locked after the next power-up. Look at it by hdparm -I, or replace it".into(),
    )
}

/// Erases the disk. `say` is told what is done and how long it takes. `Ok`: erased, and without password.
///
/// # Errors
/// What failed. The disk is then without password, unless the text says otherwise, with the password.
pub fn erase(disk: &AtaDisk<'_>, enhanced: bool, say: &dyn Fn(String)) -> Result<(), FirmwareError> {
    let security = look(disk)?.security;
    let Way::Erase { .. } = way(&security)? else {
        return Err(FirmwareError::Unknown { doing: "the ATA security feature set" });
    };
    let (most, minutes) = times(&security, enhanced);
    let estimate = minutes.map_or("it does not say how long that takes".into(), |minutes| match minutes {
        508.. => "it takes more than eight hours by the disk's own estimate".to_string(),
        _ => format!("it takes {minutes} minutes by the disk's own estimate"),
    });
    say(format!("ATA {}secure erase; {estimate}", if enhanced { "enhanced " } else { "" }));
    // In SEC1 this sets the first password, in SEC5 it replaces one that nobody told us.
    let erased = disk.set_password(&OURS).and_then(|()| disk.erase(&OURS, enhanced, most));
    let after = look(disk).map(|identity| identity.security);
    match (erased, after) {
        (Ok(()), Ok(after)) if !after.enabled && !after.locked => Ok(()),
        (Ok(()), Ok(_)) => {
            back_out(disk)?;
            Err(FirmwareError::State(
                "the disk said that it was erased, but its ATA password is still set, which an erase takes off: it was not erased".into(),
            ))
        }
        (Ok(()), Err(error)) => Err(with_password(error)),
        (Err(error), _) => match back_out(disk) {
            Ok(()) => Err(error),
            Err(left) => Err(FirmwareError::State(format!("{error}; {left}"))),
        },
    }
}

/// Whatever state a failed erase left: unlocked, and without password.
fn back_out(disk: &AtaDisk<'_>) -> Result<(), FirmwareError> {
    let now = look(disk).map_err(with_password)?.security;
    if now.locked {
        disk.unlock(Who::User, &OURS).map_err(with_password)?;
    }
    if now.enabled || now.locked {
        disk.disable_password(Who::User, &OURS).map_err(with_password)?;
    }
    let now = look(disk).map_err(with_password)?.security;
    if now.enabled || now.locked { Err(with_password(still_enabled())) } else { Ok(()) }
}

fn with_password(error: FirmwareError) -> FirmwareError {
    FirmwareError::State(format!(
        "{error}. The disk may be left locked; its ATA user password is then `{OURS_TEXT}`, and this agent takes it off by itself when it runs again after a power-off"
    ))
}

#[cfg(test)]
mod tests;
