//! How fast this machine is, by small measurements for the `extra-hardware` collector. Disks are only read.
//!
//! Names and units are those of `hardware-detect`; the times are shorter, since a node waits for it.

use super::extra::Fact;
use crate::sys::aligned::AlignedBuffer;
use crate::sys::block::{Access, BlockDevice};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use rand::RngExt;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Benchmark {
    /// `cpu`.
    Cpu,
    /// `mem`.
    Memory,
    /// `disk`.
    Disk,
}

impl Benchmark {
    /// By the words of `ipa-inspection-benchmarks`.
    pub fn parse(word: &str) -> Option<Benchmark> {
        match word {
            "cpu" => Some(Benchmark::Cpu),
            "mem" => Some(Benchmark::Memory),
            "disk" => Some(Benchmark::Disk),
            _ => None,
        }
    }
}

/// Where to measure.
#[derive(Clone, Debug, Default)]
pub struct Processors {
    /// The first logical processor of each socket.
    pub one_per_socket: Vec<usize>,
    /// All of them.
    pub logical: usize,
}

const CPU_TIME: Duration = Duration::from_secs(3);
const MEMORY_TIME: Duration = Duration::from_millis(500);
const DISK_TIME: Duration = Duration::from_secs(4);
/// Largest prime looked for in one round.
const PRIMES: u64 = 15_000;
/// Blocks written in memory: name, bytes.
const BLOCKS: [(&str, usize); 7] = [
    ("1K", 1 << 10),
    ("4K", 4 << 10),
    ("1M", 1 << 20),
    ("16M", 16 << 20),
    ("128M", 128 << 20),
    ("1G", 1 << 30),
    ("2G", 2 << 30),
];

/// Rounds of a prime search a second: one thread on each socket, then one on every processor.
pub fn cpu(processors: &Processors) -> Vec<Fact> {
    cpu_for(processors, CPU_TIME)
}

fn cpu_for(processors: &Processors, time: Duration) -> Vec<Fact> {
    let mut facts = Vec::new();
    for &number in &processors.one_per_socket {
        let rounds = rounds(&[Some(number)], time, || search(PRIMES));
        facts.push(fact("cpu", &format!("logical_{number}"), "loops_per_sec", rounds));
    }
    let everywhere = vec![None; processors.logical.max(1)];
    facts.push(fact("cpu", "logical", "loops_per_sec", rounds(&everywhere, time, || search(PRIMES))));
    facts
}

/// The work of one round: the primes up to a bound, by trial division.
fn search(bound: u64) -> u64 {
    (3..bound).filter(|&number| (2..).take_while(|by| by * by <= number).all(|by| number % by != 0)).count() as u64
}

/// Writes into memory, MiB a second: from each socket, then from all processors at once.
pub fn memory(processors: &Processors) -> Vec<Fact> {
    memory_for(processors, MEMORY_TIME, available_memory())
}

fn memory_for(processors: &Processors, time: Duration, available: u64) -> Vec<Fact> {
    let mut facts = Vec::new();
    // The ramdisk lives in the same memory: half of what is left is the most that may be taken.
    let fits = |bytes: usize, threads: usize| bytes as u64 * threads as u64 <= available / 2;
    for &number in &processors.one_per_socket {
        for (name, bytes) in BLOCKS.iter().filter(|(_, bytes)| fits(*bytes, 1)) {
            let speed = bandwidth(&[Some(number)], *bytes, time);
            facts.push(fact("cpu", &format!("logical_{number}"), &format!("bandwidth_{name}"), speed));
        }
    }
    if processors.logical > 1 {
        let everywhere = vec![None; processors.logical];
        for (name, bytes) in BLOCKS.iter().filter(|(_, bytes)| fits(*bytes, processors.logical)) {
            let speed = bandwidth(&everywhere, *bytes, time);
            facts.push(fact("cpu", "logical", &format!("threaded_bandwidth_{name}"), speed));
        }
    }
    facts
}

