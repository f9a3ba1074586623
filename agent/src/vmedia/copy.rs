//! Reads a medium: mounted read-only for a moment, files bounded in size and number, links not followed.

use super::find::Medium;
use crate::sys::sysfs::Roots;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Folders of the agent's configuration, below the root of the medium and of the ramdisk.
const FOLDERS: [&str; 2] = ["etc/ironic-python-agent", "etc/ironic-python-agent.d"];
const PARAMETERS: &str = "parameters.txt";
/// Where the machine's own tools put virtual media; a busy mount there would block a rebuild of the medium.
const LEFT_OVER: &str = "/mnt/config";
const MAX_FILES: usize = 64;
const MAX_FILE: u64 = 1 << 20;
/// File systems that such media have; the kernel is not offered the parsers of others.
const FILE_SYSTEMS: [&str; 3] = ["iso9660", "vfat", "udf"];

/// Copies the configuration files to `target`; the places they were put.
///
/// # Errors
/// No file system, or a file that cannot be read or written.
pub fn files(roots: &Roots, medium: &Medium, target: &Path) -> io::Result<Vec<PathBuf>> {
    let copied = on(roots, medium, |place| copy_from(place, target));
    if roots.is_machine() {
        while umount2(LEFT_OVER, MntFlags::empty()).is_ok() {}
    }
    copied
}

/// The text of the parameter file.
///
/// # Errors
/// As [`files`].
pub fn parameters(roots: &Roots, medium: &Medium) -> io::Result<String> {
    on(roots, medium, |place| read(&place.join(PARAMETERS)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn copy_from(place: &Path, target: &Path) -> io::Result<Vec<PathBuf>> {
    let mut made = Vec::new();
    for folder in FOLDERS {
        let entries = match fs::read_dir(place.join(folder)) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            Err(error) => return Err(error),
        };
        let mut names: Vec<_> = entries.take(MAX_FILES).filter_map(|entry| Some(entry.ok()?.file_name())).collect();
        names.sort();
        for name in names {
            let source = place.join(folder).join(&name);
            if !fs::symlink_metadata(&source)?.is_file() {
                continue;
            }
            let bytes = read(&source)?;
            fs::create_dir_all(target.join(folder))?;
            let put = target.join(folder).join(&name);
            // May hold the agent's token.
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&put)?;
            io::Write::write_all(&mut file, &bytes)?;
            made.push(put);
        }
    }
    Ok(made)
}

/// Removes what [`files`] put below `target`, and what was there before.
pub fn remove(target: &Path) -> io::Result<()> {
    FOLDERS.iter().try_for_each(|folder| match fs::remove_dir_all(target.join(folder)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK).open(path)?;
    File::take(file, MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("{} has more than 1 MiB", path.display())));
    }
    Ok(bytes)
}

/// Where the medium is mounted already, or a mount of our own for as long as `work` takes.
fn on<T>(roots: &Roots, medium: &Medium, work: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if let Some(place) = mounted(roots, &medium.path) {
        return work(&place);
    }
    let place = tempfile::Builder::new().prefix("vmedia").tempdir()?;
    let known = medium.file_system.iter().map(String::as_str).filter(|kind| FILE_SYSTEMS.contains(kind));
    let kinds: Vec<&str> = if medium.file_system.is_some() { known.collect() } else { FILE_SYSTEMS.to_vec() };
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let device = roots.path(&medium.path);
    let mut outcome = Err(io::Error::new(ErrorKind::Unsupported, "it has none of the file systems iso9660, vfat, udf"));
    for kind in kinds {
        match mount(Some(&device), place.path(), Some(kind), flags, None::<&str>) {
            Ok(()) => {
                outcome = work(place.path());
                umount2(place.path(), MntFlags::MNT_DETACH)?;
                break;
            }
            Err(error) => outcome = Err(io::Error::from(error)),
        }
    }
    outcome
}

fn mounted(roots: &Roots, path: &str) -> Option<PathBuf> {
    let table = roots.bytes("/proc/self/mounts", 1 << 20).ok()??;
    let table = String::from_utf8_lossy(&table).into_owned();
    let place = table
        .lines()
        .find_map(|line| line.strip_prefix(path)?.strip_prefix(' ')?.split(' ').next().map(str::to_owned))?;
    // The kernel writes blanks as \040; such places are no one's but a stranger's.
    (!place.contains('\\')).then(|| roots.path(place))
}

#[cfg(test)]
mod tests {
    use super::{Medium, copy_from, files, parameters, remove};
    use crate::config::KernelLine;
    use crate::sys::child::Program;
    use crate::sys::loop_device::LoopDevice;
    use crate::sys::sysfs::Roots;
    use crate::sys::test_tree::TestTree;
    use crate::vmedia::take_from;
    use nix::sched::{CloneFlags, unshare};
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn medium(folder: &std::path::Path) {
        for (path, text) in [
            ("etc/ironic-python-agent.d/site.conf", "[DEFAULT]\nipa=1\n"),
            ("etc/ironic-python-agent.d/deeper/x.conf", "no"),
            ("etc/ironic-python-agent/own.conf", "two"),
            ("etc/shadow", "never"),
            ("parameters.txt", "ipa-api-url=http://192.0.2.1:6385 ipa-debug=0\n"),
        ] {
            fs::create_dir_all(folder.join(path).parent().unwrap()).unwrap();
            fs::write(folder.join(path), text).unwrap();
        }
    }

