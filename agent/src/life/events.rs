//! The kernel's news: links and addresses that change, devices that appear. Waiting for news beats asking every few seconds.
//!
//! Only that something happened is of interest, so what the messages say is thrown away: a hostile one can do nothing here.

use nix::sys::socket::{AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, socket};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::time::Duration;
use tokio::net::UnixDatagram;

/// `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV4_ROUTE`, `RTMGRP_IPV6_IFADDR`, `RTMGRP_IPV6_ROUTE` (linux/rtnetlink.h).
const NETWORK_GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

/// Group of the kernel's own device events.
const DEVICE_GROUPS: u32 = 1;

/// Without a socket (no permission), the pause after which to look again.
const BLIND_PAUSE: Duration = Duration::from_secs(1);

/// News come in bursts; what follows within this time belongs to the same one.
const BURST: Duration = Duration::from_millis(50);

/// Between two looks, whatever the news.
const LEAST_PAUSE: Duration = Duration::from_millis(100);

/// A source of news. (The type is only a way to await a datagram socket without `unsafe`: what is inside is a netlink socket.)
pub struct Events(Option<UnixDatagram>);

impl Events {
    /// Links, addresses, routes.
    pub fn of_network() -> Self {
        Self::open(SockProtocol::NetlinkRoute, NETWORK_GROUPS)
    }

    /// Devices.
    pub fn of_devices() -> Self {
        Self::open(SockProtocol::NetlinkKObjectUEvent, DEVICE_GROUPS)
    }

    fn open(protocol: SockProtocol, groups: u32) -> Self {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let open = || -> std::io::Result<UnixDatagram> {
            let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
            bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
            UnixDatagram::from_std(fd.into())
        };
        match open() {
            Ok(socket) => Self(Some(socket)),
            Err(cause) => {
                tracing::debug!(error = %cause, "no netlink socket; looking every second instead");
                Self(None)
            }
        }
    }

    /// Waits for `pause`, or less when something happens: then true. Never less than [`LEAST_PAUSE`].
    pub async fn pause(&mut self, pause: Duration) -> bool {
        let least = LEAST_PAUSE.min(pause);
        tokio::time::sleep(least).await;
        tokio::time::timeout(pause - least, self.next()).await.is_ok()
    }

    /// Returns after something happened (or, blind, after a second). Give it a time limit.
    pub async fn next(&mut self) {
        let Some(socket) = &self.0 else { return tokio::time::sleep(BLIND_PAUSE).await };
        match socket.readable().await {
            Ok(()) => {
                tokio::time::sleep(BURST).await;
                drain(socket);
            }
            Err(_) => tokio::time::sleep(BLIND_PAUSE).await,
        }
    }
}

/// Empties the queue; an overflow (ENOBUFS) is news as well.
fn drain(socket: &UnixDatagram) {
    let mut buffer = [0u8; 8192];
    // Bounded: a storm of events must not keep us here.
    for _ in 0..256 {
        if socket.try_recv(&mut buffer).is_err_and(|cause| cause.kind() == ErrorKind::WouldBlock) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_sources_open_and_are_quiet_or_drained() {
        for mut events in [Events::of_network(), Events::of_devices()] {
            assert!(events.0.is_some(), "netlink sockets need no privilege");
            // News may come at any time on a living machine; what must not happen is a busy loop on news already seen.
            let looks = async {
                let mut looks = 0u32;
                loop {
                    events.next().await;
                    looks += 1;
                    assert!(looks < 20, "woken again and again");
                }
            };
            let _ = tokio::time::timeout(Duration::from_millis(300), looks).await;
        }
    }
}