/// MiB a second that threads, each with a block of its own, write together.
fn bandwidth(places: &[Option<usize>], bytes: usize, time: Duration) -> u64 {
    let blocks: Mutex<Vec<Vec<u8>>> = Mutex::new(places.iter().map(|_| vec![1u8; bytes]).collect());
    let written = AtomicU64::new(0);
    let begun = Instant::now();
    on_each(places, || {
        let Some(mut block) = blocks.lock().ok().and_then(|mut blocks| blocks.pop()) else { return };
        let mut value = 0u8;
        loop {
            value = value.wrapping_add(1);
            black_box(&mut block).fill(value);
            written.fetch_add(block.len() as u64, Ordering::Relaxed);
            if begun.elapsed() >= time {
                break;
            }
        }
    });
    per_second(written.into_inner() >> 20, begun.elapsed())
}

/// Rounds a second of all threads together.
fn rounds(places: &[Option<usize>], time: Duration, round: impl Fn() -> u64 + Sync) -> u64 {
    let done = AtomicU64::new(0);
    let begun = Instant::now();
    on_each(places, || {
        while begun.elapsed() < time {
            black_box(round());
            done.fetch_add(1, Ordering::Relaxed);
        }
    });
    per_second(done.into_inner(), begun.elapsed())
}

/// A thread for each place, bound to its processor if one is named.
fn on_each(places: &[Option<usize>], work: impl Fn() + Sync) {
    std::thread::scope(|scope| {
        for place in places {
            let work = &work;
            scope.spawn(move || {
                let mut set = CpuSet::new();
                if place.is_some_and(|number| set.set(number).is_ok()) {
                    let _ = sched_setaffinity(Pid::from_raw(0), &set);
                }
                work();
            });
        }
    });
}

/// Reads each disk alone, then all together: large pieces in order, and small ones anywhere.
pub fn disks(paths: &[PathBuf]) -> Vec<Fact> {
    disks_for(paths, DISK_TIME)
}

fn disks_for(paths: &[PathBuf], time: Duration) -> Vec<Fact> {
    let open = |path: &PathBuf| match BlockDevice::open(path, Access::Read) {
        Ok(device) => Some((path.file_name()?.to_str()?.to_owned(), device)),
        Err(error) => {
            tracing::warn!(disk = %path.display(), %error, "not measured");
            None
        }
    };
    let open: Vec<(String, BlockDevice)> = paths.iter().filter_map(open).collect();
    let groups = open.iter().map(|disk| (std::slice::from_ref(disk), "standalone"));
    let together = (open.len() > 1).then_some((open.as_slice(), "simultaneous"));
    groups
        .chain(together)
        .flat_map(|(group, how)| [PATTERNS[0], PATTERNS[1]].map(|pattern| (group, how, pattern)))
        .flat_map(|(group, how, pattern)| read_group(group, how, pattern, time))
        .collect()
}

/// How a disk is read.
#[derive(Clone, Copy)]
struct Pattern {
    name: &'static str,
    bytes: usize,
    readers: usize,
    anywhere: bool,
}

const PATTERNS: [Pattern; 2] = [
    Pattern { name: "read_1M", bytes: 1 << 20, readers: 4, anywhere: false },
    Pattern { name: "randread_4k", bytes: 4096, readers: 16, anywhere: true },
];

fn read_group(group: &[(String, BlockDevice)], how: &str, pattern: Pattern, time: Duration) -> Vec<Fact> {
    let counts: Vec<(AtomicU64, AtomicU64)> = group.iter().map(|_| Default::default()).collect();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for ((_, device), (done, next)) in group.iter().zip(&counts) {
            for _ in 0..pattern.readers {
                scope.spawn(move || read_until(device, pattern, begun + time, done, next));
            }
        }
    });
    let spent = begun.elapsed();
    let results = group.iter().zip(counts).flat_map(|((name, _), (done, _))| {
        let done = done.into_inner();
        let kib = done.saturating_mul(pattern.bytes as u64) >> 10;
        [
            fact("disk", name, &format!("{how}_{}_KBps", pattern.name), per_second(kib, spent)),
            fact("disk", name, &format!("{how}_{}_IOps", pattern.name), per_second(done, spent)),
        ]
    });
    results.collect()
}

