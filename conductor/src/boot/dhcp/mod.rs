//! DHCP for network boot: `full` gives addresses to machines it knows, `proxy` only boot options beside another server.
//!
//! `request` types what arrives, `lease` decides about addresses, `full` and `proxy` decide about answers, `reply` writes
//! them; this file owns the sockets. Unknown machines get no answer at all.

pub mod full;
pub mod lease;
pub mod lease_file;
pub mod pool;
pub mod proxy;
pub mod reply;
pub mod request;

use super::directory::BootDirectory;
use super::http::Addresses;
use common::mac::Mac;
use full::Network;
use lease::LeaseBook;
use lease_file::LeaseFile;
use reply::{Destination, Reply, Server};
use request::Request;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

/// Which machines are answered. Asked for every packet: keep it short.
pub trait KnownMachines: Send + Sync {
    /// This NIC belongs to a machine of ours.
    fn knows(&self, mac: Mac) -> bool;
}

impl KnownMachines for BootDirectory {
    fn knows(&self, mac: Mac) -> bool {
        BootDirectory::knows(self, mac)
    }
}

/// Leases, shared between the DHCP server and whoever asks for addresses.
#[derive(Clone, Debug)]
pub struct Leases {
    book: Arc<Mutex<LeaseBook>>,
    file: Option<LeaseFile>,
}

impl Leases {
    /// With the leases of the last run, if there is a file.
    pub fn load(mut book: LeaseBook, file: Option<LeaseFile>) -> Self {
        if let Some(file) = &file {
            file.load(&mut book);
        }
        Self { book: Arc::new(Mutex::new(book)), file }
    }

    async fn save(&self) {
        let Some(file) = self.file.clone() else { return };
        let leases: Vec<_> = self.book.lock().unwrap_or_else(PoisonError::into_inner).bound().collect();
        let saved = tokio::task::spawn_blocking(move || file.save(&leases)).await;
        if let Ok(Err(error)) = saved {
            tracing::warn!(%error, "DHCP leases could not be saved; after a restart machines may get other addresses");
        }
    }
}

impl Addresses for Leases {
    fn address_of(&self, mac: Mac) -> Option<Ipv4Addr> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).address_of(mac, unix_now())
    }
}

/// What one socket does.
pub enum Role {
    /// Port 67 of the full server.
    Full(Network, Leases),
    /// Port 67 beside another server.
    Proxy,
    /// Port 4011 beside another server.
    ProxyDirect,
}

/// One DHCP socket with its duty.
pub struct Dhcp {
    /// Bound, non-blocking, allowed to broadcast.
    pub socket: UdpSocket,
    /// Facts for the answers.
    pub server: Server,
    /// Who is answered.
    pub known: Arc<dyn KnownMachines>,
    /// What it does.
    pub role: Role,
    /// Port of clients without an address: 68, another one in tests.
    pub client_port: u16,
}

impl Dhcp {
    /// Answers until `stop`.
    pub async fn serve(self, stop: CancellationToken) {
        let mut packet = vec![0; 4096];
        loop {
            let received = tokio::select! {
                () = stop.cancelled() => return,
                received = self.socket.recv_from(&mut packet) => received,
            };
            match received {
                Ok((length, source)) => self.handle(&packet[..length], source).await,
                // A link that went down, for instance: it passes, but not by asking again at once.
                Err(error) => {
                    tracing::warn!(%error, "the DHCP socket reports an error");
                    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                }
            }
        }
    }

    async fn handle(&self, packet: &[u8], source: SocketAddr) {
        let Some(request) = Request::read(packet) else { return };
        if !self.known.knows(request.mac) {
            tracing::debug!(mac = %request.mac, "DHCP: unknown machine, no answer");
            return;
        }
        let reply = match &self.role {
            Role::Full(network, leases) => {
                let outcome = {
                    let mut book = leases.book.lock().unwrap_or_else(PoisonError::into_inner);
                    full::decide(&self.server, network, &mut book, &request, unix_now())
                };
                if outcome.changed {
                    leases.save().await;
                }
                outcome.reply
            }
            Role::Proxy => proxy::decide(&self.server, &request),
            Role::ProxyDirect => proxy::decide_direct(&self.server, &request),
        };
        if let Some(reply) = reply {
            self.send(&reply, source, &request).await;
        }
    }

    async fn send(&self, reply: &Reply, source: SocketAddr, request: &Request) {
        let to = match reply.to {
            Destination::Relay(relay) => SocketAddrV4::new(relay, 67).into(),
            Destination::Client(address) => SocketAddrV4::new(address, self.client_port).into(),
            Destination::Broadcast => SocketAddrV4::new(Ipv4Addr::BROADCAST, self.client_port).into(),
            Destination::Source => source,
        };
        if let Err(error) = self.socket.send_to(&reply.bytes, to).await {
            tracing::warn!(mac = %request.mac, %to, %error, "a DHCP answer could not be sent");
        }
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests;
