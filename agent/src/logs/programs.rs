//! Programs whose output belongs into the bundle, under the names that people know from the reference (ipa-features 24).
//!
//! Each has a limit of time and of output, and all of them together have one: the conductor waits a minute for the bundle. A
//! program that is not in this ramdisk is named as missing; where the agent can see the same by itself it tells that instead.

use crate::sys::child::{ChildError, Output, Program};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// For all programs together.
const BUDGET: Duration = Duration::from_secs(25);
/// Run at the same time.
const TOGETHER: usize = 4;
/// Most arrays whose details are asked for.
const MAX_ARRAYS: usize = 32;
/// Programs that open disks. Not beside a step that is at work on them: a disk that somebody else has open is not read anew
/// by the kernel, and may not be free for the step.
const OPEN_DISKS: [&str; 4] = ["lsblk", "lshw", "mdadm", "multipath"];
/// Columns of `lsblk`, as the reference asks for them.
const COLUMNS: &str = "-oKNAME,MODEL,SIZE,ROTA,TYPE,UUID,PARTUUID,SERIAL,WWN,LOG-SEC,PHY-SEC,TRAN";

/// A program to run for one file of the bundle.
#[derive(Clone, Debug)]
pub struct Order {
    /// Name of the file.
    pub file: String,
    /// Program and arguments.
    pub words: Vec<String>,
    /// Its own limit.
    pub time: Duration,
    /// Most bytes of its output.
    pub bytes: usize,
}

/// What came of it.
#[derive(Debug)]
pub struct Ran {
    /// Name of the file.
    pub file: String,
    /// The program's name.
    pub program: String,
    /// For the list of programs: how it ended.
    pub ended: String,
    /// Its output; none when it could not be run.
    pub output: Option<String>,
}

/// File, seconds, KiB, program and arguments. Not here, though the reference runs it: `parted -l`, which opens disks for
/// writing; the partitions are listed from `/sys`.
#[rustfmt::skip]
const ORDERS: &[(&str, u64, usize, &[&str])] = &[
    ("df",            5,  128, &["df", "-a"]),
    ("efibootmgr",    5,  128, &["efibootmgr", "-v"]),
    ("iptables",      5,  256, &["iptables", "-L", "-n"]),
    ("ip_addr",       5,  256, &["ip", "addr"]),
    ("ip_route",      5,  256, &["ip", "route"]),
    ("journal",      15, 2048, &["journalctl", "--full", "--no-pager", "-b", "-n", "10000"]),
    ("lsblk",         5,  256, &["lsblk", "--all", COLUMNS]),
    ("lsblk-full",    5,  256, &["lsblk", "--all", "--bytes", "--output-all", "--pairs"]),
    ("lshw",         15, 1024, &["lshw", "-quiet", "-json"]),
    ("mdadm_detail",  5,  128, &["mdadm", "--detail", "--scan", "--verbose"]),
    ("mdadm_examine", 5,  128, &["mdadm", "--examine", "--scan", "--verbose"]),
    ("multipath",    10,  256, &["multipath", "-ll"]),
];

/// Everything to run on this machine; `arrays` are the kernel's names of its software RAID arrays. `disks_are_used` leaves out
/// the programs that open disks.
pub fn orders(arrays: &[String], disks_are_used: bool) -> Vec<Order> {
    let order = |file: String, seconds, kib, words: Vec<String>| Order {
        file,
        words,
        time: Duration::from_secs(seconds),
        bytes: kib * 1024,
    };
    let fixed = ORDERS.iter().map(|(file, seconds, kib, words)| {
        order((*file).to_owned(), *seconds, *kib, words.iter().map(|word| (*word).to_owned()).collect())
    });
    let details = arrays.iter().take(MAX_ARRAYS).map(|name| {
        let words = ["mdadm".to_owned(), "--detail".to_owned(), format!("/dev/{name}")];
        order(format!("mdadm/{name}"), 5, 64, words.to_vec())
    });
    let may_run =
        |order: &Order| !disks_are_used || order.words.first().is_some_and(|name| !OPEN_DISKS.contains(&name.as_str()));
    fixed.chain(details).filter(may_run).collect()
}

/// Runs them, some at a time, and answers in their order. Blocks; never longer than [`BUDGET`] and what killing takes.
pub fn run(orders: &[Order]) -> Vec<Ran> {
    run_within(orders, BUDGET)
}

