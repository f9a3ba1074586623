//! Proxies before the API: whose words about their clients count, and what they say (RFC 7239, X-Forwarded-*).
//!
//! Anybody can send these headers. They count only when the connection comes from a proxy that the configuration names, and
//! only as far back as the chain consists of such proxies: what a client wrote itself is never believed.

use super::auth::guesses::Peer;
use super::link;
use crate::config::Config;
use http::{HeaderMap, header};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// Longer chains are made up.
const MOST_HOPS: usize = 32;

/// The proxies that count.
#[derive(Debug, Default)]
pub struct Proxies {
    networks: Vec<IpNet>,
    local: bool,
}

/// One end of a connection.
#[derive(Clone, Debug)]
pub struct Line {
    /// Whose address it is; `None`: it has none, it is on this machine's socket.
    pub peer: Option<Peer>,
    /// `http://address:port`: the base of links for clients that do not say what they call us.
    pub base: String,
}

/// Who asks, and by what name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The client, behind all proxies that count.
    pub client: Option<Peer>,
    /// Where links begin.
    pub base: String,
}

/// What one proxy says of its client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Hop {
    client: Option<IpAddr>,
    scheme: Option<String>,
    host: Option<String>,
}

impl Proxies {
    /// Reads the options.
    ///
    /// # Errors
    /// The entry that is no address, no network and not `unix`.
    pub fn new(config: &Config) -> Result<Self, String> {
        let mut proxies = Proxies::default();
        if !config.oslo_middleware.enable_proxy_headers_parsing {
            return Ok(proxies);
        }
        for text in &config.api.trusted_proxies {
            let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            match network {
                Ok(network) => proxies.networks.push(network),
                Err(_) if text == "unix" => proxies.local = true,
                Err(_) => return Err(text.clone()),
            }
        }
        if proxies.networks.is_empty() && !proxies.local {
            tracing::warn!(
                "enable_proxy_headers_parsing is set, but [api] trusted_proxies names nobody: no such header counts"
            );
        }
        Ok(proxies)
    }

    fn trusts(&self, peer: Option<IpAddr>) -> bool {
        match peer {
            Some(address) => self.networks.iter().any(|network| network.contains(&address.to_canonical())),
            None => self.local,
        }
    }

    /// Who asks by this line, and by what name.
    pub fn seen(&self, line: &Line, headers: &HeaderMap, public: Option<&str>) -> Seen {
        let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
        if !self.trusts(line.peer.map(|peer| peer.0)) {
            return Seen { client: line.peer, base: link::base(public, host, &line.base) };
        }
        let (client, hop) = self.followed(line, headers);
        let (scheme, _) = line.base.split_once("://").unwrap_or(("http", ""));
        let scheme = hop.scheme.filter(|word| matches!(word.as_str(), "http" | "https")).unwrap_or(scheme.into());
        let own = line.base.split_once("://").map_or("", |(_, rest)| rest);
        let base = link::base(None, hop.host.as_deref().or(host), &format!("{scheme}://{own}"));
        let prefix = words(headers, "x-forwarded-prefix").into_iter().next_back().filter(|path| is_path(path));
        Seen { client, base: base + prefix.as_deref().unwrap_or_default().trim_end_matches('/') }
    }

    /// Back through the proxies that count.
    fn followed(&self, line: &Line, headers: &HeaderMap) -> (Option<Peer>, Hop) {
        let mut client = line.peer;
        let mut last = Hop::default();
        for hop in hops(headers).into_iter().rev().take(MOST_HOPS) {
            let address = hop.client;
            last = hop;
            match address {
                Some(address) => client = Some(Peer(address.to_canonical())),
                None => break,
            }
            if !self.trusts(address) {
                break;
            }
        }
        (client, last)
    }
}

/// What the proxies say, in the order in which the request met them.
fn hops(headers: &HeaderMap) -> Vec<Hop> {
    let forwarded = joined(headers, "forwarded");
    if !forwarded.is_empty() {
        return split(&forwarded, ',').into_iter().map(forwarded_hop).collect();
    }
    let clients = words(headers, "x-forwarded-for");
    let (schemes, hosts) = (words(headers, "x-forwarded-proto"), words(headers, "x-forwarded-host"));
    let count = clients.len().max(1);
    // Proxies append to these lists or write one word anew: counted from the end, the last word standing for the rest.
    let of = |list: &[String], back: usize| list.get(list.len().saturating_sub(back + 1)).cloned();
    let hop = |at: usize| Hop {
        client: clients.get(at).and_then(|text| address(text)),
        scheme: of(&schemes, count - 1 - at).map(|word| word.to_ascii_lowercase()),
        host: of(&hosts, count - 1 - at),
    };
    (0..count).map(hop).collect()
}

fn joined(headers: &HeaderMap, name: &str) -> String {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

fn words(headers: &HeaderMap, name: &str) -> Vec<String> {
    let text = joined(headers, name);
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Splits outside quotes.
fn split(text: &str, at: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(|letter: char| {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => return !quoted && letter == at,
        }
        false
    })
    .map(str::trim)
    .collect()
}

fn forwarded_hop(text: &str) -> Hop {
    let mut hop = Hop::default();
    for pair in split(text, ';') {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = unquoted(value.trim());
        match name.trim().to_ascii_lowercase().as_str() {
            "for" => hop.client = address(&value),
            "proto" => hop.scheme = Some(value.to_ascii_lowercase()),
            "host" => hop.host = Some(value),
            _ => {}
        }
    }
    hop
}

fn unquoted(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return text.into() };
    let mut letters = inner.chars();
    let mut plain = String::with_capacity(inner.len());
    while let Some(letter) = letters.next() {
        plain.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    plain
}

/// An address, with or without a port; `None` for the names that proxies may hide behind.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(text, |(inside, _)| inside);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
}

