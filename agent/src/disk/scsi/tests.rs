//! A SCSI disk of our own making.

use super::{Abilities, Sanitize, ScsiDisk, is_supported, page_list};
use crate::disk::device_model::{AtaDrive, ScsiDrive, ScsiState, Wire, lock};
use proptest::prelude::proptest;
use std::sync::{Arc, Mutex};

fn drive(change: impl FnOnce(&mut ScsiDrive)) -> (tempfile::NamedTempFile, Arc<Mutex<ScsiDrive>>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![0xa5; 1 << 20]).unwrap();
    let mut drive = ScsiDrive::new(file.path());
    change(&mut drive);
    (file, Arc::new(Mutex::new(drive)))
}

fn abilities(drive: &Arc<Mutex<ScsiDrive>>) -> Result<Abilities, String> {
    ScsiDisk(&Wire::to(drive)).abilities().map_err(|error| error.to_string())
}

#[test]
fn what_a_disk_has_is_asked_of_it() {
    let (_file, both) = drive(|drive| drive.attention = true);
    assert_eq!(abilities(&both).unwrap(), Abilities { ata: false, sanitize_crypto: true, sanitize_block: true });
    let (_file, crypto) = drive(|drive| drive.sanitizes = vec![3]);
    assert_eq!(abilities(&crypto).unwrap(), Abilities { ata: false, sanitize_crypto: true, sanitize_block: false });
    let (_file, old) = drive(|drive| drive.faults.aborts = Some(0xa3));
    assert_eq!(abilities(&old).unwrap(), Abilities::default(), "a refused question means no");
    let (file, _) = drive(|_| ());
    let ata = Arc::new(Mutex::new(AtaDrive::new(file.path())));
    assert!(ScsiDisk(&Wire::to(&ata)).abilities().unwrap().ata);
    let (_file, hung) = drive(|drive| drive.faults.hangs = Some(0x12));
    assert!(abilities(&hung).is_err());
    let (_file, short) = drive(|drive| drive.faults.short = Some(0xa3));
    assert_eq!(abilities(&short).unwrap(), Abilities::default(), "half an answer means no");
}

#[test]
fn a_sanitize_is_followed_to_its_end() {
    for (how, byte) in [(Sanitize::Crypto, 0x5c), (Sanitize::Block, 0)] {
        let (file, drive) = drive(|_| ());
        let told = Mutex::new(Vec::new());
        ScsiDisk(&Wire::to(&drive)).sanitize(how, &|percent| lock(&told).push(percent)).unwrap();
        assert_eq!(*lock(&told), [0, 25, 50, 75]);
        assert_eq!(std::fs::read(file.path()).unwrap()[0], byte);
    }
}

#[test]
fn a_sanitize_that_fails_hangs_or_is_refused_is_an_error() {
    let sanitize = |drive: &Arc<Mutex<ScsiDrive>>| {
        ScsiDisk(&Wire::to(drive)).sanitize(Sanitize::Block, &|_| ()).unwrap_err().to_string()
    };
    let (_file, fails) = drive(|drive| drive.fails_at = Some(30_000));
    assert!(sanitize(&fails).contains("sanitize failed"));
    assert_eq!(lock(&fails).state, ScsiState::Idle, "it was told to leave its failure mode");
    let (_file, stuck) = drive(|drive| drive.pace = 0);
    let error = sanitize(&stuck);
    assert!(error.contains("120 without progress"), "{error}");
    let (_file, refuses) = drive(|drive| drive.sanitizes.clear());
    assert!(sanitize(&refuses).contains("does not know"));
    let (_file, deaf) = drive(|drive| drive.faults.hangs = Some(0x03));
    assert!(sanitize(&deaf).contains("REQUEST SENSE"));
}

proptest! {
    #[test]
    fn nothing_panics(data: Vec<u8>) {
        is_supported(&data);
        page_list(&data);
    }
}
