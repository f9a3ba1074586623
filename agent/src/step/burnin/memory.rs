//! Memory: nearly all that is free is filled with patterns and read back, again and again.

use super::cpu::corrected;
use super::settings::{Amount, Settings};
use super::{BurnIn, Until, report, together};
use crate::step::StepContext;
use crate::sys::sysfs::Roots;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

const DAY: u64 = 86_400;
/// What is left to the agent and the kernel whatever was asked for: an agent that is killed for want of memory loses the node.
const RESERVE: u64 = 64 << 20;
/// Words between two looks at the clock: 16 MiB.
const PIECE: usize = 2 << 20;
/// Patterns that make neighbouring bits differ and flip.
const PATTERNS: [u64; 6] =
    [0, u64::MAX, 0x5555_5555_5555_5555, 0xaaaa_aaaa_aaaa_aaaa, 0x0123_4567_89ab_cdef, 0x8000_0000_0000_0001];

/// `agent_burnin_vm_vm` workers (0: one for each processor) share `agent_burnin_vm_vm-bytes` of what is available.
pub fn run(settings: &Settings<'_>, context: &StepContext) -> Result<(), BurnIn> {
    let count = settings.number("vm_vm", 0)?;
    let amount = settings.amount("vm_vm-bytes", Amount::Percent(98.0))?;
    let time = settings.time("vm_timeout", DAY)?;
    let file = settings.path("vm_outputfile")?;
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let workers = if count == 0 { processors } else { usize::try_from(count).unwrap_or(usize::MAX) };
    if workers > 16_384 {
        return Err(BurnIn::Settings(format!(
            "driver_info.agent_burnin_vm_vm is {count}, more than any machine needs"
        )));
    }
    let roots = Roots::machine();
    let bytes = share(amount, available(&roots)?, workers as u64)?;
    context.progress.say(format!(
        "burn-in: {workers} memory workers of {} MiB each for {} s",
        bytes >> 20,
        time.as_secs()
    ));
    let before = corrected(&roots);
    let tested = AtomicU64::new(0);
    let until = Until::after(Some(time), &context.progress);
    for outcome in together(0..workers, |worker| work(worker, bytes, &tested, &until)) {
        outcome?;
    }
    let errors = corrected(&roots).saturating_sub(before);
    let text = format!(
        "memory: {workers} workers of {} MiB, {} s, {} GiB read back, all right; {errors} errors corrected by the hardware",
        bytes >> 20,
        time.as_secs(),
        tested.load(Ordering::Relaxed) >> 30
    );
    report::leave(file.as_deref(), &text)
}

/// Bytes that can be had without pushing anything out.
fn available(roots: &Roots) -> Result<u64, BurnIn> {
    let info = roots.bytes("/proc/meminfo", 16 * 1024).ok().flatten().unwrap_or_default();
    let info = String::from_utf8_lossy(&info);
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kilobytes.map(|kb| kb << 10).ok_or_else(|| BurnIn::Failed("/proc/meminfo does not say what is available".into()))
}

/// Bytes for each worker: what is asked for, but never so much that [`RESERVE`] would not be left.
fn share(amount: Amount, available: u64, workers: u64) -> Result<u64, BurnIn> {
    let workers = workers.max(1);
    let most = available.saturating_sub(RESERVE) / workers;
    let wanted = match amount {
        Amount::Percent(percent) => (available as f64 * percent / 100.0) as u64 / workers,
        Amount::Bytes(bytes) => bytes,
    };
    match wanted.min(most) & !7 {
        0 => Err(BurnIn::Failed(format!("only {} MiB of memory are free, too little for a burn-in", available >> 20))),
        bytes => Ok(bytes),
    }
}

fn work(worker: usize, bytes: u64, tested: &AtomicU64, until: &Until<'_>) -> Result<(), BurnIn> {
    let words = usize::try_from(bytes / 8).unwrap_or(0);
    let mut memory: Vec<u64> = Vec::new();
    memory
        .try_reserve_exact(words)
        .map_err(|_| BurnIn::Failed(format!("worker {worker} did not get its {} MiB of memory", bytes >> 20)))?;
    memory.resize(words, 0);
    let mut round = 0_u64;
    loop {
        let pattern = PATTERNS[usize::try_from(round % PATTERNS.len() as u64).unwrap_or(0)];
        // Each word differs from its neighbours, so that a line that is stuck shows, too.
        let wanted = |at: usize| pattern ^ (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ round;
        for (piece, part) in memory.chunks_mut(PIECE).enumerate() {
            if !until.go_on()? {
                return Ok(());
            }
            part.iter_mut().enumerate().for_each(|(at, word)| *word = wanted(piece * PIECE + at));
        }
        for (piece, part) in std::hint::black_box(&mut memory).chunks_mut(PIECE).enumerate().rev() {
            if !until.go_on()? {
                return Ok(());
            }
            let wrong = part.iter().enumerate().find(|(at, word)| **word != wanted(piece * PIECE + at));
            if let Some((at, found)) = wrong {
                let flipped = found ^ wanted(piece * PIECE + at);
                return Err(BurnIn::Failed(format!(
                    "worker {worker} read other bits than it wrote ({} of 64 flipped, at byte {} of its memory); replace the memory",
                    flipped.count_ones(),
                    (piece * PIECE + at) * 8
                )));
            }
            part.iter_mut().for_each(|word| *word = !*word);
            tested.fetch_add(part.len() as u64 * 8, Ordering::Relaxed);
        }
        round += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{Amount, RESERVE, available, share};
    use crate::sys::test_tree::TestTree;

    #[test]
    fn a_reserve_is_always_left() {
        let gib = 1 << 30;
        assert_eq!(share(Amount::Percent(50.0), gib, 1).unwrap(), gib / 2);
        assert_eq!(share(Amount::Percent(98.0), 256 << 20, 1).unwrap(), (256 << 20) - RESERVE);
        assert_eq!(share(Amount::Bytes(gib), gib, 4).unwrap(), (gib - RESERVE) / 4);
        assert_eq!(share(Amount::Bytes(4096), gib, 4).unwrap(), 4096);
        assert!(share(Amount::Percent(98.0), RESERVE, 1).is_err());
    }

    #[test]
    fn what_is_available_is_read() {
        let tree = TestTree::new();
        tree.file("proc/meminfo", "MemTotal: 9 kB\nMemAvailable:    2048 kB\n");
        assert_eq!(available(&tree.roots()).unwrap(), 2 << 20);
        assert!(available(&TestTree::new().roots()).is_err());
    }
}