fn run_within(orders: &[Order], budget: Duration) -> Vec<Ran> {
    let end = Instant::now() + budget;
    let (queue, done) = (Mutex::new(orders.iter().enumerate()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..TOGETHER.min(orders.len()) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((at, order)) = next else { return };
                    let ran = one(order, end.saturating_duration_since(Instant::now()));
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((at, ran));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, ran)| ran).collect()
}

fn one(order: &Order, left: Duration) -> Ran {
    let program = order.words.first().cloned().unwrap_or_default();
    let ran = |ended: String, output: Option<String>| Ran {
        file: order.file.clone(),
        program: program.clone(),
        ended,
        output,
    };
    if left.is_zero() {
        return ran("not run: the others took all the time there is for the bundle".into(), None);
    }
    let begun = Instant::now();
    let limit = order.time.min(left);
    let ended =
        Program::new(&program).args(order.words.iter().skip(1)).time_limit(limit).output_limit(order.bytes).run();
    match ended {
        Ok(output) => {
            let seconds = begun.elapsed().as_secs_f64();
            ran(format!("{}, {seconds:.3} s{}", output.status, cut(&output, order.bytes)), Some(text(&output)))
        }
        Err(ChildError::Missing { .. }) => ran("not installed here".into(), None),
        Err(error) => ran(error.to_string(), None),
    }
}

fn cut(output: &Output, bytes: usize) -> String {
    if output.truncated { format!(", only the first {bytes} bytes") } else { String::new() }
}

/// What it said; what it complained about comes behind.
fn text(output: &Output) -> String {
    let mut text = output.text();
    if !output.stderr.trim_ascii().is_empty() {
        text.push_str("\n--- standard error\n");
        text.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    if text.trim().is_empty() {
        text = format!("(nothing; {})\n", output.status);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Order, orders, run_within};
    use std::time::{Duration, Instant};

    fn order(words: &[&str], seconds: f64, bytes: usize) -> Order {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Order { file: "x".into(), words, time: Duration::from_secs_f64(seconds), bytes }
    }

    #[test]
    fn the_references_list_is_here_and_arrays_are_asked_one_by_one() {
        let arrays = ["md0".into(), "md127".into()];
        let beside = orders(&arrays, true);
        assert!(
            beside
                .iter()
                .all(|order| ["df", "efibootmgr", "iptables", "ip", "journalctl"].contains(&order.words[0].as_str()))
        );
        let orders = orders(&arrays, false);
        let files: Vec<&str> = orders.iter().map(|order| order.file.as_str()).collect();
        for file in ["df", "efibootmgr", "iptables", "ip_addr", "journal", "lsblk", "lsblk-full", "lshw", "multipath"] {
            assert_eq!(files.iter().filter(|known| **known == file).count(), 1, "{file}");
        }
        assert_eq!(orders.last().unwrap().words, ["mdadm", "--detail", "/dev/md127"]);
        assert!(files.contains(&"mdadm/md0"));
    }

    #[test]
    fn each_is_bounded_and_all_together_are() {
        let all = [
            order(&["printf", "out"], 5.0, 100),
            order(&["no-such-program-anywhere"], 5.0, 100),
            order(&["sleep", "60"], 0.1, 100),
            order(&["seq", "100000"], 5.0, 100),
            order(&["ls", "/no/such/place"], 5.0, 1000),
            order(&["true"], 5.0, 100),
        ];
        let ran = run_within(&all, Duration::from_secs(20));
        assert_eq!(ran[0].output.as_deref(), Some("out"));
        assert!(ran[0].ended.starts_with("exit status: 0, 0."), "{}", ran[0].ended);
        assert_eq!((ran[1].ended.as_str(), &ran[1].output), ("not installed here", &None));
        assert!(ran[2].ended.contains("did not end within 0.1 s"), "{}", ran[2].ended);
        assert!(ran[3].ended.ends_with("only the first 100 bytes") && ran[3].output.as_ref().unwrap().len() == 100);
        let complaint = ran[4].output.as_ref().unwrap();
        assert!(complaint.contains("--- standard error") && complaint.contains("/no/such/place"), "{complaint}");
        assert_eq!(ran[5].output.as_deref(), Some("(nothing; exit status: 0)\n"));

        let begun = Instant::now();
        let slow: Vec<Order> = (0..12).map(|_| order(&["sleep", "60"], 30.0, 10)).collect();
        let ran = run_within(&slow, Duration::from_millis(300));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert!(ran.len() == 12 && ran.iter().all(|ran| ran.output.is_none()));
        assert!(ran[11].ended.starts_with("not run: "), "{}", ran[11].ended);
    }
}
