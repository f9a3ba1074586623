//! Looks the API up by multicast DNS, when the operator asked for it (RFC 6762, 6763; ipa-features section 5).
//!
//! Nobody proves anything here: whoever answers first on the local network says where the API is. Hence opt-in, and
//! hence only named options may be changed by an answer.

pub mod message;

use message::{Answers, query};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::{Duration, Instant};

const PORT: u16 = 5353;
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
/// Services of the field.
pub const API: &str = "baremetal._openstack._tcp.local";
/// Where inspection data go.
pub const INSPECTION: &str = "baremetal-introspection._openstack._tcp.local";
/// Time for the answers to one question.
const PATIENCE: Duration = Duration::from_secs(3);
/// Pause after the first question without answer; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Most packets read for one question, most interfaces asked on.
const MAX_PACKETS: usize = 256;
const MAX_INTERFACES: usize = 64;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `http://192.0.2.1:6385/path`, no slash at the end.
    pub url: String,
    /// Options that the answer wants to set, without their prefix `ipa_`.
    pub options: Vec<(String, String)>,
}

/// Why nothing was found.
#[derive(Debug, thiserror::Error)]
pub enum MdnsError {
    /// Nobody answered.
    #[error(
        "nobody on the local network answered for {service} by mDNS ({attempts} questions); is the conductor announced there? Else give its address as ipa-api-url"
    )]
    Silence {
        /// Who was asked for.
        service: String,
        /// How often.
        attempts: u32,
    },
    /// No interface to ask on.
    #[error("no network interface can be asked by mDNS: {0}")]
    NoSocket(String),
    /// An answer without a usable address.
    #[error("the mDNS answer for {0} has no address that this machine could reach")]
    NoAddress(String),
}

/// Asks for `service`, `attempts` times. `interfaces`: addresses of the interfaces to ask on; empty: all of them. Blocks.
///
/// # Errors
/// [`MdnsError`].
pub fn find(service: &str, attempts: u32, interfaces: &[IpAddr]) -> Result<Endpoint, MdnsError> {
    let mut pause = FIRST_PAUSE;
    for attempt in 1..=attempts.max(1) {
        if let Some(answers) = ask(service, interfaces)? {
            return endpoint(service, &answers);
        }
        if attempt < attempts {
            std::thread::sleep(pause); // between two questions on a shared wire, as RFC 6762 section 5.2 asks for
            pause *= 2;
        }
    }
    Err(MdnsError::Silence { service: service.into(), attempts })
}

/// One question on every interface, from ports of our own: answers come back to us alone (RFC 6762 section 6.7).
fn ask(service: &str, interfaces: &[IpAddr]) -> Result<Option<Answers>, MdnsError> {
    let question = query(service, rand::random());
    let mut sockets = Vec::new();
    let mut failure = "there is none with an address".to_owned();
    for place in places(interfaces) {
        match place.socket().and_then(|(socket, group)| socket.send_to(&question, group).map(|_| socket)) {
            Ok(socket) => sockets.push(socket),
            Err(error) => failure = error.to_string(),
        }
    }
    if sockets.is_empty() {
        return Err(MdnsError::NoSocket(failure));
    }
    let deadline = Instant::now() + PATIENCE;
    let mut answers = Answers::new(service);
    let mut packet = [0u8; 9000];
    for _ in 0..MAX_PACKETS {
        let left = deadline.saturating_duration_since(Instant::now());
        let Some(ready) = ready(&sockets, left) else { break };
        let Ok((length, from)) = ready.recv_from(&mut packet) else { continue };
        if from.port() == PORT {
            answers.read(packet.get(..length).unwrap_or_default());
            if answers.is_complete() {
                return Ok(Some(answers));
            }
        }
    }
    Ok(answers.has_service().then_some(answers))
}

/// The first socket with something to read; none when time is up.
fn ready(sockets: &[UdpSocket], time: Duration) -> Option<&UdpSocket> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    let mut asked: Vec<PollFd> = sockets.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
    if time.is_zero() || poll(&mut asked, PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX)).ok()? == 0 {
        return None;
    }
    let at = asked.iter().position(|fd| fd.any() == Some(true))?;
    sockets.get(at)
}

