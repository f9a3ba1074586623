//! The wire between a simulated BMC and a machine's power switch. `ipmi_sim` runs a program for every question; that
//! program (`lab-chassis`) hands its arguments to us over an abstract socket and prints our answer.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::machine::{BootDevice, Lasting, Machine};

/// What a BMC was asked, in order: the second witness of a story.
pub type Asked = Arc<Mutex<Vec<String>>>;

/// Answers for the machine until the story ends. Returns what will be asked.
///
/// # Panics
/// When there is one for this machine already.
pub fn serve(machine: &Machine, address: std::net::Ipv4Addr) -> Asked {
    let name = SocketAddr::from_abstract_name(socket_name(machine.name())).expect("a short name");
    let listener = UnixListener::bind_addr(&name).expect("one chassis for a machine");
    let asked = Asked::default();
    let (machine, log) = (machine.clone(), Arc::clone(&asked));
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut line = String::new();
            if BufReader::new(&mut stream).take(1024).read_line(&mut line).is_err() {
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            log.lock().unwrap_or_else(PoisonError::into_inner).push(words.join(" "));
            let _ = stream.write_all(answer(&machine, address, &words).as_bytes());
        }
    });
    asked
}

/// Called by `lab-chassis`: `words` is everything ipmi_sim added to the command line.
///
/// # Errors
/// Nobody answers for this machine.
pub fn ask(machine: &str, words: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(socket_name(machine))?)?;
    // The simulator answers nobody while its program runs.
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    writeln!(stream, "{words}")?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer)?;
    Ok(answer)
}

fn socket_name(machine: &str) -> String {
    format!("{machine}.chassis")
}

/// OpenIPMI's `chassis_control` and `lan_config_program`: `get NAME…` prints `name:value` lines, `set NAME VALUE…`.
fn answer(machine: &Machine, address: std::net::Ipv4Addr, words: &[&str]) -> String {
    match words {
        ["get", names @ ..] => names.iter().map(|name| format!("{name}:{}\n", value(machine, address, name))).collect(),
        ["set", pairs @ ..] => {
            for pair in pairs.chunks_exact(2) {
                set(machine, pair[0], pair[1]);
            }
            String::new()
        }
        _ => String::new(),
    }
}

fn value(machine: &Machine, address: std::net::Ipv4Addr, name: &str) -> String {
    match name {
        "power" => u8::from(machine.is_on()).to_string(),
        "boot" => match machine.next_boot() {
            None => "none",
            Some(BootDevice::Network) => "pxe",
            Some(BootDevice::Disk) => "default",
            Some(BootDevice::Cd) => "cdrom",
        }
        .to_owned(),
        "ip_addr" => address.to_string(),
        "ip_addr_src" => "static".to_owned(),
        "subnet_mask" => "255.255.255.0".to_owned(),
        "mac_addr" => machine.mac().replace("52:54:00:aa", "52:54:00:bb"),
        name if name.ends_with("gw_ip_addr") => "0.0.0.0".to_owned(),
        name if name.ends_with("gw_mac_addr") => "00:00:00:00:00:00".to_owned(),
        _ => "0".to_owned(),
    }
}

fn set(machine: &Machine, name: &str, value: &str) {
    match (name, value) {
        ("power", "1") => machine.power_on(),
        ("power", "0") => machine.power_off(),
        ("reset", "1") => machine.reset(),
        ("shutdown", "1") => machine.press_button(),
        // The simulator drops whether the choice is to last; a real BMC's default is once.
        ("boot", "pxe") => machine.boot_from(Some(BootDevice::Network), Lasting::Once),
        ("boot", "cdrom") => machine.boot_from(Some(BootDevice::Cd), Lasting::Once),
        ("boot", "default" | "hdd" | "disk") => machine.boot_from(Some(BootDevice::Disk), Lasting::Once),
        ("boot", _) => machine.boot_from(None, Lasting::Once),
        _ => {}
    }
}
