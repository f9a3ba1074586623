//! One BMC: its socket, its session, one command at a time. Others do not wait for it: it has its own lock.

use super::bridge::Bridge;
use super::command::{Command, device_id, manufacturer};
use super::error::IpmiError;
use super::info::Access;
use super::line::Line;
use super::options::IpmiOptions;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep_until, timeout_at};

/// A BMC. Share it: all its users share the session.
pub struct Bmc {
    access: Access,
    options: IpmiOptions,
    line: Mutex<Line>,
}

impl Bmc {
    /// Nothing is sent before the first command.
    pub fn new(access: Access, options: IpmiOptions) -> Arc<Self> {
        Arc::new(Self { access, options, line: Mutex::default() })
    }

    /// How to get in.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Its options.
    pub fn options(&self) -> &IpmiOptions {
        &self.options
    }

    /// Does a command and gives the data of its answer. Logs in when needed, repeats what got lost, waits for a busy BMC,
    /// and is done with it, well or not, within `command_retry_timeout`.
    pub async fn call(self: &Arc<Self>, bridge: Bridge, command: &Command) -> Result<Vec<u8>, IpmiError> {
        let deadline = Instant::now() + self.options.command_retry_timeout;
        let Ok(mut line) = timeout_at(deadline, self.line.lock()).await else {
            return Err(IpmiError::Silent(format!(
                "earlier commands to this BMC took more than {} s: it is slow or dead",
                self.options.command_retry_timeout.as_secs()
            )));
        };
        let result = line.call(self, bridge, command, deadline).await;
        line.used = Some(Instant::now());
        self.watch(&mut line);
        result
    }

    /// IANA number of the manufacturer; asked once for the BMC itself, each time for what is behind it.
    pub async fn manufacturer(self: &Arc<Self>, bridge: Bridge) -> Result<Option<u32>, IpmiError> {
        if bridge != Bridge::No {
            return Ok(manufacturer(&self.call(bridge, &device_id()).await?));
        }
        if let Some(known) = self.line.lock().await.manufacturer {
            return Ok(Some(known));
        }
        let number = manufacturer(&self.call(bridge, &device_id()).await?);
        self.line.lock().await.manufacturer = number;
        Ok(number)
    }

    /// Ends the session, so that its slot is free at once. The next command opens a new one.
    pub async fn close(&self) {
        self.line.lock().await.close().await;
    }

    /// Does nobody have a session or a command with it?
    pub fn is_idle(&self) -> bool {
        self.line.try_lock().is_ok_and(|line| line.session.is_none())
    }

    /// Has one task close the session some time after the last command.
    fn watch(self: &Arc<Self>, line: &mut MutexGuard<'_, Line>) {
        if !line.watched && line.session.is_some() {
            line.watched = true;
            tokio::spawn(close_when_idle(Arc::downgrade(self), self.options.session_idle));
        }
    }
}

async fn close_when_idle(bmc: Weak<Bmc>, idle: Duration) {
    let mut until = Instant::now() + idle;
    loop {
        sleep_until(until).await;
        let Some(bmc) = bmc.upgrade() else { return };
        let mut line = bmc.line.lock().await;
        until = line.used.unwrap_or(until) + idle;
        if until <= Instant::now() {
            line.close().await;
            line.watched = false;
            return;
        }
    }
}