/// One reader; a disk that fails ends its measurement, the count then says so.
fn read_until(device: &BlockDevice, pattern: Pattern, end: Instant, done: &AtomicU64, next: &AtomicU64) {
    let pieces = device.size() / pattern.bytes as u64;
    if pieces == 0 {
        return;
    }
    let mut buffer = AlignedBuffer::zeroed(pattern.bytes);
    loop {
        let piece = match pattern.anywhere {
            true => rand::rng().random_range(0..pieces),
            false => next.fetch_add(1, Ordering::Relaxed) % pieces,
        };
        if device.read_at(piece * pattern.bytes as u64, &mut buffer).is_err() {
            return;
        }
        done.fetch_add(1, Ordering::Relaxed);
        if Instant::now() >= end {
            return;
        }
    }
}

fn per_second(count: u64, time: Duration) -> u64 {
    (count as f64 / time.as_secs_f64().max(1e-6)) as u64
}

fn fact(class: &str, thing: &str, name: &str, value: u64) -> Fact {
    [class.into(), thing.into(), name.into(), value.to_string()]
}

/// Bytes that could be taken without pushing anything out.
fn available_memory() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::{Processors, cpu_for, disks_for, memory_for, search};
    use std::time::Duration;

    const SHORT: Duration = Duration::from_millis(30);

    fn value(facts: &[super::Fact], thing: &str, name: &str) -> u64 {
        let fact = facts.iter().find(|fact| fact[1] == thing && fact[2] == name);
        fact.unwrap_or_else(|| panic!("no {thing} {name} in {facts:?}"))[3].parse().unwrap()
    }

    #[test]
    fn processors_and_memory_have_speeds() {
        assert_eq!(search(100), 24, "the primes from 3 to 97");
        let here = Processors { one_per_socket: vec![0], logical: 2 };
        let facts = cpu_for(&here, SHORT);
        assert!(value(&facts, "logical_0", "loops_per_sec") > 0 && value(&facts, "logical", "loops_per_sec") > 0);
        let facts = memory_for(&here, SHORT, 8 << 20);
        assert!(
            value(&facts, "logical_0", "bandwidth_1M") > 0 && value(&facts, "logical", "threaded_bandwidth_1M") > 0
        );
        assert!(facts.iter().all(|fact| !fact[2].ends_with("16M")), "only what fits in half of the memory: {facts:?}");
    }

    #[test]
    fn disks_are_read_alone_and_together_and_never_written() {
        let file = || {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), vec![7u8; 4 << 20]).unwrap();
            file
        };
        let (one, other) = (file(), file());
        let paths = vec![one.path().to_path_buf(), "/nowhere/disk".into(), other.path().to_path_buf()];
        let facts = disks_for(&paths, SHORT);
        let name = one.path().file_name().unwrap().to_str().unwrap();
        for key in ["standalone_read_1M_KBps", "standalone_randread_4k_IOps", "simultaneous_read_1M_IOps"] {
            assert!(value(&facts, name, key) > 0, "{key}");
        }
        assert_eq!(facts.len(), 2 * 4 + 2 * 4, "alone and together");
        assert_eq!(std::fs::read(one.path()).unwrap(), vec![7u8; 4 << 20]);
        let empty = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(
            value(
                &disks_for(&[empty.path().into()], SHORT),
                empty.path().file_name().unwrap().to_str().unwrap(),
                "standalone_read_1M_IOps"
            ),
            0
        );
    }
}
