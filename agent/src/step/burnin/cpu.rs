//! Processors: work whose results are known, on every processor, each kept on its own. A wrong result is a broken processor.

use super::settings::Settings;
use super::{BurnIn, Until, report, together};
use crate::step::StepContext;
use crate::sys::sysfs::Roots;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicU64, Ordering};

/// The reference's default: a day.
const DAY: u64 = 86_400;
/// More workers than any machine has processors is a typing error.
const MOST: u64 = 16_384;
/// SHA-256 of a million times `a` (FIPS 180-2, appendix B.3).
const MILLION: [u8; 32] = [
    0xcd, 0xc7, 0x6e, 0x5c, 0x99, 0x14, 0xfb, 0x92, 0x81, 0xa1, 0xc7, 0xe2, 0x84, 0xd7, 0x3e, 0x67, 0xf1, 0x80, 0x9a,
    0x48, 0xa4, 0x97, 0x20, 0x0e, 0x04, 0x6d, 0x39, 0xcc, 0xc7, 0x11, 0x2c, 0xd0,
];
/// Side of the matrices. Their entries are small whole numbers, so floating point gives exact products.
const SIDE: usize = 96;

/// `agent_burnin_cpu_cpu` workers (0: one for each processor) for `agent_burnin_cpu_timeout`.
pub fn run(settings: &Settings<'_>, context: &StepContext) -> Result<(), BurnIn> {
    let count = settings.number("cpu_cpu", 0)?;
    let time = settings.time("cpu_timeout", DAY)?;
    let file = settings.path("cpu_outputfile")?;
    if count > MOST {
        return Err(BurnIn::Settings(format!(
            "driver_info.agent_burnin_cpu_cpu is {count}, more than any machine has"
        )));
    }
    let processors = processors();
    let workers = if count == 0 { processors.len() } else { usize::try_from(count).unwrap_or(1) };
    context.progress.say(format!("burn-in: {workers} processor workers for {} s", time.as_secs()));
    let errors_before = corrected(&Roots::machine());
    let rounds = AtomicU64::new(0);
    let until = Until::after(Some(time), &context.progress);
    let on = |worker: usize| processors.get(worker % processors.len().max(1)).copied();
    for outcome in together(0..workers, |worker| work(on(worker), &rounds, &until)) {
        outcome?;
    }
    let errors = corrected(&Roots::machine()).saturating_sub(errors_before);
    let text = format!(
        "cpu: {workers} workers, {} s, {} rounds, all right; {errors} memory errors counted by the kernel meanwhile",
        time.as_secs(),
        rounds.load(Ordering::Relaxed)
    );
    report::leave(file.as_deref(), &text)
}

/// The processors this process may run on.
fn processors() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return vec![0] };
    let list: Vec<usize> = (0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false)).collect();
    if list.is_empty() { vec![0] } else { list }
}

