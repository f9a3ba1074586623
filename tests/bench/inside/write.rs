//! One image write: ours in a process of its own, so that its CPU time and its memory are its own.

use agent::command::Facts;
use agent::config::Config;
use agent::step::Rules;
use agent::step::write_image::write_url;
use agent::sys::progress::Progress;
use std::path::Path;
use std::time::Instant;

/// What it cost.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Cost {
    /// From the first request until everything is on the disk.
    pub seconds: f64,
    /// User and system, seconds, child processes included.
    pub cpu: f64,
    /// Largest resident set (and temporary copy in memory), bytes.
    pub peak: u64,
    /// How much of the machine's processors everything together used meanwhile: at 1.0 no order of the same work is quicker.
    #[serde(default)]
    pub busy: Option<f64>,
}

/// Time of all processors so far: busy and in all, in hundredths of a second (proc_stat(5)).
fn processors() -> Option<(u64, u64)> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let times: Vec<u64> =
        stat.lines().next()?.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are counted in user.
    let all: u64 = times.iter().take(8).sum();
    Some((all - times.get(3)? - times.get(4)?, all))
}

/// CPU seconds of this process so far (proc_pid_stat(5): utime and stime, in the hundredths that Linux shows everywhere).
pub fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("this process");
    let (_, after_name) = stat.rsplit_once(')').expect("a name in brackets");
    after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("a number") / 100.0).sum()
}

/// `URL SHA256 DEVICE`.
pub fn ours(args: &[String]) -> ! {
    let [url, digest, device] = args else { panic!("URL SHA256 DEVICE") };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let device = Path::new(device);
    let (before, machine, begun) = (cpu(), processors(), Instant::now());
    write_url(url, digest, device, &rules(device), &Progress::default()).unwrap_or_else(|error| panic!("{error}"));
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), cpu() - before);
    let busy = machine.zip(processors()).filter(|(before, after)| after.1 > before.1);
    let busy = busy.map(|(before, after)| (after.0 - before.0) as f64 / (after.1 - before.1) as f64);
    let status = std::fs::read_to_string("/proc/self/status").expect("this process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    super::print(&Cost { seconds, cpu, peak: kib * 1024, busy })
}

fn rules(target: &Path) -> Rules {
    let rules = Facts::new(&Config::default(), vec![target.to_owned()]).rules();
    Rules { download_retries: 0, ..rules }
}
