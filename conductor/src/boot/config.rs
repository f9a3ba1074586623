//! What the boot services are started with: typed and checked; the caller takes it from the options.

use super::http::listener::Limits;
use super::router_advert::Prefix;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// All boot services of this process.
#[derive(Clone, Debug)]
pub struct BootConfig {
    /// Our address on the provisioning network: where HTTP and TFTP listen, what DHCP calls itself.
    pub address: Ipv4Addr,
    /// The interface of that network; needed for DHCP and router advertisements.
    pub interface: Option<String>,
    /// Port of the HTTP boot server; 0 picks one.
    pub http_port: u16,
    /// How machines reach the HTTP boot server, if not by address and port.
    pub public_url: Option<String>,
    /// Folder of the iPXE programs.
    pub ipxe_dir: PathBuf,
    /// The program for UEFI: `snponly.efi`, or `ipxe.efi` where the firmware's NIC driver is no good.
    pub uefi_program: String,
    /// Port of TFTP: 69; 0 picks one; `None`: no TFTP.
    pub tftp_port: Option<u16>,
    /// DHCP.
    pub dhcp: DhcpMode,
    /// Router advertisements, with a prefix or without.
    pub router_advertisements: Option<RouterAdvertisements>,
    /// Where leases and boot tokens are kept; `None`: in memory only.
    pub data_dir: Option<PathBuf>,
    /// Limits of the HTTP boot server.
    pub http_limits: Limits,
    /// DHCP's ports.
    pub dhcp_ports: DhcpPorts,
}

impl BootConfig {
    /// HTTP only, on this address.
    pub fn http_only(address: Ipv4Addr, http_port: u16) -> Self {
        Self {
            address,
            interface: None,
            http_port,
            public_url: None,
            ipxe_dir: "/usr/lib/ipxe".into(),
            uefi_program: super::programs::UEFI.into(),
            tftp_port: None,
            dhcp: DhcpMode::Off,
            router_advertisements: None,
            data_dir: None,
            http_limits: Limits::default(),
            dhcp_ports: DhcpPorts::default(),
        }
    }
}

/// What DHCP does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DhcpMode {
    /// Nothing.
    Off,
    /// Boot options beside another server.
    Proxy,
    /// Addresses for machines it knows.
    Full(FullDhcp),
}

/// The full server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullDhcp {
    /// First address to give.
    pub first: Ipv4Addr,
    /// Last address to give.
    pub last: Ipv4Addr,
    /// Netmask of the network.
    pub netmask: Ipv4Addr,
    /// Default route.
    pub router: Option<Ipv4Addr>,
    /// Name servers; four at most are announced.
    pub dns: Vec<Ipv4Addr>,
    /// Seconds of a lease.
    pub lease_seconds: u32,
    /// Tell clients with an address from elsewhere that it is wrong.
    pub authoritative: bool,
}

/// Router advertisements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterAdvertisements {
    /// A /64 to make addresses from; `None`: advertise nothing but that there is nothing.
    pub prefix: Option<Prefix>,
}

/// Ports; the defaults are the only ones that machines know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DhcpPorts {
    /// Where clients call.
    pub server: u16,
    /// Where PXE clients ask a proxy directly.
    pub direct: u16,
    /// Where clients listen.
    pub client: u16,
}

impl Default for DhcpPorts {
    fn default() -> Self {
        Self { server: 67, direct: 4011, client: 68 }
    }
}
