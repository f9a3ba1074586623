//! The full server: addresses, leases and boot options, for machines it knows; silence for everybody else.

use super::lease::LeaseBook;
use super::reply::{Answer, Destination, Reply, Server};
use super::request::{Kind, Request};
use dhcproto::v4::{DhcpOption, MessageType};
use std::net::Ipv4Addr;

/// What clients are told besides their address.
#[derive(Clone, Debug)]
pub struct Network {
    /// Netmask.
    pub netmask: Ipv4Addr,
    /// Default route.
    pub router: Option<Ipv4Addr>,
    /// Name servers.
    pub dns: Vec<Ipv4Addr>,
    /// Seconds of a lease.
    pub lease_seconds: u32,
    /// No other server is responsible: a client with an address that is not from here is told so at once.
    pub authoritative: bool,
}

/// What came of a request.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The answer, if any.
    pub reply: Option<Reply>,
    /// The leases changed: save them before the answer goes out.
    pub changed: bool,
}

/// Decides about a request of a known machine.
pub fn decide(server: &Server, network: &Network, book: &mut LeaseBook, request: &Request, now: u64) -> Outcome {
    match request.kind {
        Kind::Discover => {
            let offered = book.offer(request.mac, request.requested, now);
            if offered.is_none() {
                tracing::warn!(mac = %request.mac, "the DHCP range is used up; enlarge [dhcp]range_start, range_end");
            }
            let reply = offered.and_then(|ip| lease(server, network, request, MessageType::Offer, ip));
            Outcome { reply, changed: false }
        }
        Kind::Request => asked(server, network, book, request, now),
        Kind::Decline => {
            let changed = request.requested.is_some_and(|ip| book.decline(request.mac, ip, now));
            tracing::warn!(mac = %request.mac, address = ?request.requested, "a client found its address in use by another");
            Outcome { reply: None, changed }
        }
        Kind::Release => Outcome { reply: None, changed: book.release(request.mac, request.ciaddr, now) },
        Kind::Inform if request.ciaddr.is_unspecified() => Outcome::default(),
        Kind::Inform => {
            let mut answer = Answer::new(server, request, MessageType::Ack);
            answer.addresses(Ipv4Addr::UNSPECIFIED, request.ciaddr);
            Outcome { reply: finish(answer, network), changed: false }
        }
    }
}

fn asked(server: &Server, network: &Network, book: &mut LeaseBook, request: &Request, now: u64) -> Outcome {
    // An answer to an offer names the server it takes; RFC 2131 section 4.3.2 tells the other cases by what is missing.
    match request.server {
        Some(chosen) if chosen != server.address => {
            book.drop_offer(request.mac);
            return Outcome::default();
        }
        _ => {}
    }
    let wanted = request.requested.unwrap_or(request.ciaddr);
    if wanted.is_unspecified() {
        return Outcome::default();
    }
    if book.bind(request.mac, wanted, now, network.lease_seconds) {
        tracing::info!(mac = %request.mac, address = %wanted, client = ?request.client, "DHCP lease given");
        return Outcome { reply: lease(server, network, request, MessageType::Ack, wanted), changed: true };
    }
    let ours = request.server.is_some();
    let reply = (network.authoritative || ours).then(|| refuse(server, request)).flatten();
    Outcome { reply, changed: false }
}

fn lease(server: &Server, network: &Network, request: &Request, kind: MessageType, ip: Ipv4Addr) -> Option<Reply> {
    let mut answer = Answer::new(server, request, kind);
    let seconds = network.lease_seconds;
    answer
        .addresses(ip, request.ciaddr)
        .put(DhcpOption::AddressLeaseTime(seconds))
        .put(DhcpOption::Renewal(seconds / 2))
        .put(DhcpOption::Rebinding(seconds / 8 * 7));
    finish(answer, network)
}

fn finish(mut answer: Answer<'_>, network: &Network) -> Option<Reply> {
    answer.put(DhcpOption::SubnetMask(network.netmask)).boot().no_proxy_to_wait_for();
    if let Some(router) = network.router {
        answer.put(DhcpOption::Router(vec![router]));
    }
    if !network.dns.is_empty() {
        answer.put(DhcpOption::DomainNameServer(network.dns.iter().copied().take(4).collect()));
    }
    answer.send(answer.destination())
}

fn refuse(server: &Server, request: &Request) -> Option<Reply> {
    tracing::info!(mac = %request.mac, "a client asks for an address that is not its own here; refused");
    let answer = Answer::new(server, request, MessageType::Nak);
    // Its address is wrong, so nothing can be sent to it.
    let to = match answer.destination() {
        Destination::Relay(relay) => Destination::Relay(relay),
        _ => Destination::Broadcast,
    };
    answer.send(to)
}
