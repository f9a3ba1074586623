//! An NVMe controller of our own making.

use super::{Abilities, IDENTIFY, LOG, Log, NvmeDisk, Sanitize, format_dword, list_length};
use crate::disk::device_model::{NvmeController, Wire, lock};
use proptest::prelude::{any, proptest};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn site(change: impl FnOnce(&mut NvmeController)) -> (Vec<tempfile::NamedTempFile>, Arc<Mutex<NvmeController>>) {
    let files: Vec<_> = (0..2).map(|_| tempfile::NamedTempFile::new().unwrap()).collect();
    files.iter().for_each(|file| std::fs::write(file.path(), vec![0xa5; 1 << 20]).unwrap());
    let paths: Vec<_> = files.iter().map(|file| file.path()).collect();
    let mut controller = NvmeController::new(&paths);
    change(&mut controller);
    (files, Arc::new(Mutex::new(controller)))
}

fn first_bytes(files: &[tempfile::NamedTempFile]) -> Vec<u8> {
    files.iter().map(|file| std::fs::read(file.path()).unwrap()[0]).collect()
}

#[test]
fn erase_bits_are_read_where_the_specification_puts_them() {
    let mut answer = [0; IDENTIFY];
    assert_eq!(Abilities::parse(&answer), Abilities::default());
    (answer[256], answer[328], answer[524]) = (0b0010, 0b101, 0b101);
    let abilities = Abilities::parse(&answer);
    assert!(abilities.can_format && abilities.format_hits_all && !abilities.erase_hits_all && abilities.format_crypto);
    assert_eq!(abilities.sanitize, [Sanitize::Crypto, Sanitize::Overwrite]);
}

#[test]
fn a_format_keeps_block_size_metadata_place_and_protection() {
    let mut answer = [0; IDENTIFY];
    answer[26] = 0b0011_0010; // format 2, extended data, upper bits 01
    answer[29] = 0b1001; // type 1, first bytes
    assert_eq!(format_dword(&answer, true), 2 | 1 << 4 | 1 << 5 | 1 << 8 | 2 << 9 | 1 << 12);
    assert_eq!(format_dword(&[0; IDENTIFY], false), 1 << 9);
}

#[test]
fn the_controller_says_what_it_has() {
    let (_files, controller) = site(|controller| controller.unseen = 3);
    let abilities = NvmeDisk(&Wire::to(&controller)).abilities().unwrap();
    assert_eq!(abilities.allocated, Some(5));
    assert_eq!(abilities.sanitize.len(), 3);
    let (_files, noise) = site(|controller| controller.faults.garbage = Some(0x06));
    assert!(NvmeDisk(&Wire::to(&noise)).abilities().is_err());
}

#[test]
fn a_format_reaches_its_namespace_or_all_by_fna() {
    for (fna, crypto, left) in [(0b100, true, [0x5c, 0xa5]), (0b100, false, [0, 0xa5]), (0b010, false, [0, 0])] {
        let (files, controller) = site(|controller| controller.fna = fna);
        NvmeDisk(&Wire::to(&controller)).format(crypto).unwrap();
        assert_eq!(first_bytes(&files), left, "fna {fna:#b}");
    }
    let (files, refuses) = site(|controller| controller.can_format = false);
    let error = NvmeDisk(&Wire::to(&refuses)).format(false).unwrap_err().to_string();
    assert!(error.contains("Format NVM") && error.contains("invalid order"), "{error}");
    assert_eq!(first_bytes(&files), [0xa5, 0xa5]);
}

#[test]
fn a_sanitize_is_followed_to_its_end_and_reaches_everything() {
    for (how, byte) in [(Sanitize::Crypto, 0x5c), (Sanitize::Block, 0), (Sanitize::Overwrite, 0)] {
        let (files, controller) = site(|_| ());
        let told = Mutex::new(Vec::new());
        NvmeDisk(&Wire::to(&controller)).sanitize(how, &|percent| lock(&told).push(percent)).unwrap();
        assert_eq!(*lock(&told), [0, 50]);
        assert_eq!(first_bytes(&files), [byte, byte]);
    }
}

#[test]
fn a_sanitize_that_fails_never_ends_or_never_was_is_an_error() {
    let sanitize = |controller: &Arc<Mutex<NvmeController>>| {
        NvmeDisk(&Wire::to(controller)).sanitize(Sanitize::Block, &|_| ()).unwrap_err().to_string()
    };
    let (_files, fails) = site(|controller| controller.fails_at = Some(40_000));
    assert!(sanitize(&fails).contains("sanitize failed"));
    assert_eq!(lock(&fails).state, 0, "it was told to leave its failure mode");
    let (_files, stuck) = site(|controller| controller.pace = 0);
    assert!(sanitize(&stuck).contains("does not end"));
    let (_files, lies) = site(|controller| controller.faults.lies = Some(0x84));
    assert!(sanitize(&lies).contains("tells of no sanitize"));
    let (_files, hangs) = site(|controller| controller.faults.hangs = Some(0x84));
    assert!(sanitize(&hangs).contains("Sanitize"));
}

#[test]
fn what_an_interrupted_run_began_is_waited_for() {
    let (files, running) = site(|controller| (controller.state, controller.action) = (2, 2));
    assert!(NvmeDisk(&Wire::to(&running)).settle(&|_| ()).unwrap());
    assert_eq!(first_bytes(&files), [0, 0]);
    assert!(!NvmeDisk(&Wire::to(&running)).settle(&|_| ()).unwrap());
    let (_files, without) = site(|controller| controller.sanicap = 0);
    assert!(!NvmeDisk(&Wire::to(&without)).settle(&|_| ()).unwrap());
}

#[test]
fn the_log_tells_how_long_it_takes() {
    let mut page = [0; LOG];
    page[8..20].copy_from_slice(&[0x10, 0x0e, 0, 0, 60, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    page[2] = 0b1_0010;
    let log = Log::parse(&page);
    assert_eq!(log.state, 2);
    let seconds = [Sanitize::Overwrite, Sanitize::Block, Sanitize::Crypto].map(|how| log.estimate(how));
    assert_eq!(seconds, [Some(Duration::from_secs(3600)), Some(Duration::from_secs(60)), None]);
}

proptest! {
    #[test]
    fn nothing_panics(seed in any::<[u8; 32]>(), at in 0_usize..IDENTIFY) {
        let mut answer = [0; IDENTIFY];
        answer.chunks_mut(32).for_each(|chunk| chunk.copy_from_slice(&seed));
        answer[at] = !answer[at];
        Abilities::parse(&answer).hits_all();
        assert!(list_length(&answer) <= 1024);
        assert!(format_dword(&answer, true) < 1 << 14);
        Log::parse(&answer[..LOG].try_into().unwrap());
    }
}
