//! A running BMC: its socket and what a test may ask it.

use super::answers::Inner;
use super::chassis::Chassis;
use super::faults::Faults;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// A command that came in through a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Network function.
    pub netfn: u8,
    /// Command.
    pub command: u8,
    /// Data.
    pub data: Vec<u8>,
}

/// A running BMC. It ends when dropped.
pub struct BmcServer {
    /// Where it listens.
    pub addr: SocketAddr,
    inner: Arc<Mutex<Inner>>,
    task: JoinHandle<()>,
}

impl BmcServer {
    /// Starts one; give port 0 for a free one.
    pub async fn start(
        addr: SocketAddr,
        user: &str,
        password: &str,
        chassis: Box<dyn Chassis>,
    ) -> std::io::Result<BmcServer> {
        Self::start_with_kg(addr, user, password, None, chassis).await
    }

    /// Starts one that has a K_g.
    pub async fn start_with_kg(
        addr: SocketAddr,
        user: &str,
        password: &str,
        kg: Option<Vec<u8>>,
        chassis: Box<dyn Chassis>,
    ) -> std::io::Result<BmcServer> {
        let socket = UdpSocket::bind(addr).await?;
        let addr = socket.local_addr()?;
        let inner = Arc::new(Mutex::new(Inner {
            user: user.into(),
            password: password.into(),
            kg,
            faults: Faults::default(),
            chassis,
            sessions: HashMap::new(),
            packets: 0,
            opened: Vec::new(),
            refused: 0,
            seen: Vec::new(),
            last_sealed: None,
        }));
        let task = tokio::spawn(serve(socket, Arc::clone(&inner)));
        Ok(BmcServer { addr, inner, task })
    }

    /// Changes the faults.
    pub fn faults(&self, change: impl FnOnce(&mut Faults)) {
        let mut inner = self.lock();
        change(&mut inner.faults);
        inner.packets = 0;
        if inner.faults.dead {
            inner.sessions.clear();
        }
    }

    /// Restarts: every session is forgotten.
    pub fn forget_sessions(&self) {
        self.lock().sessions.clear();
    }

    /// Suites of the sessions opened so far, in order.
    pub fn opened(&self) -> Vec<u8> {
        self.lock().opened.clone()
    }

    /// Sessions open now.
    pub fn open_now(&self) -> usize {
        self.lock().sessions.values().filter(|session| session.keys.is_some()).count()
    }

    /// How often a proof of the password was asked for or refused without a session coming of it.
    pub fn refused(&self) -> u32 {
        self.lock().refused
    }

    /// Commands so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("the BMC's task does not panic")
    }
}

impl Drop for BmcServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: UdpSocket, inner: Arc<Mutex<Inner>>) {
    let mut buffer = [0; 1024];
    loop {
        // An error here is an ICMP message about a console that has gone.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let (replies, delay) = {
            let mut inner = inner.lock().expect("the BMC's task does not panic");
            (inner.datagram(&buffer[..length]), inner.faults.delay)
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        for reply in replies {
            let _ = socket.send_to(&reply, from).await;
        }
    }
}