    #[test]
    fn files_of_two_folders_are_copied_and_nothing_else() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        medium(from.path());
        symlink("/etc/shadow", from.path().join("etc/ironic-python-agent.d/link.conf")).unwrap();
        let made = copy_from(from.path(), to.path()).unwrap();
        assert_eq!(made.len(), 2);
        let put = to.path().join("etc/ironic-python-agent.d/site.conf");
        assert_eq!(fs::read_to_string(&put).unwrap(), "[DEFAULT]\nipa=1\n");
        assert_eq!(fs::metadata(&put).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(
            !to.path().join("etc/shadow").exists() && !to.path().join("etc/ironic-python-agent.d/link.conf").exists()
        );
        fs::write(from.path().join("etc/ironic-python-agent/own.conf"), vec![b'x'; 2 << 20]).unwrap();
        assert!(copy_from(from.path(), to.path()).is_err(), "too large");
        assert_eq!(copy_from(to.path().join("etc").as_path(), from.path()).unwrap().len(), 0);
        fs::write(to.path().join("etc/hosts"), "stays").unwrap();
        for _ in 0..2 {
            remove(to.path()).unwrap();
            let left: Vec<_> =
                fs::read_dir(to.path().join("etc")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(left, ["hosts"], "what is gone already is fine");
        }
    }

    #[test]
    fn a_real_cd_is_mounted_read_and_let_go() {
        let (source, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        medium(source.path());
        let Some(disk) = LoopDevice::new(8 << 20, 2048) else { return };
        let iso = Program::new("xorriso").args(["-as", "mkisofs", "-quiet", "-R", "-V", "config-2", "-o"]);
        let iso = iso.arg(disk.file()).arg(source.path()).succeed();
        if let Err(error) = iso {
            return println!("skipped: {error}");
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Mounts of this thread are nobody else's.
                if unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).is_err() {
                    return println!("skipped: no mount namespace");
                }
                let private = nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE;
                nix::mount::mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
                let device = Medium { path: disk.path().display().to_string(), file_system: Some("iso9660".into()) };
                let made = files(&Roots::machine(), &device, place.path());
                match made {
                    Err(error) if error.raw_os_error() == Some(nix::libc::ENODEV) => {
                        return println!("skipped: this kernel has no iso9660");
                    }
                    made => assert_eq!(made.unwrap().len(), 2),
                }
                assert!(parameters(&Roots::machine(), &device).unwrap().contains("ipa-debug=0"));
                let odd = Medium { file_system: Some("ext4".into()), ..device.clone() };
                assert!(files(&Roots::machine(), &odd, place.path()).is_err(), "no other parsers for what a BMC shows");
                let mounts = fs::read_to_string("/proc/thread-self/mounts").unwrap();
                assert!(!mounts.contains(&device.path), "let go");
            });
        });
    }

    #[test]
    fn parameters_of_the_floppy_win_and_a_mounted_medium_is_used_where_it_is() {
        let tree = TestTree::new();
        let usb = "sys/devices/pci/usb2/2-1/host6/target6/6:0:0:0";
        tree.disk("sdb", "8:16", 1, usb);
        tree.file("run/udev/data/b8:16", "E:ID_FS_LABEL=ir-vfd-dev\nE:ID_FS_TYPE=vfat\n");
        tree.file("proc/self/mounts", "/dev/sdb1 /mnt/other vfat ro 0 0\n/dev/sdb /mnt/floppy vfat ro 0 0\n");
        tree.file("mnt/floppy/parameters.txt", "ipa-api-url=http://192.0.2.9 ipa-agent-token=secret\n");
        let line = KernelLine::parse("boot_method=vmedia ipa-api-url=http://192.0.2.1 ipa-debug=1");
        let target = tempfile::tempdir().unwrap();
        let (line, said) = take_from(&tree.roots(), line, target.path());
        assert_eq!((line.get("ipa-api-url"), line.get("ipa-debug")), (Some("http://192.0.2.9"), Some("1")));
        assert!(said.iter().any(|text| text.contains("parameters taken from /dev/sdb")), "{said:?}");
        assert!(!said.iter().any(|text| text.contains("secret")));
    }

    #[test]
    fn without_the_word_on_the_kernel_line_nothing_is_looked_at() {
        let (line, said) = crate::vmedia::take(KernelLine::parse("quiet ipa-debug=1"));
        assert_eq!((line.get("ipa-debug"), said.len()), (Some("1"), 0));
        let (_, said) = crate::vmedia::take(KernelLine::parse("boot_method=vmedia"));
        assert_eq!(said.len(), 0, "this is no ramdisk");
    }
}
