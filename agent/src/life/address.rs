//! The address to tell the conductor: where packets to the API leave this machine (ipa-features section 6).

use super::events::Events;
use super::{LifeError, Machine};
use crate::config::Config;
use crate::home::Home;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::UdpSocket;

/// Where the conductor finds us. The text must not change while the conductor holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// Also the only name in the certificate.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
}

impl Advertised {
    /// `https://192.0.2.41:9999`; IPv6 in brackets, no slash at the end.
    pub fn url(&self, protocol: &str) -> String {
        format!("{protocol}://{}", SocketAddr::new(self.address, self.port))
    }
}

/// Finds it: configured, or of the configured interface, or by asking the routes in rounds until DHCP has done its work.
///
/// # Errors
/// [`LifeError::NoAddress`] after the last round, [`LifeError::BadAddress`].
pub async fn find(config: &Config, home: &Home, machine: &impl Machine, port: u16) -> Result<Advertised, LifeError> {
    let port = config.advertise_port.unwrap_or(port);
    if let Some(host) = &config.advertise_host {
        let address = host.trim_matches(['[', ']']).parse().map_err(|_| LifeError::BadAddress(host.clone()))?;
        return Ok(Advertised { address, port });
    }
    let mut events = Events::of_network();
    for round in 1..=config.ip_lookup_attempts {
        let found = match &config.network_interface {
            Some(name) => of_interface(machine, name),
            None => of_route(&home.urls()).await,
        };
        if let Some(address) = found {
            return Ok(Advertised { address, port });
        }
        tracing::warn!(round, of = config.ip_lookup_attempts, "no address for the conductor to call yet");
        let _ = tokio::time::timeout(config.ip_lookup_sleep, events.next()).await;
    }
    Err(LifeError::NoAddress)
}

fn of_interface(machine: &impl Machine, name: &str) -> Option<IpAddr> {
    let interface = machine.interfaces().into_iter().find(|interface| interface.name == name)?;
    interface.ipv4_address?.parse().ok()
}

/// The URL that answered last comes first, so the way that works decides.
async fn of_route(urls: &[String]) -> Option<IpAddr> {
    for url in urls.iter().filter_map(|url| url::Url::parse(url).ok()) {
        let Some(host) = url.host_str() else { continue };
        let port = url.port_or_known_default().unwrap_or(6385);
        let Ok(addresses) = tokio::net::lookup_host((host.trim_matches(['[', ']']), port)).await else { continue };
        for api in addresses {
            if let Some(source) = source_towards(api).await.filter(|source| !is_link_local(*source)) {
                return Some(source);
            }
        }
    }
    None
}

/// The kernel's choice of source address. Connecting a datagram socket sends nothing.
async fn source_towards(api: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match api {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await.ok()?;
    socket.connect(api).await.ok()?;
    let source = socket.local_addr().ok()?.ip();
    (!source.is_unspecified()).then_some(source)
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_brackets_for_ipv6_and_no_slash() {
        let url = |address: &str| Advertised { address: address.parse().unwrap(), port: 9999 }.url("https");
        assert_eq!(url("192.0.2.41"), "https://192.0.2.41:9999");
        assert_eq!(url("2001:db8::41"), "https://[2001:db8::41]:9999");
    }

    #[tokio::test]
    async fn the_route_to_loopback_starts_at_loopback() {
        let urls = ["http://nonsense.invalid:1".into(), "http://127.0.0.9:6385".into()];
        assert!(of_route(&urls).await.unwrap().is_loopback());
        assert!(is_link_local("169.254.1.1".parse().unwrap()) && is_link_local("fe80::1".parse().unwrap()));
    }
}
