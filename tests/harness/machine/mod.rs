//! A virtual server behind a power switch and a boot selector, as a BMC sees a real one. A reset by the guest ends the
//! emulator and starts a new one, so that a changed boot device or medium counts from then on; a power-off stays off.

mod arguments;
mod emulator;
mod spec;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

pub use self::arguments::BootDevice;
use self::arguments::{PowerOn, disk_file, variables};
use self::emulator::Emulator;
pub use self::spec::{Bus, Disk, Firmware, GIB, Nic, Spec};
use crate::console::Console;

/// The server. Clones are the same server.
#[derive(Debug, Clone)]
pub struct Machine(Arc<Server>);

#[derive(Debug)]
struct Server {
    name: String,
    dir: PathBuf,
    spec: Spec,
    mac: String,
    uuid: String,
    tap: String,
    bmc_port: u16,
    console: Console,
    switch: Mutex<Switch>,
    powered: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Switch {
    emulator: Option<Emulator>,
    /// Counts power-ons, so that the end of an old emulator is not taken for the end of a new one.
    round: u64,
    next_boot: Option<(BootDevice, Lasting)>,
    pulled: Vec<usize>,
    cd: Option<PathBuf>,
}

/// How long a chosen boot device counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// For the next boot.
    Once,
    /// Until another is chosen.
    Always,
}

impl Machine {
    /// Builds the server, off, with empty disks, below `parent`. `index` makes its addresses.
    ///
    /// # Panics
    /// When its files cannot be made.
    pub fn build(parent: &Path, index: u8, spec: Spec, tap: String) -> Self {
        let name = format!("node-{index}");
        let dir = parent.join(&name);
        fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        for (number, disk) in spec.disks.iter().enumerate() {
            let made = File::create(disk_file(&dir, number)).and_then(|file| file.set_len(disk.bytes));
            made.unwrap_or_else(|error| panic!("disk {number} of {name}: {error}"));
        }
        if spec.firmware == Firmware::Uefi {
            fresh_variables(&dir);
        }
        let console = Console::new(&dir.join("console.log"));
        console.listen(&format!("{name}.console"));
        let mac = format!("52:54:00:aa:00:{index:02x}");
        let uuid = format!("4c4c4544-0000-1000-8000-525400aa00{index:02x}");
        let (switch, powered) = (Mutex::default(), watch::Sender::new(false));
        let bmc_port = 9002 + u16::from(index);
        Machine(Arc::new(Server { name, dir, spec, mac, uuid, tap, bmc_port, console, switch, powered }))
    }

    /// `node-0`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its folder: disks, console log, emulator's errors.
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// What it is made of.
    pub fn spec(&self) -> &Spec {
        &self.0.spec
    }

    /// Its network card's address.
    pub fn mac(&self) -> &str {
        &self.0.mac
    }

    /// Its system UUID as SMBIOS says it.
    pub fn uuid(&self) -> &str {
        &self.0.uuid
    }

    /// Where its BMC listens for the in-band connection, on 127.0.0.1.
    pub fn bmc_port(&self) -> u16 {
        self.0.bmc_port
    }

    /// Its serial console.
    pub fn console(&self) -> &Console {
        &self.0.console
    }

    /// The file behind disk number `index`. Read it only while the machine is off.
    pub fn disk(&self, index: usize) -> PathBuf {
        disk_file(&self.0.dir, index)
    }

    /// Whether it runs.
    pub fn is_on(&self) -> bool {
        self.lock().emulator.is_some()
    }

    /// Switches it on; nothing happens when it is.
    pub fn power_on(&self) {
        let mut switch = self.lock();
        if switch.emulator.is_none() {
            self.start(&mut switch);
        }
    }

    /// Cuts the power. When this returns the disks are no longer written.
    pub fn power_off(&self) {
        let taken = self.lock().emulator.take();
        if let Some(emulator) = taken {
            emulator.kill();
            self.0.console.note("--- power cut");
            self.0.powered.send_replace(false);
        }
    }

    /// Cuts the power and switches it on again.
    pub fn reset(&self) {
        self.power_off();
        self.power_on();
    }

    /// Presses the power button.
    pub fn press_button(&self) {
        if let Some(emulator) = &self.lock().emulator {
            emulator.say(r#"{"execute":"system_powerdown"}"#);
        }
    }

    /// Chooses what the firmware tries first; `None` is the default order.
    pub fn boot_from(&self, device: Option<BootDevice>, lasting: Lasting) {
        self.lock().next_boot = device.map(|device| (device, lasting));
    }

    /// What was chosen and not yet used.
    pub fn next_boot(&self) -> Option<BootDevice> {
        self.lock().next_boot.map(|(device, _)| device)
    }

    /// Pulls disk number `index` out of its slot. Counts from the next boot.
    pub fn pull(&self, index: usize) {
        self.lock().pulled.push(index);
    }

    /// The firmware's own memory is as new: its boot entries are gone. For a machine that is off.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn forget_variables(&self) {
        fresh_variables(&self.0.dir);
    }

    /// Puts a medium into the tray, or takes it out. Counts from the next boot.
    pub fn insert(&self, medium: Option<PathBuf>) {
        self.lock().cd = medium;
    }

    /// Waits until it is off (`false`) or on; false when that did not come.
    pub async fn reaches_power(&self, on: bool, patience: Duration) -> bool {
        let mut powered = self.0.powered.subscribe();
        tokio::time::timeout(patience, powered.wait_for(|now| *now == on)).await.is_ok()
    }

    fn lock(&self) -> MutexGuard<'_, Switch> {
        self.0.switch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, switch: &mut Switch) {
        let boot = switch.next_boot.map_or(BootDevice::Disk, |(device, _)| device);
        if matches!(switch.next_boot, Some((_, Lasting::Once))) {
            switch.next_boot = None;
        }
        let server = &self.0;
        let arguments = arguments::arguments(&PowerOn {
            spec: &server.spec,
            name: &server.name,
            dir: &server.dir,
            mac: &server.mac,
            uuid: &server.uuid,
            tap: &server.tap,
            bmc_port: Some(server.bmc_port),
            boot,
            cd: switch.cd.as_deref(),
            pulled: &switch.pulled,
        });
        server.console.note(&format!("--- power on, boots from {boot:?}"));
        switch.round += 1;
        let (machine, round) = (self.clone(), switch.round);
        let ended = move |reason: &str| machine.ended(round, reason);
        switch.emulator = Some(Emulator::start(&arguments, &server.dir.join("qemu.err"), ended));
        server.powered.send_replace(true);
    }

    /// Called when an emulator ended by itself.
    fn ended(&self, round: u64, reason: &str) {
        let mut switch = self.lock();
        if switch.round != round || switch.emulator.is_none() {
            return; // we ended it
        }
        self.0.console.note(&format!("--- off: {reason}"));
        switch.emulator = None;
        if reason == "guest-reset" {
            self.start(&mut switch);
        } else {
            self.0.powered.send_replace(false);
        }
    }
}

fn fresh_variables(dir: &Path) {
    let copied = fs::copy("/usr/share/OVMF/OVMF_VARS_4M.fd", variables(dir));
    copied.unwrap_or_else(|error| panic!("UEFI variables (package ovmf): {error}"));
}
