//! The network between two machines: one writes and the other reads what can be checked, then they change places.
//!
//! Who is whose partner is said in the node's settings; both machines run this agent.

use super::settings::Settings;
use super::{BurnIn, Until, report, together, wire};
use crate::step::StepContext;
use crate::sys::progress::Progress;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The reference's default: six hours in each direction.
const RUNTIME: u64 = 21_600;
/// How long the partner may take to be there.
const PAIRING: u64 = 900;
const PORT: u16 = 9000;
/// Connections at once; several fill links that one stream does not.
const STREAMS: usize = 16;
/// Between two attempts to reach the partner, and between two looks for a connection.
const AGAIN: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Writer,
    Reader,
}

impl Role {
    fn word(self) -> &'static str {
        match self {
            Role::Writer => "writer",
            Role::Reader => "reader",
        }
    }

    fn other(self) -> Self {
        match self {
            Role::Writer => Role::Reader,
            Role::Reader => Role::Writer,
        }
    }
}

/// What one direction needs to know.
struct Plan<'a> {
    partner: &'a str,
    port: u16,
    runtime: Duration,
    pairing: Duration,
    file: Option<PathBuf>,
    progress: &'a Progress,
}

/// `agent_burnin_fio_network_config` says role and partner; each direction takes `agent_burnin_fio_network_runtime`.
pub fn run(settings: &Settings<'_>, context: &StepContext) -> Result<(), BurnIn> {
    let runtime = settings.time("fio_network_runtime", RUNTIME)?;
    let pairing = settings.time("fio_network_pairing_timeout", PAIRING)?;
    let file = settings.path("fio_network_outputfile")?;
    let Some(config) = settings.object("fio_network_config")? else {
        return Err(BurnIn::Settings(
            "driver_info.agent_burnin_fio_network_config is missing: give {\"role\": \"writer\" or \"reader\", \"partner\": address}. Pairing by a coordination service (agent_burnin_fio_network_pairing_backend_url) is not built in".into(),
        ));
    };
    let text = |key: &str| config.get(key).and_then(serde_json::Value::as_str).filter(|text| !text.is_empty());
    let role = match text("role") {
        Some("writer") => Role::Writer,
        Some("reader") => Role::Reader,
        other => {
            return Err(BurnIn::Settings(format!(
                "fio (network) found an unknown role: {}; it is writer on one machine and reader on the other",
                other.unwrap_or("None")
            )));
        }
    };
    let partner = text("partner").filter(|partner| partner.len() <= 253);
    let partner = partner.ok_or_else(|| BurnIn::Settings("fio (network) failed to find partner".into()))?;
    let plan = Plan { partner, port: PORT, runtime, pairing, file, progress: &context.progress };
    both_ways(role, &plan)
}

fn both_ways(role: Role, plan: &Plan<'_>) -> Result<(), BurnIn> {
    direction(role, plan)?;
    direction(role.other(), plan)
}

fn direction(role: Role, plan: &Plan<'_>) -> Result<(), BurnIn> {
    plan.progress.say(format!(
        "burn-in: network, {} with {} for {} s",
        role.word(),
        plan.partner,
        plan.runtime.as_secs()
    ));
    let (blocks, seconds) = match role {
        Role::Writer => write(plan)?,
        Role::Reader => read(plan)?,
    };
    let mib = (blocks * wire::BLOCK as u64) >> 20;
    let rate = mib as f64 / seconds.max(0.001);
    let text = format!("network: {} with {}, {mib} MiB, {rate:.1} MiB/s, all right", role.word(), plan.partner);
    let named = |path: &Path| PathBuf::from(format!("{}.{}", path.display(), role.word()));
    report::leave(plan.file.as_deref().map(named).as_deref(), &text)
}

