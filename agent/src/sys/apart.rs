//! Runs code of strangers as root, and still out of sight of everything else: in a namespace of processes of its own, with a
//! `/proc` that shows no others, and without the capabilities that reach into other processes or into the kernel's memory.
//!
//! It stays root: whoever has `CAP_SYS_ADMIN` can have the kernel start programs outside (`core_pattern`). So this is one of
//! two locks; the other one is that nothing worth stealing is there any more.

use nix::libc;
use std::ffi::CStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr::null;

/// Numbers of capabilities (`linux/capability.h`) that are taken away: loading modules, raw memory and ports, looking into
/// processes, starting another kernel. A program keeps looking into processes that have no more than it has itself, which in
/// its own namespace are all of them.
const TAKEN: [libc::c_ulong; 4] = [16, 17, 19, 22];

/// Lets the program that `command` starts be the first process of a namespace of its own.
pub(super) fn apart(command: &mut Command) {
    // SAFETY: `enter` runs between fork and exec. It makes system calls and nothing else: it takes no lock, allocates nothing,
    // and touches no memory that another thread may have left half written.
    unsafe { command.pre_exec(enter) };
}

/// Nobody without the right to look into every process may look into this one; no core is dumped.
///
/// # Errors
/// The kernel's.
pub fn hide_memory() -> io::Result<()> {
    // SAFETY: the option takes one number.
    done(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })
}

/// In the child. A new namespace of processes begins with the next fork, so the program is a grandchild, and the child stays
/// to tell how it ended.
fn enter() -> io::Result<()> {
    // SAFETY: all arguments are numbers, null where the call allows it, or texts that live for ever and end with a zero.
    unsafe {
        done(libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWPID))?;
        mount(None, c"/", None, libc::MS_REC | libc::MS_PRIVATE)?;
        match libc::fork() {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                done(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0))?;
                // Not only covered: root could take a cover off again.
                done(libc::umount2(c"/proc".as_ptr(), libc::MNT_DETACH))?;
                mount(Some(c"proc"), c"/proc", Some(c"proc"), libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC)?;
                for capability in TAKEN {
                    done(libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0))?;
                }
                Ok(())
            }
            child => watch(child),
        }
    }
}

unsafe fn mount(source: Option<&CStr>, target: &CStr, kind: Option<&CStr>, flags: libc::c_ulong) -> io::Result<()> {
    let pointer = |text: Option<&CStr>| text.map_or(null(), CStr::as_ptr);
    // SAFETY: as in `enter`.
    done(unsafe { libc::mount(pointer(source), target.as_ptr(), pointer(kind), flags, null()) })
}

/// Waits for the program and ends as it did. Holds no file: whoever reads its output must see its end.
unsafe fn watch(child: libc::pid_t) -> ! {
    let mut status = 0;
    // SAFETY: system calls with numbers, and a place for a number on this stack.
    unsafe {
        libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0);
        while libc::waitpid(child, &raw mut status, 0) == -1
            && io::Error::last_os_error().raw_os_error() == Some(libc::EINTR)
        {}
        if libc::WIFSIGNALED(status) {
            let signal = libc::WTERMSIG(status);
            libc::kill(libc::getpid(), signal);
            libc::_exit(128 + signal)
        }
        libc::_exit(libc::WEXITSTATUS(status))
    }
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use crate::sys::child::{ChildError, Program};
    use std::time::{Duration, Instant};

    /// `find` as the first process, which runs what stands between `-exec` and `;`, one after the other.
    fn first_then(orders: &[&[&str]]) -> Program {
        let orders = orders.iter().flat_map(|order| [&["-exec"][..], *order, &[";"][..]].concat());
        Program::new("find").args(["/", "-maxdepth", "0"]).args(orders).apart()
    }

    #[test]
    fn a_program_apart_sees_no_process_but_its_own_even_if_it_takes_proc_off() {
        let own = std::process::id().to_string();
        assert_eq!(Program::new("readlink").arg("/proc/self").apart().succeed().unwrap().text(), "1\n");
        let said = first_then(&[&["ls", "/proc"], &["umount", "/proc"], &["ls", "/proc"]]).succeed().unwrap().text();
        let numbers = said.lines().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).count();
        assert!(numbers == 2 && said.contains("uptime") && !said.lines().any(|name| name == own), "{said}");
        for file in ["environ", "maps", "root/etc/hostname"] {
            let reach = Program::new("cat").arg(format!("/proc/{own}/{file}")).apart().run().unwrap();
            assert_ne!(reach.code(), Some(0), "{file}");
        }
        assert!(std::path::Path::new("/proc/self/status").exists(), "ours stays");
    }

    #[test]
    fn it_keeps_what_mounting_needs_and_loses_what_reaches_into_the_kernel() {
        let set = |status: &str, name: &str| {
            let row = status.lines().find_map(|row| row.strip_prefix(name)?.strip_prefix(':')).unwrap();
            u64::from_str_radix(row.trim(), 16).unwrap()
        };
        let own = set(&std::fs::read_to_string("/proc/self/status").unwrap(), "CapBnd");
        let status = Program::new("cat").arg("/proc/self/status").apart().succeed().unwrap().text();
        let taken = super::TAKEN.iter().fold(0, |all, at| all | 1 << at);
        for name in ["CapBnd", "CapPrm", "CapEff"] {
            assert_eq!(set(&status, name), own & !taken, "{name}");
        }
        // What bootc asks of the first process: that its namespace of users is the same.
        let asked = first_then(&[&["stat", "-L", "-c", "%i", "/proc/1/ns/user", "/proc/self/ns/user"]]);
        let said = asked.succeed().unwrap().text();
        let numbers: Vec<&str> = said.lines().collect();
        assert!(numbers.len() == 2 && numbers[0] == numbers[1], "{said}");
    }

    #[test]
    fn its_end_its_output_and_its_limits_are_those_of_any_program() {
        let output = Program::new("ls").args(["/proc/self/comm", "/no/such/place"]).apart().run().unwrap();
        assert_eq!((output.code(), output.stdout.as_slice()), (Some(2), &b"/proc/self/comm\n"[..]));
        assert!(!output.stderr.is_empty());
        assert!(matches!(Program::new("/no/such/program").apart().run(), Err(ChildError::Missing { .. })));
        let begun = Instant::now();
        let late = Program::new("timeout").args(["60", "sleep", "60"]).apart().time_limit(Duration::from_millis(300));
        assert!(matches!(late.run(), Err(ChildError::TimedOut { .. })) && begun.elapsed() < Duration::from_secs(5));
    }
}