/// An interface to ask on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    V4(Ipv4Addr),
    V6(u32),
}

impl Place {
    fn socket(self) -> io::Result<(UdpSocket, SocketAddr)> {
        let (domain, from, group): (Domain, SocketAddr, SocketAddr) = match self {
            Place::V4(address) => (Domain::IPV4, (address, 0).into(), (GROUP_V4, PORT).into()),
            Place::V6(index) => {
                (Domain::IPV6, (Ipv6Addr::UNSPECIFIED, 0).into(), SocketAddrV6::new(GROUP_V6, PORT, 0, index).into())
            }
        };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        match self {
            Place::V4(address) => {
                socket.set_multicast_if_v4(&address)?;
                socket.set_multicast_ttl_v4(255)?;
            }
            Place::V6(index) => {
                socket.set_only_v6(true)?;
                socket.set_multicast_if_v6(index)?;
                socket.set_multicast_hops_v6(255)?;
            }
        }
        socket.bind(&SockAddr::from(from))?;
        socket.set_nonblocking(true)?;
        Ok((socket.into(), group))
    }
}

/// Interfaces that are on and can multicast, by IPv4 address or by number.
fn places(wanted: &[IpAddr]) -> Vec<Place> {
    let mut places = BTreeSet::new();
    for entry in getifaddrs().into_iter().flatten() {
        let usable = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_MULTICAST;
        let Some(address) = entry.address.filter(|_| entry.flags.contains(usable)) else { continue };
        if let Some(v4) = address.as_sockaddr_in().map(|v4| v4.ip()) {
            if wanted.is_empty() || wanted.contains(&v4.into()) {
                places.insert(Place::V4(v4));
            }
        } else if let Some(v6) = address.as_sockaddr_in6()
            && (wanted.is_empty() || wanted.contains(&v6.ip().into()))
            && let Ok(index) = nix::net::if_::if_nametoindex(entry.interface_name.as_str())
        {
            places.insert(Place::V6(index));
        }
    }
    places.into_iter().take(MAX_INTERFACES).collect()
}

/// The URL that an answer means.
fn endpoint(service: &str, answers: &Answers) -> Result<Endpoint, MdnsError> {
    let none = || MdnsError::NoAddress(service.into());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let (server, port) = answers.server().filter(|(name, _)| name.bytes().all(plain)).ok_or_else(none)?;
    let mut protocol = if port == 80 { "http" } else { "https" }.to_owned();
    let (mut path, mut options) = (String::new(), Vec::new());
    for (key, value) in answers.texts() {
        match key.as_str() {
            "protocol" if matches!(value.as_str(), "http" | "https") => protocol = value.clone(),
            "path" => path = value.clone(),
            key => options.extend(key.strip_prefix("ipa_").map(|option| (option.to_owned(), value.clone()))),
        }
    }
    let host = if server.ends_with(".local") {
        // Such a name means: take the address.
        let address = best_address(answers.addresses()).ok_or_else(none)?;
        match address {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("[{v6}]"),
        }
    } else {
        server.to_owned()
    };
    let url = format!("{protocol}://{host}:{port}/{}", path.trim_matches('/'));
    let url = url::Url::parse(&url).map_err(|_| none())?;
    Ok(Endpoint { url: url.as_str().trim_end_matches('/').to_owned(), options })
}

/// The first that the routes reach, else the first; never one of the loop, nor one that is valid only on one link.
fn best_address(addresses: &[IpAddr]) -> Option<IpAddr> {
    let local = |address: &IpAddr| match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_unspecified() || v4.is_multicast(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local(),
    };
    let mut usable = addresses.iter().filter(|address| !local(address));
    usable.clone().find(|address| is_reachable(**address)).or_else(|| usable.next()).copied()
}

/// There is a route. Connecting a datagram socket sends nothing.
fn is_reachable(address: IpAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((address, 9))).is_ok()
}

#[cfg(test)]
mod tests;
