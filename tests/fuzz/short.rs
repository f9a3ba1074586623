//! Every target for a moment: its corpus, then damaged copies of it. `FUZZ_SECONDS=60` makes the moment longer. A failure leaves
//! the bytes in a file and says where; put it into the corpus with the correction.

use fuzz::mutate::Mutator;
use fuzz::{TARGETS, corpus};
use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// For each target.
const MOMENT: f64 = 1.0;
/// Nothing of at most 64 KiB may take longer, debug build and busy machine included.
const SLOW: Duration = Duration::from_secs(20);

fn files(name: &str) -> Vec<Vec<u8>> {
    let folder = corpus(name);
    let list = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = list.map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    files.iter().map(|path| std::fs::read(path).expect("readable")).collect()
}

fn moment() -> Duration {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(MOMENT);
    Duration::from_secs_f64(seconds)
}

#[test]
fn no_input_breaks_a_parser() {
    let failures = Mutex::new(Vec::new());
    let next = Mutex::new(TARGETS.iter());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(target) = { next.lock().expect("no panic").next() } {
                    let corpus = files(target.name);
                    assert!(!corpus.is_empty(), "{} has no corpus", target.name);
                    let (began, mut mutator, mut tries) = (Instant::now(), Mutator::new(1), 0_u64);
                    let mut given = corpus.clone().into_iter();
                    while began.elapsed() < moment() || given.len() > 0 {
                        let data = given.next().unwrap_or_else(|| mutator.next(&corpus));
                        let start = Instant::now();
                        let fine = catch_unwind(|| (target.run)(&data)).is_ok();
                        tries += 1;
                        if !fine || start.elapsed() > SLOW {
                            let path = std::env::temp_dir().join(format!("fuzz-{}-{tries}", target.name));
                            let _ = std::fs::write(&path, &data);
                            let line = format!("{}: {:?}, bytes in {}", target.name, start.elapsed(), path.display());
                            failures.lock().expect("no panic").push(line);
                            break;
                        }
                    }
                    println!("{:<16} {tries} inputs", target.name);
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_folder_of_the_corpus_has_a_target() {
    let folders = std::fs::read_dir(corpus("")).expect("the corpus").map(|entry| entry.expect("readable").file_name());
    let folders: BTreeSet<String> = folders.map(|name| name.into_string().expect("UTF-8")).collect();
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(folders, targets);
}
