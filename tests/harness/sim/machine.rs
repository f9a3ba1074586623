//! A simulated machine: power, boot flags, what runs on it, what it was told to do.

use super::faults::Faults;
use super::{firmware, offer};
use crate::bmc::{BmcServer, Chassis};
use common::step::Step;
use std::collections::HashMap;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The BMC's account.
pub const USER: &str = "root";
/// Its password.
pub const PASSWORD: &str = "calvin";
/// How long a cycle leaves a machine off.
const CYCLE: Duration = Duration::from_millis(30);

/// A machine with its BMC. Dropped: switched off, BMC gone.
pub struct SimMachine {
    /// What is behind the BMC.
    pub(super) body: Arc<Body>,
    bmc: BmcServer,
}

/// What a machine is; its tasks share it.
pub(super) struct Body {
    pub(super) mac: String,
    /// The boot server, `http://ADDRESS:PORT`.
    pub(super) boot_server: String,
    pub(super) http: reqwest::Client,
    pub(super) faults: Mutex<Faults>,
    pub(super) times: Mutex<HashMap<String, Duration>>,
    pub(super) clean_steps: Mutex<Vec<Step>>,
    pub(super) deploy_steps: Mutex<Vec<Step>>,
    pub(super) service_steps: Mutex<Vec<Step>>,
    state: Mutex<State>,
    diary: Mutex<Vec<String>>,
}

#[derive(Default)]
struct State {
    flags: [u8; 5],
    /// Set while the machine is on; cancelled when it goes off or resets.
    running: Option<CancellationToken>,
    boots: u32,
    /// The image on its disk.
    disk: Option<String>,
    runs: &'static str,
}

impl SimMachine {
    /// Starts the BMC; the machine is off.
    ///
    /// # Panics
    /// When the BMC's socket cannot be made.
    pub async fn start(boot_server: String, http: reqwest::Client) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let [_, a, b, c] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let body = Arc::new(Body {
            mac: format!("52:54:00:{a:02x}:{b:02x}:{c:02x}"),
            boot_server,
            http,
            faults: Mutex::default(),
            times: Mutex::default(),
            clean_steps: Mutex::new(offer::clean()),
            deploy_steps: Mutex::new(offer::deploy()),
            service_steps: Mutex::new(offer::service()),
            state: Mutex::new(State { runs: "nothing", ..State::default() }),
            diary: Mutex::default(),
        });
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let chassis = Box::new(Power(Arc::clone(&body)));
        let bmc = BmcServer::start(address, USER, PASSWORD, chassis).await.expect("a loopback port for a BMC");
        Self { body, bmc }
    }

    /// Its boot NIC.
    pub fn mac(&self) -> &str {
        &self.body.mac
    }

    /// Its BMC, for faults and for what it has seen.
    pub fn bmc(&self) -> &BmcServer {
        &self.bmc
    }

    /// Changes what goes wrong.
    pub fn faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut lock(&self.body.faults));
    }

    /// Nothing goes wrong any more.
    pub fn recovers(&self) {
        self.faults(|faults| *faults = Faults::default());
        self.bmc.faults(|faults| *faults = crate::bmc::Faults::default());
    }

    /// This step (or the pause after a failed `lookup`, or the `agent start` before the first) takes so long from now on.
    pub fn takes(&self, step: &str, time: Duration) {
        lock(&self.body.times).insert(step.into(), time);
    }

    /// Changes the clean steps that its agent offers.
    pub fn offers(&self, change: impl FnOnce(&mut Vec<Step>)) {
        change(&mut lock(&self.body.clean_steps));
    }

    /// It has power.
    pub fn is_on(&self) -> bool {
        self.body.is_on()
    }

    /// Somebody pulls the plug, or puts it back, behind the conductor's back.
    pub fn switch(&self, on: bool) {
        if on { self.body.switch_on() } else { self.body.switch_off() }
    }

    /// How often it was started or reset.
    pub fn boots(&self) -> u32 {
        self.body.state().boots
    }

    /// The image on its disk.
    pub fn disk(&self) -> Option<String> {
        self.body.state().disk.clone()
    }

    /// `nothing`, `firmware`, `ramdisk`, `iso` or `disk`.
    pub fn runs(&self) -> &'static str {
        self.body.state().runs
    }

    /// What happened on it, in order: `clean erase_devices`, `deploy write_image`, `inventory`, ...
    pub fn diary(&self) -> Vec<String> {
        lock(&self.body.diary).clone()
    }

    /// How often that happened.
    pub fn did(&self, what: &str) -> usize {
        lock(&self.body.diary).iter().filter(|line| line.as_str() == what).count()
    }
}

impl Drop for SimMachine {
    fn drop(&mut self) {
        self.body.switch_off();
    }
}

/// A poisoned lock only means that a story has failed already.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Body {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(super) fn is_on(&self) -> bool {
        self.state().running.is_some()
    }

    pub(super) fn note(&self, what: impl Into<String>) {
        lock(&self.diary).push(what.into());
    }

    pub(super) fn now_runs(&self, what: &'static str) {
        self.state().runs = what;
    }

    pub(super) fn write_disk(&self, image: Option<String>) {
        self.state().disk = image;
    }

    pub(super) fn set_time(&self, what: &str) -> Option<Duration> {
        lock(&self.times).get(what).copied()
    }

    pub(super) fn time_of(&self, step: &str) -> Duration {
        self.set_time(step).unwrap_or(Duration::from_millis(20))
    }

    pub(super) fn switch_on(self: &Arc<Self>) {
        let mut state = self.state();
        if state.running.is_some() {
            return;
        }
        let boot = CancellationToken::new();
        state.running = Some(boot.clone());
        state.boots += 1;
        state.runs = "firmware";
        let [valid, device, ..] = state.flags;
        if valid & 0x40 == 0 {
            state.flags = [0; 5]; // for the next boot only
        }
        drop(state);
        let from_disk = valid & 0x80 != 0 && device & 0x3c == 0x08;
        spawn(&boot, firmware::start(Arc::clone(self), boot.clone(), from_disk));
    }

    pub(super) fn switch_off(&self) {
        let mut state = self.state();
        state.runs = "nothing";
        if let Some(boot) = state.running.take() {
            boot.cancel();
        }
    }

    pub(super) fn reset(self: &Arc<Self>) {
        self.switch_off();
        self.switch_on();
    }
}

/// A task of one boot: it ends with the power.
pub(super) fn spawn(boot: &CancellationToken, work: impl Future<Output = ()> + Send + 'static) {
    let boot = boot.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = boot.cancelled() => {}
            () = work => {}
        }
    });
}

/// The machine as its BMC sees it.
struct Power(Arc<Body>);

impl Chassis for Power {
    fn is_on(&self) -> bool {
        self.0.is_on()
    }
    fn on(&self) {
        self.0.switch_on();
    }
    fn off(&self) {
        self.0.switch_off();
    }
    fn cycle(&self) {
        self.0.switch_off();
        let body = Arc::clone(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(CYCLE).await;
            body.switch_on();
        });
    }
    fn reset(&self) {
        self.0.reset();
    }
    fn soft(&self) {
        self.0.switch_off();
    }
    fn boot_flags(&self) -> [u8; 5] {
        self.0.state().flags
    }
    fn set_boot_flags(&self, flags: [u8; 5]) {
        self.0.state().flags = flags;
    }
}