fn work(processor: Option<usize>, rounds: &AtomicU64, until: &Until<'_>) -> Result<(), BurnIn> {
    let mut set = CpuSet::new();
    if processor.is_some_and(|cpu| set.set(cpu).is_ok()) && sched_setaffinity(Pid::from_raw(0), &set).is_err() {
        tracing::info!(?processor, "the worker could not be kept on its processor");
    }
    let fail = |what: &str| {
        let place = processor.map_or("some processor".into(), |cpu| format!("processor {cpu}"));
        Err(BurnIn::Failed(format!("{place} computed {what} wrongly; replace it")))
    };
    let (left, right) = (matrix(3), matrix(5));
    let exact = product_of_integers(&left, &right);
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64 ^ processor.unwrap_or(0) as u64;
    while until.go_on()? {
        if digest() != MILLION {
            return fail("a digest");
        }
        if product(&left, &right) != exact {
            return fail("a product of matrices");
        }
        // There and back again through a chain of steps that lose nothing.
        let start = seed;
        for _ in 0..100_000 {
            seed = forth(seed);
        }
        let end = seed;
        for _ in 0..100_000 {
            seed = back(seed);
        }
        if seed != start {
            return fail("a chain of multiplications");
        }
        seed = end;
        rounds.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn digest() -> [u8; 32] {
    let block = [b'a'; 1000];
    let mut digest = Sha256::new();
    for _ in 0..1000 {
        digest.update(std::hint::black_box(&block));
    }
    digest.finalize().into()
}

/// Small whole numbers, not all alike.
fn matrix(step: usize) -> Vec<f64> {
    (0..SIDE * SIDE).map(|at| ((at * step) % 17) as f64 - 8.0).collect()
}

fn product(left: &[f64], right: &[f64]) -> Vec<f64> {
    let mut result = vec![0.0; SIDE * SIDE];
    for row in 0..SIDE {
        for middle in 0..SIDE {
            let factor = std::hint::black_box(left[row * SIDE + middle]);
            for column in 0..SIDE {
                result[row * SIDE + column] += factor * right[middle * SIDE + column];
            }
        }
    }
    result
}

/// The same by whole numbers.
fn product_of_integers(left: &[f64], right: &[f64]) -> Vec<f64> {
    let sum = |row: usize, column: usize| -> i64 {
        (0..SIDE).map(|middle| left[row * SIDE + middle] as i64 * right[middle * SIDE + column] as i64).sum()
    };
    (0..SIDE * SIDE).map(|at| sum(at / SIDE, at % SIDE) as f64).collect()
}

/// An odd factor and its inverse modulo 2^64.
const FACTOR: u64 = 0x2545_f491_4f6c_dd1d;
const INVERSE: u64 = inverse(FACTOR);

/// Newton's iteration: each round doubles the bits that are right.
const fn inverse(odd: u64) -> u64 {
    let mut guess = odd;
    let mut round = 0;
    while round < 6 {
        guess = guess.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(guess)));
        round += 1;
    }
    guess
}

fn forth(value: u64) -> u64 {
    std::hint::black_box(value).wrapping_mul(FACTOR).rotate_left(29) ^ 0xdead_beef_0bad_f00d
}

fn back(value: u64) -> u64 {
    (std::hint::black_box(value) ^ 0xdead_beef_0bad_f00d).rotate_right(29).wrapping_mul(INVERSE)
}

/// Memory errors that the kernel has counted, corrected ones too (`Documentation/admin-guide/RAS`).
pub fn corrected(roots: &Roots) -> u64 {
    let folder = "/sys/devices/system/edac/mc";
    let count = |name: &String, file: &str| -> u64 {
        roots.text(format!("{folder}/{name}/{file}")).and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    let names = roots.entries(folder).into_iter().filter(|name| name.starts_with("mc"));
    names.map(|name| count(&name, "ce_count").saturating_add(count(&name, "ue_count"))).sum()
}

#[cfg(test)]
mod tests {
    use super::{FACTOR, INVERSE, MILLION, back, corrected, digest, forth, matrix, product, product_of_integers};
    use crate::sys::test_tree::TestTree;

    #[test]
    fn the_work_has_the_results_that_are_expected() {
        assert_eq!(digest(), MILLION);
        let (left, right) = (matrix(3), matrix(5));
        let exact = product_of_integers(&left, &right);
        assert!(exact.iter().any(|&entry| entry != 0.0) && product(&left, &right) == exact);
        assert_eq!(FACTOR.wrapping_mul(INVERSE), 1);
        assert_eq!(back(forth(12345)), 12345);
    }

    #[test]
    fn the_kernels_counters_are_summed() {
        let tree = TestTree::new();
        tree.file("sys/devices/system/edac/mc/mc0/ce_count", "3\n")
            .file("sys/devices/system/edac/mc/mc0/ue_count", "1\n");
        tree.file("sys/devices/system/edac/mc/mc1/ce_count", "lots\n").folder("sys/devices/system/edac/mc/power");
        assert_eq!(corrected(&tree.roots()), 4);
        assert_eq!(corrected(&TestTree::new().roots()), 0);
    }
}
