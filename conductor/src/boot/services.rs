//! Starts what the configuration asks for, names what is in the way, and stops it all again.

use super::config::{BootConfig, DhcpMode, FullDhcp};
use super::dhcp::full::Network;
use super::dhcp::lease::LeaseBook;
use super::dhcp::lease_file::LeaseFile;
use super::dhcp::pool::Pool;
use super::dhcp::reply::Server;
use super::dhcp::{Dhcp, KnownMachines, Leases, Role};
use super::directory::BootDirectory;
pub use super::error::BootError;
use super::error::{interface_error, listen_error};
use super::http::{Addresses, BootHttp, listener, router};
use super::ipxe::BaseUrl;
use super::port_owner::Transport;
use super::programs::{NAMES, Programs, ProgramsError};
use super::router_advert::Advertiser;
use super::tftp::{self, TftpFiles};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The running services.
#[derive(Debug)]
pub struct BootServices {
    /// How machines reach the HTTP boot server.
    pub base: BaseUrl,
    /// Where it listens.
    pub http: SocketAddr,
    /// Where TFTP listens, if it does.
    pub tftp: Option<SocketAddr>,
    /// Leases of the full DHCP server.
    pub leases: Option<Leases>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl BootServices {
    /// Stops listening, lets short answers end, and returns when all ports are free.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Starts the services. Nothing runs when it fails.
pub async fn spawn(
    config: BootConfig,
    directory: BootDirectory,
    known: Arc<dyn KnownMachines>,
) -> Result<BootServices, BootError> {
    let http = TcpListener::bind((config.address, config.http_port)).await.map_err(|source| {
        let at = (config.address, config.http_port).into();
        listen_error(
            "the HTTP boot server",
            at,
            Transport::Tcp,
            "Set [boot]http_port or [boot]provisioning_address",
            source,
        )
    })?;
    let at = http.local_addr().map_err(|source| {
        listen_error(
            "the HTTP boot server",
            (config.address, config.http_port).into(),
            Transport::Tcp,
            "Try again",
            source,
        )
    })?;
    let base = BaseUrl::new(config.public_url.as_deref().unwrap_or(&format!("http://{at}/")))?;
    let programs = Arc::new(load_programs(&config)?);
    let tftp = config.tftp_port.map(|port| tftp_socket(&config, port)).transpose()?;
    let server = Server { address: config.address, base: base.clone(), uefi_program: config.uefi_program.clone() };
    let leases = match &config.dhcp {
        DhcpMode::Full(full) => Some(leases(&config, full)?),
        DhcpMode::Off | DhcpMode::Proxy => None,
    };
    let dhcp = dhcp_servers(&config, &server, &known, leases.as_ref())?;
    let advertiser = advertiser(&config)?;

    let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
    let addresses = leases.clone().map(|leases| Arc::new(leases) as Arc<dyn Addresses>);
    let tftp_at = tftp.as_ref().and_then(|socket| socket.local_addr().ok());
    if let Some(socket) = tftp {
        tasks.spawn(tftp::serve(socket, TftpFiles::new(Arc::clone(&programs), &base), stop.clone()));
    }
    let state = BootHttp { directory, base: base.clone(), programs, addresses };
    tasks.spawn(listener::serve(http, router(state), config.http_limits, stop.clone()));
    for server in dhcp {
        tasks.spawn(server.serve(stop.clone()));
    }
    if let Some(advertiser) = advertiser {
        tasks.spawn(advertiser.serve(stop.clone()));
    }
    tracing::info!(%base, tftp = ?tftp_at, dhcp = ?config.dhcp, "boot services started");
    Ok(BootServices { base, http: at, tftp: tftp_at, leases, stop, tasks })
}

/// Firmware needs the programs only where TFTP or DHCP sends it here; HTTP alone serves machines that have iPXE.
fn load_programs(config: &BootConfig) -> Result<Programs, BootError> {
    if !NAMES.contains(&config.uefi_program.as_str()) {
        return Err(BootError::UefiProgram(config.uefi_program.clone()));
    }
    match Programs::load(&config.ipxe_dir) {
        Err(ProgramsError::None(_)) if config.tftp_port.is_none() && config.dhcp == DhcpMode::Off => {
            Ok(Programs::default())
        }
        loaded => Ok(loaded?),
    }
}

fn tftp_socket(config: &BootConfig, port: u16) -> Result<std::net::UdpSocket, BootError> {
    std::net::UdpSocket::bind((config.address, port)).map_err(|source| {
        let at = (config.address, port).into();
        listen_error("TFTP", at, Transport::Udp, "Set [pxe]tftp_port, or [pxe]tftp_enabled = false", source)
    })
}

fn leases(config: &BootConfig, full: &FullDhcp) -> Result<Leases, BootError> {
    let mut taken: Vec<Ipv4Addr> = full.router.into_iter().collect();
    taken.extend(&full.dns);
    let pool = Pool::new(full.first, full.last, config.address, full.netmask, &taken)?;
    let file = config.data_dir.as_deref().map(LeaseFile::below);
    Ok(Leases::load(LeaseBook::new(pool), file))
}

fn dhcp_servers(
    config: &BootConfig,
    server: &Server,
    known: &Arc<dyn KnownMachines>,
    leases: Option<&Leases>,
) -> Result<Vec<Dhcp>, BootError> {
    let ports = config.dhcp_ports;
    let on = |port, role| -> Result<Dhcp, BootError> {
        let socket = dhcp_socket(config, port)?;
        Ok(Dhcp { socket, server: server.clone(), known: Arc::clone(known), role, client_port: ports.client })
    };
    match (&config.dhcp, leases) {
        (DhcpMode::Full(full), Some(leases)) => {
            let network = Network {
                netmask: full.netmask,
                router: full.router,
                dns: full.dns.clone(),
                lease_seconds: full.lease_seconds.max(60),
                authoritative: full.authoritative,
            };
            Ok(vec![on(ports.server, Role::Full(network, leases.clone()))?])
        }
        (DhcpMode::Proxy, _) => Ok(vec![on(ports.server, Role::Proxy)?, on(ports.direct, Role::ProxyDirect)?]),
        _ => Ok(Vec::new()),
    }
}

const DHCP: &str = "DHCP";
const DHCP_ADVICE: &str = "Stop it, or set [dhcp]mode = \"proxy\" (boot options beside another server) or \"off\"";

fn dhcp_socket(config: &BootConfig, port: u16) -> Result<UdpSocket, BootError> {
    let Some(interface) = &config.interface else { return Err(BootError::NoInterface(DHCP)) };
    let at: SocketAddr = (Ipv4Addr::UNSPECIFIED, port).into();
    let open = || -> io::Result<Socket> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        // Beside another server on this very machine, both hear the broadcasts; the full server wants to be alone.
        socket.set_reuse_address(config.dhcp == DhcpMode::Proxy)?;
        socket.set_broadcast(true)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    let failed = |source| listen_error(DHCP, at, Transport::Udp, DHCP_ADVICE, source);
    let socket = open().map_err(failed)?;
    socket.bind_device(Some(interface.as_bytes())).map_err(|source| interface_error(DHCP, interface, source))?;
    socket.bind(&at.into()).map_err(failed)?;
    UdpSocket::from_std(socket.into()).map_err(failed)
}

fn advertiser(config: &BootConfig) -> Result<Option<Advertiser>, BootError> {
    const WHAT: &str = "router advertisements";
    let Some(wanted) = config.router_advertisements else { return Ok(None) };
    let Some(interface) = &config.interface else { return Err(BootError::NoInterface(WHAT)) };
    Advertiser::open(interface, wanted.prefix).map(Some).map_err(|source| interface_error(WHAT, interface, source))
}

#[cfg(test)]
mod tests {
    use super::super::config::RouterAdvertisements;
    use super::*;

    fn config() -> BootConfig {
        BootConfig { ipxe_dir: "/nonexistent".into(), ..BootConfig::http_only(Ipv4Addr::LOCALHOST, 0) }
    }

    async fn start(config: BootConfig) -> Result<BootServices, String> {
        let directory = BootDirectory::default();
        spawn(config, directory.clone(), Arc::new(directory)).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn http_starts_and_stops_and_frees_its_port() {
        let services = start(config()).await.unwrap();
        let at = services.http;
        assert_eq!(services.base.at(""), format!("http://{at}/"));
        assert!(tokio::net::TcpStream::connect(at).await.is_ok());
        services.stop().await;
        assert!(TcpListener::bind(at).await.is_ok());
    }

    #[tokio::test]
    async fn errors_name_the_port_its_owner_and_what_to_do() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let held = std::net::TcpListener::bind(("127.0.0.1", taken)).unwrap();
        let error = start(BootConfig { http_port: taken, ..config() }).await.unwrap_err();
        assert!(error.contains(&format!("127.0.0.1:{taken}")) && error.contains("http_port"), "{error}");
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(held);
        let away = BootConfig { address: Ipv4Addr::new(192, 0, 2, 1), ..config() };
        assert!(start(away).await.unwrap_err().contains("does not have the address"));
        let error = start(BootConfig { tftp_port: Some(0), ..config() }).await.unwrap_err();
        assert!(error.contains("package `ipxe`"), "{error}");
        let error = start(BootConfig { dhcp: DhcpMode::Proxy, ipxe_dir: "/usr/lib/ipxe".into(), ..config() }).await;
        assert!(error.unwrap_err().contains("[boot]interface"));
        let advertise = Some(RouterAdvertisements { prefix: None });
        let error =
            start(BootConfig { router_advertisements: advertise, interface: Some("no-such0".into()), ..config() });
        assert!(error.await.unwrap_err().contains("no-such0"));
    }

    #[tokio::test]
    async fn a_wrong_range_is_refused_before_anything_starts() {
        let full = FullDhcp {
            first: Ipv4Addr::new(10, 0, 0, 10),
            last: Ipv4Addr::new(10, 0, 0, 20),
            netmask: Ipv4Addr::new(255, 255, 255, 0),
            router: None,
            dns: Vec::new(),
            lease_seconds: 600,
            authoritative: true,
        };
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("snponly.efi"), "MZ").unwrap();
        let ipxe_dir = folder.path().to_owned();
        let error = start(BootConfig { dhcp: DhcpMode::Full(full), ipxe_dir, ..config() }).await.unwrap_err();
        assert!(error.contains("range_start"), "{error}");
    }
}
