//! The machine's clocks: the kernel's, and the one that goes on while the power is off. Only a ramdisk's are touched.

use super::ramdisk;
use nix::libc::{self, c_int};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `struct rtc_time` of `linux/rtc.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct RtcTime {
    second: c_int,
    minute: c_int,
    hour: c_int,
    day: c_int,
    month: c_int,
    year: c_int,
    weekday: c_int,
    yearday: c_int,
    summer: c_int,
}

mod order {
    nix::ioctl_write_ptr!(set_time, b'p', 0x0a, super::RtcTime);
}

/// The kernel's clock was set by us: only then is it worth keeping.
static IS_SET: AtomicBool = AtomicBool::new(false);

/// Sets the kernel's clock.
///
/// # Errors
/// `/` is no ramdisk (`PermissionDenied`, the clock of a workstation is none of our business), or the kernel refuses.
pub fn set(time: SystemTime) -> io::Result<()> {
    if !ramdisk::root_is_ramdisk() {
        let text = "`/` is not a ramdisk: the clock of this machine stays as it is";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    let since = time.duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    let seconds = libc::time_t::try_from(since.as_secs()).map_err(io::Error::other)?;
    let time = libc::timespec { tv_sec: seconds, tv_nsec: since.subsec_nanos().into() };
    // SAFETY: the pointer is to a whole timespec, which the kernel only reads.
    match unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const time) } {
        0 => {
            IS_SET.store(true, Ordering::Relaxed);
            Ok(())
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Writes the kernel's clock, if it was set by us, into the hardware clock, as UTC. To be called before the power goes off.
///
/// # Errors
/// No hardware clock, or it refuses.
pub fn keep() -> io::Result<()> {
    if !IS_SET.load(Ordering::Relaxed) {
        return Ok(());
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let time = broken_down(since.as_secs());
    let device = File::open("/dev/rtc0").or_else(|_| File::open("/dev/rtc"))?;
    // SAFETY: the descriptor is open, the pointer is to a whole rtc_time, which the kernel only reads.
    unsafe { order::set_time(device.as_raw_fd(), &raw const time) }?;
    Ok(())
}

/// Seconds since 1970 as the calendar has them (days counted from the first of March of year 0, in eras of 400 years).
fn broken_down(seconds: u64) -> RtcTime {
    let (days, rest) = (i64::try_from(seconds / 86_400).unwrap_or(i64::MAX), seconds % 86_400);
    let shifted = days.saturating_add(719_468);
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let number = |value: i64| c_int::try_from(value).unwrap_or(c_int::MAX);
    let clock = |value: u64| c_int::try_from(value).unwrap_or(0);
    RtcTime {
        second: clock(rest % 60),
        minute: clock(rest / 60 % 60),
        hour: clock(rest / 3600),
        day: number(day),
        month: number(month - 1),
        year: number(year - 1900),
        ..RtcTime::default()
    }
}

#[cfg(test)]
mod tests {
    use super::{RtcTime, broken_down, keep, set};
    use crate::sys::child::Program;
    use proptest::prelude::proptest;
    use std::time::SystemTime;

    #[test]
    fn the_structure_is_the_kernels() {
        assert_eq!(size_of::<RtcTime>(), 36);
    }

    #[test]
    fn a_workstations_clocks_are_left_alone() {
        assert_eq!(set(SystemTime::now()).unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
        keep().unwrap();
    }

    #[test]
    fn dates_are_those_of_the_date_program() {
        for seconds in [0, 951_782_400, 951_868_799, 1_709_164_800, 1_735_689_599, 4_102_444_799, 13_569_465_599u64] {
            let shown =
                Program::new("date").args(["-u", "-d", &format!("@{seconds}"), "+%Y %-m %-d %-H %-M %-S"]).succeed();
            let time = broken_down(seconds);
            let ours = format!(
                "{} {} {} {} {} {}",
                time.year + 1900,
                time.month + 1,
                time.day,
                time.hour,
                time.minute,
                time.second
            );
            assert_eq!(ours, shown.unwrap().text().trim(), "{seconds}");
        }
    }

    proptest! {
        #[test]
        fn fields_stay_in_their_ranges(seconds in 0u64..1 << 40) {
            let time = broken_down(seconds);
            assert!((0..12).contains(&time.month) && (1..=31).contains(&time.day) && (0..24).contains(&time.hour));
        }
    }
}
