//! Every state of the security feature set, on the device model.

use super::{OURS, erase, unlock, way};
use crate::disk::ata::{AtaDisk, Security};
use crate::disk::device_model::{AtaDrive, Wire, lock};
use std::sync::{Arc, Mutex};

struct Site {
    file: tempfile::NamedTempFile,
    drive: Arc<Mutex<AtaDrive>>,
}

fn site(change: impl FnOnce(&mut AtaDrive)) -> Site {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![0xa5; 2 << 20]).unwrap();
    let mut drive = AtaDrive::new(file.path());
    change(&mut drive);
    Site { file, drive: Arc::new(Mutex::new(drive)) }
}

impl Site {
    fn erase(&self, enhanced: bool) -> Result<String, String> {
        let said = Mutex::new(String::new());
        let wire = Wire::to(&self.drive);
        let erased = erase(&AtaDisk(&wire), enhanced, &|text| lock(&said).push_str(&text));
        erased.map(|()| lock(&said).clone()).map_err(|error| error.to_string())
    }

    fn unlock(&self) -> Result<bool, String> {
        unlock(&AtaDisk(&Wire::to(&self.drive))).map_err(|error| error.to_string())
    }

    fn data_is_there(&self) -> bool {
        std::fs::read(self.file.path()).unwrap().ends_with(&[0xa5; 4096])
    }

    /// Nobody may be locked out: no password, or ours.
    fn holds_no_secret(&self) {
        assert!(lock(&self.drive).user.is_none(), "{:?}", lock(&self.drive).user);
    }
}

#[test]
fn an_erase_runs_through_its_states_and_leaves_no_password() {
    for (enhanced, minutes) in [(false, "30 minutes"), (true, "2 minutes")] {
        let site = site(|_| ());
        let said = site.erase(enhanced).unwrap();
        assert!(said.contains(minutes), "{said}");
        assert!(!site.data_is_there());
        site.holds_no_secret();
        assert_eq!(lock(&site.drive).seen, [0xec, 0xf1, 0xf3, 0xf4, 0xec]);
    }
}

#[test]
fn what_a_state_allows() {
    let on = Security { supported: true, enhanced: true, ..Default::default() };
    assert_eq!(way(&Security::default()).unwrap(), super::Way::NotSupported);
    assert_eq!(way(&on).unwrap(), super::Way::Erase { enhanced: true });
    assert_eq!(way(&Security { enabled: true, ..on }).unwrap(), super::Way::Erase { enhanced: true }, "SEC5");
    for enabled in [false, true] {
        let text = way(&Security { frozen: true, enabled, ..on }).unwrap_err().to_string();
        assert!(text.contains("frozen") && text.contains("off and on"), "{text}");
    }
    let locked = Security { locked: true, enabled: true, ..on };
    assert!(way(&locked).unwrap_err().to_string().contains("--security-unlock"));
    assert!(way(&Security { expired: true, ..locked }).unwrap_err().to_string().contains("switch the server off"));
}

#[test]
fn a_frozen_or_locked_disk_is_not_touched() {
    let frozen = site(|drive| drive.frozen = true);
    assert!(frozen.erase(true).unwrap_err().contains("frozen"));
    let locked = site(|drive| (drive.user, drive.locked) = (Some([9; 32]), true));
    assert!(locked.erase(true).unwrap_err().contains("locked"));
    for site in [frozen, locked] {
        assert!(site.data_is_there());
        assert_eq!(lock(&site.drive).seen, [0xec], "it was only asked");
    }
}

#[test]
fn a_password_that_somebody_set_and_unlocked_is_replaced() {
    let site = site(|drive| drive.user = Some([9; 32]));
    site.erase(false).unwrap();
    assert!(!site.data_is_there());
    site.holds_no_secret();
}

#[test]
fn after_every_failure_the_password_is_off_again() {
    for change in [
        (|drive: &mut AtaDrive| drive.faults.aborts = Some(0xf4)) as fn(&mut AtaDrive),
        |drive| drive.faults.hangs = Some(0xf4),
        |drive| drive.faults.aborts = Some(0xf3),
        |drive| drive.faults.aborts = Some(0xf1),
        |drive| drive.faults.lies = Some(0xf4),
        |drive| drive.enhanced = false,
    ] {
        let site = site(change);
        let error = site.erase(true).unwrap_err();
        assert!(site.data_is_there(), "{error}");
        site.holds_no_secret();
        assert!(!lock(&site.drive).locked);
    }
}

#[test]
fn power_lost_in_mid_erase_is_recovered_at_once_or_by_the_next_run() {
    // The disk comes back in time: locked with our password.
    let site = site(|drive| drive.faults.power_loss = Some(0xf4));
    assert!(site.erase(true).unwrap_err().contains("the device is gone"));
    site.holds_no_secret();
    assert!(!lock(&site.drive).locked);

    // The whole machine went: the next run finds the disk locked.
    let drive = &site.drive;
    (lock(drive).user, lock(drive).locked) = (Some(OURS.0), true);
    assert_eq!(site.unlock(), Ok(true));
    assert!(!lock(drive).locked);
    site.holds_no_secret();
    assert_eq!(site.unlock(), Ok(false), "nothing left to do");
    site.erase(true).unwrap();
    assert!(!site.data_is_there());
}

#[test]
fn known_passwords_open_a_disk_and_unknown_ones_leave_it_an_attempt_count_of_nothing() {
    for user in [OURS.0, [0; 32], [b' '; 32]] {
        let site = site(|drive| (drive.user, drive.locked) = (Some(user), true));
        assert_eq!(site.unlock(), Ok(true), "{user:?}");
        site.holds_no_secret();
    }
    for master in [[0; 32], [b' '; 32]] {
        let by_master = |maximum| {
            site(|drive| {
                (drive.user, drive.locked, drive.master) = (Some([9; 32]), true, master);
                drive.maximum = maximum;
            })
        };
        assert_eq!(by_master(false).unlock(), Ok(true), "{master:?}");
        let maximum = by_master(true);
        assert!(maximum.unlock().unwrap_err().contains("not known"));
        assert_eq!(lock(&maximum.drive).attempts, 2, "the master password only erases: it is not even tried");
    }
    let unknown = site(|drive| (drive.user, drive.locked) = (Some([9; 32]), true));
    let error = unknown.unlock().unwrap_err();
    assert!(error.contains("switch the server off and on"), "{error}");
    assert_eq!(lock(&unknown.drive).attempts, 0);
    let tries = lock(&unknown.drive).seen.iter().filter(|code| **code == 0xf2).count();
    assert!(unknown.unlock().is_err());
    assert_eq!(tries, lock(&unknown.drive).seen.iter().filter(|code| **code == 0xf2).count(), "no sixth attempt");
}

#[test]
fn a_disk_that_cannot_be_brought_back_is_reported_with_its_password() {
    let stubborn = site(|drive| {
        drive.faults.aborts = Some(0xf4);
        drive.faults.lies = Some(0xf6);
    });
    let error = stubborn.erase(true).unwrap_err();
    assert!(error.contains("`wrought-erase`") && error.contains("keeps its ATA password"), "{error}");
    let gone = site(|drive| drive.faults.garbage = Some(0xec));
    assert!(gone.erase(true).unwrap_err().contains("makes no sense"));
    let short = site(|drive| drive.faults.short = Some(0xec));
    assert!(short.erase(true).unwrap_err().contains("shorter"));
    let none = site(|drive| drive.supported = false);
    assert!(none.erase(true).is_err());
    assert_eq!(lock(&none.drive).seen, [0xec]);
}
