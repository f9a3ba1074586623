//! IPv6 router advertisements that say "nothing here for you", so that iPXE does not wait 12-17 s for a router per boot.
//!
//! Without a prefix the advertisement carries no address, no route (lifetime 0) and changes nothing on other hosts; with
//! one, machines make themselves an address below it (RFC 4861, 4862). Solicitations are answered at once, and now and
//! then one is sent unasked.

use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
const SOLICITATION: u8 = 133;
const ADVERTISEMENT: u8 = 134;
/// Between two unasked advertisements.
const UNASKED: Duration = Duration::from_secs(30);
/// Between any two: a flood of solicitations is answered four times a second. Everybody hears every answer.
const SHORTEST: Duration = Duration::from_millis(250);
/// How long machines may use an address below the prefix, seconds.
const VALID: u32 = 3600;

/// A /64 that machines may make addresses from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix(pub Ipv6Addr);

/// The advertisement as an ICMPv6 message; the kernel fills the checksum in.
pub fn advertisement(prefix: Option<Prefix>) -> Vec<u8> {
    // Type, code, checksum, hop limit (0: not said), no flags, lifetime 0 (not a default router), timers not said.
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, 0, 0, 0, 0];
    message.extend([0; 8]);
    if let Some(Prefix(address)) = prefix {
        // Prefix information: 4 words of 8 bytes, /64, on link and autonomous.
        message.extend([3, 4, 64, 0xc0]);
        message.extend(VALID.to_be_bytes());
        message.extend((VALID / 2).to_be_bytes());
        message.extend([0; 4]);
        message.extend(&address.octets()[..8]);
        message.extend([0; 8]);
    }
    message
}

/// The advertiser of one interface.
#[derive(Debug)]
pub struct Advertiser {
    socket: UdpSocket,
    to: SocketAddrV6,
    message: Vec<u8>,
}

impl Advertiser {
    /// Opens the raw socket: needs CAP_NET_RAW.
    pub fn open(interface: &str, prefix: Option<Prefix>) -> io::Result<Self> {
        let index = if_nametoindex(interface)?;
        let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.set_multicast_if_v6(index)?;
        // Receivers drop advertisements that could have come through a router.
        socket.set_multicast_hops_v6(255)?;
        socket.set_unicast_hops_v6(255)?;
        socket.join_multicast_v6(&ALL_ROUTERS, index)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            // A raw socket sends and receives like a datagram socket; tokio only needs the descriptor.
            socket: UdpSocket::from_std(socket.into())?,
            to: SocketAddrV6::new(ALL_NODES, 0, 0, index),
            message: advertisement(prefix),
        })
    }

    /// Advertises until `stop`.
    pub async fn serve(self, stop: CancellationToken) {
        let mut next = Instant::now();
        let mut earliest = Instant::now();
        let mut packet = [0; 1500];
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(next) => {
                    if let Err(error) = self.socket.send_to(&self.message, SocketAddr::V6(self.to)).await {
                        // The link is down or its own address is not ready yet.
                        tracing::debug!(%error, "a router advertisement could not be sent");
                    }
                    earliest = Instant::now() + SHORTEST;
                    next = Instant::now() + UNASKED;
                }
                received = self.socket.recv_from(&mut packet) => match received {
                    Ok((length, _)) if packet[..length].first() == Some(&SOLICITATION) => next = next.min(earliest.max(Instant::now())),
                    Ok(_) => {}
                    Err(error) => {
                        tracing::debug!(%error, "the ICMPv6 socket reports an error");
                        tokio::time::sleep(SHORTEST).await;
                    }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_prefix_it_announces_nothing() {
        let message = advertisement(None);
        assert_eq!(message.len(), 16);
        assert_eq!((message[0], &message[1..]), (134, [0; 15].as_slice()));
    }

    #[test]
    fn a_prefix_is_one_option_of_32_bytes() {
        let message = advertisement(Some(Prefix("fd22::1".parse().unwrap())));
        assert_eq!(message.len(), 48);
        assert_eq!(message[16..20], [3, 4, 64, 0xc0]);
        assert_eq!(message[32..48], "fd22::".parse::<Ipv6Addr>().unwrap().octets());
    }
}
