//! Which brokers a `transport_url` names, how they are reached, and which one is tried next.
//!
//! The form is that of the reference's library: `rabbit://user:password@host:port,user:password@host:port/vhost?ssl=1`.
//! Texts about a URL never repeat it: it holds passwords.

use super::amqp::Connection;
use crate::boot::images::fetch::SYSTEM_BUNDLE;
use crate::config::Rabbit;
use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use std::path::Path;

/// Hosts in one URL: more is a mistake.
const MOST: usize = 32;

/// The brokers of a cluster.
pub struct Brokers {
    uris: Vec<AMQPUri>,
    tls: OwnedTLSConfig,
    /// Which one is tried first: the last that worked.
    first: usize,
}

impl Brokers {
    /// # Errors
    /// A sentence without any part of the URL that may be a password.
    pub fn new(url: &str, options: &Rabbit) -> Result<Self, String> {
        let uris = parse(url, options.ssl)?;
        let encrypted = uris.iter().any(|uri| uri.scheme == AMQPScheme::AMQPS);
        let tls = if encrypted { tls(options)? } else { OwnedTLSConfig::default() };
        Ok(Brokers { uris, tls, first: 0 })
    }

    /// Host and port of each, for logs.
    pub fn names(&self) -> String {
        let names = self.uris.iter().map(|uri| format!("{}:{}", uri.authority.host, uri.authority.port));
        names.collect::<Vec<_>>().join(",")
    }

    /// A connection to the first that takes one, beginning with the one that did so last.
    ///
    /// # Errors
    /// What each of them said.
    pub async fn open(&mut self) -> Result<Connection, String> {
        let mut said = Vec::new();
        for step in 0..self.uris.len() {
            let at = (self.first + step) % self.uris.len();
            let uri = &self.uris[at];
            match Connection::open(uri.clone(), self.tls.clone()).await {
                Ok(connection) => {
                    self.first = at;
                    return Ok(connection);
                }
                Err(text) => said.push(format!("{}:{}: {text}", uri.authority.host, uri.authority.port)),
            }
        }
        Err(said.join("; "))
    }
}

fn read(option: &str, path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path)
        .map_err(|error| format!("[oslo_messaging_rabbit] {option} {} cannot be read: {error}", path.display()))
}

fn tls(options: &Rabbit) -> Result<OwnedTLSConfig, String> {
    let bundle = match &options.ssl_ca_file {
        Some(path) => read("ssl_ca_file", path)?,
        None => std::fs::read(SYSTEM_BUNDLE).unwrap_or_default(),
    };
    let bundle = String::from_utf8(bundle).map_err(|_| "[oslo_messaging_rabbit] ssl_ca_file is no PEM".to_owned())?;
    let identity = match (&options.ssl_cert_file, &options.ssl_key_file) {
        (Some(certificate), Some(key)) => {
            Some(OwnedIdentity::PKCS8 { pem: read("ssl_cert_file", certificate)?, key: read("ssl_key_file", key)? })
        }
        (None, None) => None,
        _ => return Err("set both ssl_cert_file and ssl_key_file in [oslo_messaging_rabbit], or none of them".into()),
    };
    Ok(OwnedTLSConfig { identity, cert_chain: Some(bundle) })
}

