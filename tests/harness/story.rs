//! Tells a story in a world of its own: the test starts itself again in fresh network, process and mount namespaces, so
//! that ports 67, 69 and 623 are free, many stories run side by side, and whatever a story started dies with it.

use std::any::type_name;
use std::fs::{self, File};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::needs;
use crate::os_image::os_image;
use crate::ramdisk;
use crate::site::Site;
use crate::world;

/// Set for the inner process: the story's folder.
const MARK: &str = "LAB_STORY_DIR";
/// Written by the inner process when the story is told: an inner run that matched no test ends well, too.
const TOLD: &str = "told";
/// No story is longer; those that wait for something have limits of their own.
const LIMIT: Duration = Duration::from_secs(600);
/// Logs of a story that failed are shown up to this many bytes.
const SHOWN: usize = 100_000;

/// Where a story happens.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The story's own folder; logs stay there, large files go when it ended well.
    pub dir: PathBuf,
}

/// Runs `tell` in a world of its own. Call it as the whole body of a `#[test]`; the closure's name gives the test's.
///
/// # Panics
/// When the story fails, with its log, or when this machine lacks something, with what to do.
pub fn story<F, T>(tell: F)
where
    F: FnOnce(Stage) -> T,
    T: Future<Output = ()>,
{
    run_named(type_name::<F>(), || drop(os_image()), tell);
}

/// The same with a whole site on the stage: conductor, deploy ramdisk, image server.
///
/// # Panics
/// As [`story`], and when a program of ours is not built.
pub fn site<F, T>(tell: F)
where
    F: FnOnce(Site) -> T,
    T: Future<Output = ()>,
{
    site_with(&[], tell);
}

/// The same with other options of the conductor.
///
/// # Panics
/// As [`site`].
pub fn site_with<F, T>(options: &[(&str, toml::Value)], tell: F)
where
    F: FnOnce(Site) -> T,
    T: Future<Output = ()>,
{
    let prepare = || {
        os_image();
        ramdisk::build();
    };
    run_named(type_name::<F>(), prepare, async |stage| tell(Site::start_with(stage, options).await).await);
}

/// The same, when `more` is there, too: images that few stories need.
///
/// # Panics
/// As [`site`].
pub fn site_after<P, F, T>(more: P, tell: F)
where
    P: FnOnce(),
    F: FnOnce(Site) -> T,
    T: Future<Output = ()>,
{
    let prepare = || {
        os_image();
        more();
        ramdisk::build();
    };
    run_named(type_name::<F>(), prepare, async |stage| tell(Site::start(stage).await).await);
}

/// The same with another way to see that all is there: `prepare` panics when it is not.
///
/// # Panics
/// When the story fails, with its log, or when `prepare` does.
pub fn story_after<P, F, T>(prepare: P, tell: F)
where
    P: FnOnce(),
    F: FnOnce(Stage) -> T,
    T: Future<Output = ()>,
{
    run_named(type_name::<F>(), prepare, tell);
}

/// `prepare` runs outside: inside there is no way out to a package mirror.
fn run_named<F, T>(closure: &str, prepare: impl FnOnce(), tell: F)
where
    F: FnOnce(Stage) -> T,
    T: Future<Output = ()>,
{
    if let Some(dir) = std::env::var_os(MARK) {
        return inside(PathBuf::from(dir), tell);
    }
    needs::require_lab();
    prepare();
    outside(&test_name(closure));
}

fn inside<F, T>(dir: PathBuf, tell: F)
where
    F: FnOnce(Stage) -> T,
    T: Future<Output = ()>,
{
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("the runtime of a story");
    crate::network::bring_up();
    runtime.block_on(tell(Stage { dir: dir.clone() }));
    fs::write(dir.join(TOLD), "").expect("the story's folder can be written");
}

fn outside(name: &str) {
    let dir = crate::workspace::target().join("lab/stories").join(name.replace("::", "-"));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let log = dir.join("story.log");
    let status = run(name, &dir, &log);
    let told = dir.join(TOLD).exists();
    if told && status.is_some_and(|status| status.success()) {
        shed(&dir);
        return;
    }
    let said = fs::read(&log).unwrap_or_default();
    let shown = String::from_utf8_lossy(&said[said.len().saturating_sub(SHOWN)..]).into_owned();
    let how = match status {
        None => format!("took longer than {} s", LIMIT.as_secs()),
        Some(status) if status.success() => "was not told: no test has this name".to_owned(),
        Some(status) => format!("failed ({status})"),
    };
    panic!("the story {name} {how}; everything it left is in {}\n{shown}", dir.display());
}

fn run(name: &str, dir: &Path, log: &Path) -> Option<ExitStatus> {
    let open = || File::options().create(true).append(true).open(log).expect("the story's log");
    let me = std::env::current_exe().expect("the path of this test");
    let mut command = world::command(me);
    command.args(["--exact", name, "--nocapture", "--test-threads", "1"]);
    command.env(MARK, dir).env("RUST_BACKTRACE", "0").stdin(Stdio::null()).stdout(open()).stderr(open());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("unshare (package util-linux): {error}"));
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("the story's process") {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// `lab::bios::a_server_is_deployed::{{closure}}` is the test `bios::a_server_is_deployed` of the program `lab`.
fn test_name(closure: &str) -> String {
    let test = closure.split("::{{closure}}").next().unwrap_or(closure);
    test.split_once("::").map_or(test, |(_, name)| name).to_owned()
}

/// Removes what is large (disks, images); logs stay until the next time.
fn shed(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(known) = entry.metadata() else { continue };
        if known.is_dir() {
            shed(&path);
        } else if known.len() > 4 << 20 {
            let _ = fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::test_name;

    #[test]
    fn a_closure_knows_its_test() {
        assert_eq!(test_name("lab::bios::a_server::{{closure}}"), "bios::a_server");
        assert_eq!(test_name("lab::rig::a::{{closure}}::{{closure}}"), "rig::a");
    }
}
