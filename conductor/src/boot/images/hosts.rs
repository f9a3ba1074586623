//! Where downloads may go: not to link-local addresses, not through odd redirects.
//!
//! The source of an image is chosen by a tenant and fetched by this machine, so link-local addresses (metadata services
//! live there) are refused for the host, for every redirect and for every name that resolves to one.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Attempt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use url::{Host, Url};

/// Redirects to follow.
const REDIRECTS: usize = 5;

/// Decides about a redirect.
pub fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let downgrade =
        attempt.previous().last().is_some_and(|last| last.scheme() == "https") && attempt.url().scheme() != "https";
    let refused = if attempt.previous().len() > REDIRECTS {
        Some("too many redirects")
    } else if !matches!(attempt.url().scheme(), "http" | "https") || downgrade {
        Some("a redirect to another scheme was refused")
    } else {
        refuse_host(attempt.url()).err()
    };
    match refused {
        Some(why) => attempt.error(io::Error::other(why)),
        None => attempt.follow(),
    }
}

const REFUSED: &str = "this address is not one that images come from (link-local, multicast or unspecified)";

/// An error when the URL names an address that no image comes from.
pub fn refuse_host(url: &Url) -> Result<(), &'static str> {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain(_)) => return Ok(()),
        None => return Err("the URL has no host"),
    };
    if is_refused(address) { Err(REFUSED) } else { Ok(()) }
}

fn is_refused(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_multicast() || v4.is_broadcast() || v4.octets()[0] == 0,
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_multicast() || v6.is_unspecified(),
    }
}

/// Resolves names and leaves out the addresses that [`is_refused`] names.
pub struct NoLinkLocal;

impl Resolve for NoLinkLocal {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let all = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let good: Vec<SocketAddr> = all.filter(|address| !is_refused(address.ip())).collect();
            if good.is_empty() {
                return Err(REFUSED.into());
            }
            Ok(Box::new(good.into_iter()) as Addrs)
        })
    }
}
