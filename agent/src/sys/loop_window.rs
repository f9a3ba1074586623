//! A loop device over part of a disk: a partition can be mounted before, or without, the kernel knowing of it, and a
//! read-only one cannot be written even by a file system's own repairs. The kernel takes it away after its last user.

use crate::sys::sysfs::Roots;
use nix::libc::{c_int, c_ulong};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// `struct loop_info64` of `linux/loop.h`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config` of `linux/loop.h`.
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

const READ_ONLY: u32 = 1;
const AUTO_CLEAR: u32 = 4;
const GET_FREE: c_ulong = 0x4c82;
const CONFIGURE: c_ulong = 0x4c0a;
/// Another program may take the free device first.
const ATTEMPTS: usize = 16;

mod order {
    nix::ioctl_none_bad!(get_free, super::GET_FREE);
    nix::ioctl_write_ptr_bad!(configure, super::CONFIGURE, super::Config);
}

/// How long a partition's node is waited for where there are no loop devices.
const PATIENCE: Duration = Duration::from_secs(5);

/// The loop device, held open. Dropped, it goes away as soon as nobody has it mounted.
#[derive(Debug)]
pub struct LoopWindow {
    path: PathBuf,
    _hold: Option<File>,
}

impl LoopWindow {
    /// `length` bytes of `disk` from `start`. Where the kernel has no loop devices for us, the node of the partition that
    /// lies exactly there; then nobody may hold the disk exclusively.
    ///
    /// # Errors
    /// As from `open(2)` and the loop driver; `NotFound` when there is neither.
    pub fn new(disk: &Path, start: u64, length: u64, sector: u32, writable: bool) -> io::Result<Self> {
        let refused = match Self::over(disk, start, length, sector, writable) {
            Ok(window) => return Ok(window),
            Err(error) => error,
        };
        let until = Instant::now() + PATIENCE;
        while let Some(path) = partition_at(disk, start, length) {
            if path.exists() {
                tracing::debug!(%refused, path = %path.display(), "no loop device: the kernel's own partition is used");
                return Ok(Self { path, _hold: None });
            }
            if Instant::now() > until {
                break;
            }
            std::thread::sleep(Duration::from_millis(100)); // whoever makes nodes gives no sign
        }
        Err(refused)
    }

    fn over(disk: &Path, start: u64, length: u64, sector: u32, writable: bool) -> io::Result<Self> {
        let behind = OpenOptions::new().read(true).write(writable).open(disk)?;
        let cloexec = nix::fcntl::OFlag::O_CLOEXEC.bits();
        let control = OpenOptions::new().read(true).write(true).custom_flags(cloexec).open("/dev/loop-control")?;
        let flags = if writable { AUTO_CLEAR } else { AUTO_CLEAR | READ_ONLY };
        let info = Info {
            device: 0,
            inode: 0,
            rdevice: 0,
            offset: start,
            size: length,
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags,
            file_name: [0; 64],
            crypt_name: [0; 64],
            encrypt_key: [0; 32],
            init: [0; 2],
        };
        let mut last = io::Error::from(io::ErrorKind::ResourceBusy);
        for _ in 0..ATTEMPTS {
            // SAFETY: the descriptor is open; LOOP_CTL_GET_FREE takes no argument.
            let number = unsafe { order::get_free(control.as_raw_fd())? };
            let path = PathBuf::from(format!("/dev/loop{number}"));
            node(&path, number)?;
            let hold = OpenOptions::new().read(true).write(writable).open(&path)?;
            match configure(hold.as_raw_fd(), behind.as_raw_fd(), sector, info) {
                Ok(()) => return Ok(Self { path, _hold: Some(hold) }),
                Err(error) if error.raw_os_error() == Some(nix::libc::EBUSY) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// `/dev/loopN`.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The node of the kernel's partition that lies exactly there.
fn partition_at(disk: &Path, start: u64, length: u64) -> Option<PathBuf> {
    let disk = disk.canonicalize().ok()?;
    let name = disk.strip_prefix("/dev").ok()?.to_str()?.replace('/', "!");
    let roots = Roots::machine();
    let folder = format!("/sys/class/block/{name}");
    let is_it = |part: &String| {
        // sysfs counts sectors of 512 bytes on every disk.
        let number = |what: &str| roots.number(format!("{folder}/{part}/{what}"));
        number("start") == Some(start / 512) && number("size") == Some(length / 512)
    };
    let part = roots.entries(&folder).into_iter().find(is_it)?;
    Some(Path::new("/dev").join(part.replace('!', "/")))
}

fn configure(device: RawFd, behind: RawFd, block_size: u32, info: Info) -> io::Result<()> {
    let fd = u32::try_from(behind).map_err(io::Error::other)?;
    let config = Config { fd, block_size, info, reserved: [0; 8] };
    // SAFETY: both descriptors are open; the kernel reads exactly one `loop_config`, laid out as in its header.
    unsafe { order::configure(device, &config)? };
    Ok(())
}

/// Where no devtmpfs makes nodes, one is made as devtmpfs would.
fn node(path: &Path, number: c_int) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let device = nix::sys::stat::makedev(7, u64::try_from(number).map_err(io::Error::other)?);
    let mode = nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR;
    match nix::sys::stat::mknod(path, nix::sys::stat::SFlag::S_IFBLK, mode, device) {
        Ok(()) | Err(nix::errno::Errno::EEXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