/// The brokers of a `transport_url`, first to last.
///
/// # Errors
/// What is wrong with it, without its passwords.
pub fn parse(url: &str, ssl: bool) -> Result<Vec<AMQPUri>, String> {
    let (scheme, rest) = url.split_once("://").ok_or("it is not a URL: it must begin with rabbit://")?;
    let always = match scheme {
        "rabbit" | "amqp" => false,
        "rabbits" | "amqps" => true,
        _ => return Err("it must begin with rabbit://, or with amqps:// for TLS".into()),
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let encrypted = asks_for_tls(query)?.unwrap_or(ssl) || always;
    let (hosts, vhost) = rest.split_once('/').unwrap_or((rest, ""));
    let vhost = plain(vhost);
    let vhost = if vhost.is_empty() { "/".to_owned() } else { vhost };
    let hosts: Vec<&str> = hosts.split(',').collect();
    if hosts.len() > MOST {
        return Err(format!("it names more than {MOST} hosts"));
    }
    let scheme = if encrypted { AMQPScheme::AMQPS } else { AMQPScheme::AMQP };
    let uri = |host| {
        let authority = authority(host, encrypted)?;
        Ok(AMQPUri { scheme: scheme.clone(), authority, vhost: vhost.clone(), query: AMQPQueryString::default() })
    };
    hosts.into_iter().map(uri).collect()
}

/// What the query says about TLS; anything else in it would be ignored in silence, so it is refused.
fn asks_for_tls(query: &str) -> Result<Option<bool>, String> {
    let mut asked = None;
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        asked = match (&*key, &*value.to_ascii_lowercase()) {
            ("ssl", "1" | "true" | "yes" | "on") => Some(true),
            ("ssl", "0" | "false" | "no" | "off") => Some(false),
            _ => return Err("its query may say ssl=true or ssl=false and nothing else".into()),
        };
    }
    Ok(asked)
}

fn authority(text: &str, encrypted: bool) -> Result<AMQPAuthority, String> {
    let (user, place) = text.rsplit_once('@').unwrap_or(("", text));
    let (username, password) = user.split_once(':').unwrap_or((user, ""));
    let no_port = || "a port in it is no number".to_owned();
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        Some(port) => port.parse().map_err(|_| no_port())?,
        None if encrypted => 5671,
        None => 5672,
    };
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if host.is_empty() || !host.bytes().all(known) {
        return Err("a host in it has no name, or one with strange characters".into());
    }
    let or_guest = |text: String| if text.is_empty() { "guest".to_owned() } else { text };
    let userinfo = AMQPUserInfo { username: or_guest(plain(username)), password: or_guest(plain(password)) };
    Ok(AMQPAuthority { userinfo, host: host.to_owned(), port })
}

/// Without percent signs; a plus sign is one.
fn plain(text: &str) -> String {
    url::form_urlencoded::parse(format!("x={}", text.replace('+', "%2B").replace('&', "%26")).as_bytes())
        .next()
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_reference_reads_them_and_never_shown() {
        let uris = parse("rabbit://ironic:p%40ss+x@192.0.2.1:5673,b:c@[2001:db8::1]/cloud", false).unwrap();
        let (first, second) = (&uris[0], &uris[1]);
        assert_eq!(
            (first.authority.host.as_str(), first.authority.port, first.vhost.as_str()),
            ("192.0.2.1", 5673, "cloud")
        );
        let user = &first.authority.userinfo;
        assert_eq!((user.username.as_str(), user.password.as_str()), ("ironic", "p@ss+x"));
        assert_eq!((second.authority.host.as_str(), second.authority.port), ("2001:db8::1", 5672));
        let plain = &parse("rabbit://localhost/", false).unwrap()[0];
        assert_eq!((plain.authority.userinfo.username.as_str(), plain.vhost.as_str()), ("guest", "/"));
        for url in [
            "rabbit://u:hunter2@h:x/",
            "rabbit://u:hunter2@,b/",
            "hunter2",
            "kafka://u:hunter2@h/",
            "rabbit://u:hunter2@h/?x=hunter2",
        ] {
            let error = parse(url, false).err().unwrap();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn tls_is_asked_for_by_scheme_query_or_option_and_has_its_own_port() {
        for (url, option, tls) in [
            ("rabbit://h/", false, false),
            ("rabbit://h/", true, true),
            ("amqps://h/", false, true),
            ("rabbit://h/?ssl=1", false, true),
            ("rabbit://h/?ssl=false", true, false),
        ] {
            let uri = &parse(url, option).unwrap()[0];
            assert_eq!((uri.scheme == AMQPScheme::AMQPS, uri.authority.port == 5671), (tls, tls), "{url}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = parse(&text, false);
            let _ = parse(&format!("rabbit://{text}"), true);
        }
    }
}