/// Waits for the partner's connections, and only its, then fills them all.
fn write(plan: &Plan<'_>) -> Result<(u64, f64), BurnIn> {
    let waiting = Until::after(Some(plan.pairing), plan.progress);
    let listener = listen(plan.port)
        .map_err(|cause| BurnIn::Failed(format!("port {} cannot be listened on: {cause}", plan.port)))?;
    let fail = |cause: std::io::Error| BurnIn::Failed(format!("no connection could be taken: {cause}"));
    listener.set_nonblocking(true).map_err(fail)?;
    let mut streams = Vec::new();
    while streams.len() < STREAMS {
        if !waiting.go_on()? {
            return Err(absent(plan, &format!("it made {} of {STREAMS} connections", streams.len())));
        }
        match listener.accept() {
            Ok((mut stream, peer)) => {
                if !addresses(plan)?.iter().any(|address| address.ip() == plain(peer.ip())) {
                    tracing::warn!(%peer, "not the partner: sent away");
                    continue;
                }
                match wire::greeted(&mut stream, &waiting) {
                    Ok(number) => streams.push((stream, number)),
                    Err(error) => tracing::warn!(%peer, %error, "sent away"),
                }
            }
            Err(cause) if cause.kind() == ErrorKind::WouldBlock => thread::sleep(LOOK),
            Err(cause) => return Err(fail(cause)),
        }
    }
    drop(listener);
    let begun = Instant::now();
    let until = Until::after(Some(plan.runtime), plan.progress);
    let sent: Result<u64, BurnIn> =
        together(streams, |(stream, number)| wire::send(stream, number, &until)).into_iter().sum();
    sent.map(|blocks| (blocks, begun.elapsed().as_secs_f64()))
}

fn read(plan: &Plan<'_>) -> Result<(u64, f64), BurnIn> {
    let waiting = Until::after(Some(plan.pairing), plan.progress);
    let mut streams = Vec::new();
    while streams.len() < STREAMS {
        if !waiting.go_on()? {
            return Err(absent(plan, "it does not listen"));
        }
        let connected = addresses(plan)?
            .into_iter()
            .find_map(|address| TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok());
        match connected {
            Some(stream) => streams.push((stream, streams.len() as u64)),
            None => thread::sleep(AGAIN),
        }
    }
    let begun = Instant::now();
    // The writer decides when it is over; a silent one is noticed by itself.
    let until = Until::after(None, plan.progress);
    let read: Result<u64, BurnIn> =
        together(streams, |(stream, number)| wire::receive(stream, number, &until)).into_iter().sum();
    read.map(|blocks| (blocks, begun.elapsed().as_secs_f64()))
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))
}

fn addresses(plan: &Plan<'_>) -> Result<Vec<SocketAddr>, BurnIn> {
    let found = (plan.partner, plan.port).to_socket_addrs();
    let list =
        found.map_err(|cause| BurnIn::Settings(format!("the partner {} has no address: {cause}", plan.partner)))?;
    Ok(list.map(|address| SocketAddr::new(plain(address.ip()), address.port())).collect())
}

/// An IPv4 address that came through an IPv6 socket.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn absent(plan: &Plan<'_>, what: &str) -> BurnIn {
    BurnIn::Failed(format!(
        "the partner {} was not ready within {} s ({what}); clean both machines at the same time",
        plan.partner,
        plan.pairing.as_secs()
    ))
}

#[cfg(test)]
mod tests {
    use super::{Plan, Role, both_ways};
    use crate::sys::progress::Progress;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    fn free_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    fn plan<'a>(partner: &'static str, port: u16, progress: &'a Progress) -> Plan<'a> {
        let (runtime, pairing) = (Duration::from_millis(300), Duration::from_secs(20));
        Plan { partner, port, runtime, pairing, file: None, progress }
    }

    #[test]
    fn two_machines_check_what_they_send_each_other_both_ways() {
        let (port, progress) = (free_port(), Progress::default());
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| both_ways(Role::Reader, &plan("localhost", port, &progress)));
            let file = Some(folder.path().join("net"));
            both_ways(Role::Writer, &Plan { file, ..plan("localhost", port, &progress) }).unwrap();
            reader.join().unwrap().unwrap();
        });
        for role in ["writer", "reader"] {
            let text = std::fs::read_to_string(folder.path().join(format!("net.{role}"))).unwrap();
            assert!(text.contains("all right") && !text.contains(" 0 MiB,"), "{text}");
        }
    }

    #[test]
    fn a_partner_that_never_comes_is_named() {
        let progress = Progress::default();
        for role in [Role::Writer, Role::Reader] {
            let plan = Plan { pairing: Duration::from_millis(100), ..plan("localhost", free_port(), &progress) };
            let error = both_ways(role, &plan).unwrap_err().to_string();
            assert!(error.contains("localhost was not ready within"), "{error}");
        }
    }

    /// The partner answers with other bytes than a writer would send.
    #[test]
    fn changed_bytes_are_found() {
        let progress = Progress::default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let streams: Vec<TcpStream> = listener.incoming().map_while(Result::ok).take(16).collect();
            for mut stream in &streams {
                let _ = stream.write_all(&vec![9; 200_000]);
            }
            std::thread::park();
        });
        let error = both_ways(Role::Reader, &plan("127.0.0.1", port, &progress)).unwrap_err().to_string();
        assert!(error.contains("arrived changed"), "{error}");
    }
}
