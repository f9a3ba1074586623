//! A machine's BMC: OpenIPMI's `ipmi_sim`, an implementation that is not ours. It speaks cipher suite 3 at most, and
//! in-band over KCS.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::chassis::{self, Asked};
use crate::machine::Machine;
use crate::workspace;

/// Log-in of every BMC in the lab.
pub const USER: &str = "admin";
/// Its password.
pub const PASSWORD: &str = "password";

/// A management controller with one sensor, as any server has.
const DEVICES: &str = "mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
sensor_add 0x20 0 1 0x01 0x01
sensor_set_value 0x20 0 1 0x1a 0
sensor_set_threshold 0x20 0 1 settable 111000 0xa0 0x90 0x70 00 00 00
mc_enable 0x20
";

/// A BMC on port 623 of its own address.
#[derive(Debug)]
pub struct Bmc {
    /// Where it listens.
    pub address: Ipv4Addr,
    asked: Asked,
    dir: PathBuf,
    process: Mutex<Option<Child>>,
}

impl Bmc {
    /// Starts the BMC of a machine.
    ///
    /// # Panics
    /// When ipmi_sim cannot be started.
    pub fn start(machine: &Machine, address: Ipv4Addr) -> Self {
        let dir = machine.dir().to_owned();
        let program = workspace::own_program("lab-chassis");
        fs::create_dir_all(dir.join("bmc-state")).expect("the machine's folder");
        fs::write(dir.join("lan.conf"), configuration(machine, address, &program)).expect("the machine's folder");
        fs::write(dir.join("bmc.emu"), DEVICES).expect("the machine's folder");
        let asked = chassis::serve(machine, address);
        let bmc = Bmc { address, asked, dir, process: Mutex::default() };
        bmc.revive();
        bmc
    }

    /// It stops to answer, as if its network cable were pulled. The machine is as it was.
    pub fn dies(&self) {
        if let Some(mut child) = self.process.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// It answers again.
    ///
    /// # Panics
    /// When ipmi_sim cannot be started.
    pub fn revive(&self) {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        if process.is_some() {
            return;
        }
        let log = || File::options().create(true).append(true).open(self.dir.join("ipmi_sim.log")).expect("a log");
        let mut command = Command::new("ipmi_sim");
        command.arg("-c").arg(self.dir.join("lan.conf")).arg("-f").arg(self.dir.join("bmc.emu"));
        command.arg("-s").arg(self.dir.join("bmc-state")).arg("-n");
        // Its console reads commands from standard input; the end of that would end it.
        command.stdin(Stdio::piped()).stdout(log()).stderr(log());
        *process = Some(command.spawn().unwrap_or_else(|error| panic!("ipmi_sim (package openipmi): {error}")));
    }

    /// What it was asked to do to the machine so far: `set power 1`, `get boot` …
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Bmc {
    fn drop(&mut self) {
        self.dies();
    }
}

fn configuration(machine: &Machine, address: Ipv4Addr, program: &Path) -> String {
    let (name, port, program) = (machine.name(), machine.bmc_port(), program.display());
    let rights: String = ["callback", "user", "operator", "admin"]
        .map(|level| format!("    allowed_auths_{level} none md2 md5 straight\n"))
        .concat();
    format!(
        "name \"{name}\"\nset_working_mc 0x20\n  startlan 1\n    addr {address} 623\n    priv_limit admin\n{rights}    \
         guid a123456789abcdefa123456789abcdef\n    lan_config_program \"{program} {name}\"\n  endlan\n  \
         chassis_control \"{program} {name}\"\n  serial 15 127.0.0.1 {port} codec VM\n  \
         user 1 false \"\" \"\" user 10 none md2 md5 straight\n  \
         user 2 true \"{USER}\" \"{PASSWORD}\" admin 10 none md2 md5 straight\n"
    )
}
