//! One connection: the load tool and the server take turns, so one processor does for both.
//!
//! On two processors most of such a turn is neither of them: a processor that sleeps is woken by an interrupt from the other,
//! which in a virtual machine is two exits to its host. Where the scheduler puts the two decides over half of the figure then,
//! and it differs from run to run. The table has the floor both ways.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::path::Path;

/// As long as it lives, this thread and those processes have one processor.
pub struct Turns {
    before: CpuSet,
    processes: Vec<u32>,
}

impl Turns {
    /// Binds them, with all their threads.
    ///
    /// # Panics
    /// When this thread has no processor.
    pub fn of(processes: Vec<u32>) -> Self {
        let before = sched_getaffinity(Pid::from_raw(0)).expect("where this thread may run");
        let last = (0..CpuSet::count()).rev().find(|number| before.is_set(*number) == Ok(true)).expect("a processor");
        let mut one = CpuSet::new();
        one.set(last).expect("a number of a processor");
        let turns = Turns { before, processes };
        turns.bind(&one);
        turns
    }

    fn bind(&self, processors: &CpuSet) {
        sched_setaffinity(Pid::from_raw(0), processors).expect("this thread is bound");
        for thread in self.processes.iter().flat_map(|process| threads(*process)) {
            // One that has ended needs no processor.
            let _ = sched_setaffinity(thread, processors);
        }
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.bind(&self.before);
    }
}

fn threads(process: u32) -> Vec<Pid> {
    let folder = Path::new("/proc").join(process.to_string()).join("task");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw)).collect()
}