/// What may stand before the paths of links.
fn is_path(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/%".contains(&byte);
    text.len() <= 300 && text.starts_with('/') && !text.starts_with("//") && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn proxies(list: &[&str]) -> Proxies {
        let mut config = Config::default();
        config.oslo_middleware.enable_proxy_headers_parsing = true;
        config.api.trusted_proxies = list.iter().map(|text| (*text).to_owned()).collect();
        Proxies::new(&config).unwrap()
    }

    fn seen(proxies: &Proxies, peer: &str, headers: &[(&str, &str)], public: Option<&str>) -> (String, String) {
        let mut map = HeaderMap::new();
        map.insert(header::HOST, HeaderValue::from_static("here:6385"));
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let peer = peer.parse().ok().map(Peer);
        let seen = proxies.seen(&Line { peer, base: "http://127.0.0.1:1".into() }, &map, public);
        (seen.client.map_or("nobody".into(), |peer| peer.0.to_string()), seen.base)
    }

    #[test]
    fn only_proxies_that_are_named_are_believed() {
        let proxies = proxies(&["192.0.2.0/24", "2001:db8::1"]);
        let spoof = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-host", "evil"), ("x-forwarded-proto", "https")];
        let plain = |client: &str| (client.to_owned(), "http://here:6385".to_owned());
        assert_eq!(seen(&proxies, "198.51.100.1", &spoof, None), plain("198.51.100.1"));
        assert_eq!(
            seen(&proxies, "198.51.100.1", &[("forwarded", "for=1.2.3.4;host=evil")], None),
            plain("198.51.100.1")
        );
        assert_eq!(seen(&Proxies::default(), "192.0.2.1", &spoof, None), plain("192.0.2.1"), "not switched on");
        assert_eq!(seen(&proxies, "192.0.2.1", &spoof, None), ("203.0.113.9".into(), "https://evil".into()));
        assert_eq!(seen(&proxies, "::ffff:192.0.2.1", &spoof, None).0, "203.0.113.9");
        // As in the reference the name that the proxy was called by wins over the option; for others the option stands.
        assert_eq!(seen(&proxies, "192.0.2.1", &spoof, Some("https://api")).1, "https://evil");
        assert_eq!(seen(&proxies, "198.51.100.1", &spoof, Some("https://api")).1, "https://api");
        assert!(
            Proxies::new(&{
                let mut config = Config::default();
                config.oslo_middleware.enable_proxy_headers_parsing = true;
                config.api.trusted_proxies = vec!["proxy.example".into()];
                config
            })
            .is_err()
        );
    }

    #[test]
    fn what_a_client_wrote_itself_stays_behind_the_first_proxy_that_counts() {
        let proxies = proxies(&["192.0.2.0/24"]);
        let one = [("x-forwarded-for", "6.6.6.6, 203.0.113.9")];
        assert_eq!(seen(&proxies, "192.0.2.1", &one, None).0, "203.0.113.9");
        let two = [("x-forwarded-for", "6.6.6.6, 203.0.113.9, 192.0.2.7"), ("x-forwarded-proto", "https, http")];
        assert_eq!(seen(&proxies, "192.0.2.1", &two, None), ("203.0.113.9".into(), "https://here:6385".into()));
        let chain = "for=6.6.6.6;host=evil, for=\"[2001:db8::9]:4711\";host=\"api.example:443\";proto=https, for=192.0.2.7;proto=http";
        assert_eq!(
            seen(&proxies, "192.0.2.1", &[("forwarded", chain)], None),
            ("2001:db8::9".into(), "https://api.example:443".into())
        );
        let hidden = [("forwarded", "for=unknown;proto=https")];
        assert_eq!(seen(&proxies, "192.0.2.1", &hidden, None), ("192.0.2.1".into(), "https://here:6385".into()));
    }

    #[test]
    fn prefixes_and_names_that_are_none_are_not_repeated() {
        let proxies = proxies(&["unix"]);
        let base = |name: &str, value: &str| seen(&proxies, "nobody", &[(name, value)], None).1;
        assert_eq!(base("x-forwarded-prefix", "/baremetal/"), "http://here:6385/baremetal");
        for bad in ["//evil", "/a\"b", "baremetal", "/a<b>"] {
            assert_eq!(base("x-forwarded-prefix", bad), "http://here:6385");
        }
        assert_eq!(base("x-forwarded-host", "a/b"), "http://127.0.0.1:1");
        assert_eq!(base("x-forwarded-proto", "javascript"), "http://here:6385");
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_read(text in "[ -~]{0,200}") {
            let proxies = proxies(&["192.0.2.0/24"]);
            for name in ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-prefix", "x-forwarded-proto"] {
                let (_, base) = seen(&proxies, "192.0.2.1", &[(name, text.trim())], None);
                proptest::prop_assert!(!base.contains(['"', '<', '>', ' ']), "{}", base);
            }
        }
    }
}
