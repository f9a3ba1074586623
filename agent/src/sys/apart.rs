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
use std::ptr::{null, null_mut};

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
            libc::sigaction(signal, null(), null_mut());
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

    fn shell(text: &str) -> Program {
        Program::new("sh").args(["-c", text]).apart()
    }

    #[test]
    fn a_program_apart_sees_no_process_but_its_own_even_if_it_takes_proc_off() {
        let own = std::process::id();
        let said = shell("echo $$; for at in /proc/[0-9]*; do cat $at/comm; done; umount /proc; ls /proc").succeed();
        let said = said.unwrap().text();
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[0], "1", "{said}");
        assert!(lines[1..].iter().all(|name| ["sh", "cat", "ls"].contains(name)), "{said}");
        let reach = format!("cat /proc/{own}/environ || cat /proc/{own}/maps || kill -0 {own}");
        assert_ne!(shell(&reach).run().unwrap().code(), Some(0));
        assert!(std::path::Path::new("/proc/self/status").exists(), "ours stays");
    }

    #[test]
    fn it_keeps_what_mounting_needs_and_loses_what_reaches_into_the_kernel() {
        let status = shell("cat /proc/self/status").succeed().unwrap().text();
        let row = |name: &str| {
            let row = status.lines().find(|row| row.starts_with(name)).unwrap();
            u64::from_str_radix(row.split_whitespace().nth(1).unwrap(), 16).unwrap()
        };
        let own = std::fs::read_to_string("/proc/self/status").unwrap();
        let own = own.lines().find(|row| row.starts_with("CapBnd")).unwrap().to_owned();
        let own = u64::from_str_radix(own.split_whitespace().nth(1).unwrap(), 16).unwrap();
        for set in ["CapBnd", "CapPrm", "CapEff"] {
            let taken = super::TAKEN.iter().fold(0, |all, at| all | 1 << at);
            assert_eq!(row(set), own & !taken, "{set}");
        }
        // What bootc asks of the first process: that its namespace of users is the same.
        let same = shell(
            "test \"$(readlink /proc/1/ns/user)\" = \"$(readlink /proc/self/ns/user)\" && ls /proc/1/root/ > /dev/null",
        );
        same.succeed().unwrap();
    }

    #[test]
    fn its_end_its_output_and_its_limits_are_those_of_any_program() {
        let output = shell("echo out; echo err >&2; exit 7").run().unwrap();
        assert_eq!(
            (output.code(), output.stdout.as_slice(), output.stderr.as_slice()),
            (Some(7), &b"out\n"[..], &b"err\n"[..])
        );
        assert!(matches!(Program::new("/no/such/program").apart().run(), Err(ChildError::Missing { .. })));
        let begun = Instant::now();
        let late = shell("sleep 60 & sleep 60").time_limit(Duration::from_millis(300)).run();
        assert!(matches!(late, Err(ChildError::TimedOut { .. })) && begun.elapsed() < Duration::from_secs(5));
    }
}
