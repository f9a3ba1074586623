//! Why the boot services did not start, in words that name what is in the way.

use super::dhcp::pool::BadPool;
use super::ipxe::BadBaseUrl;
use super::port_owner::{Transport, owner_of};
use super::programs::{NAMES, ProgramsError};
use std::io;
use std::net::SocketAddr;

/// Why the boot services did not start.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A port.
    #[error("{what} cannot listen on {at}: {problem}. {advice}")]
    Listen {
        /// Which service.
        what: &'static str,
        /// Address and port.
        at: SocketAddr,
        /// What is in the way.
        problem: String,
        /// What to do.
        advice: &'static str,
        /// The error.
        source: io::Error,
    },
    /// DHCP and router advertisements work on one link.
    #[error("{0} needs to know its network interface: set [boot]interface")]
    NoInterface(&'static str),
    /// The interface does not exist or may not be used.
    #[error("{what} cannot use the interface {interface}: {source}. {advice}")]
    Interface {
        /// Which service.
        what: &'static str,
        /// Which interface.
        interface: String,
        /// The error.
        source: io::Error,
        /// What to do.
        advice: &'static str,
    },
    /// iPXE's programs.
    #[error(transparent)]
    Programs(#[from] ProgramsError),
    /// A program name that is not served.
    #[error("the UEFI program {0:?} is not one of {NAMES:?}")]
    UefiProgram(String),
    /// The URL.
    #[error(transparent)]
    BaseUrl(#[from] BadBaseUrl),
    /// The range.
    #[error(transparent)]
    Pool(#[from] BadPool),
}

/// An interface that cannot be used, with what to do.
pub fn interface_error(what: &'static str, interface: &str, source: io::Error) -> BootError {
    let advice = match source.kind() {
        io::ErrorKind::PermissionDenied => "It needs root or the capabilities CAP_NET_RAW and CAP_NET_BIND_SERVICE",
        _ => "Correct [boot]interface (`ip link` lists them), or switch this service off",
    };
    BootError::Interface { what, interface: interface.to_owned(), source, advice }
}

/// A port that cannot be had, with who has it and what to do.
pub fn listen_error(
    what: &'static str,
    at: SocketAddr,
    transport: Transport,
    advice: &'static str,
    source: io::Error,
) -> BootError {
    let (problem, advice) = match source.kind() {
        io::ErrorKind::AddrInUse => match owner_of(transport, at.port()) {
            Some(owner) => (format!("the port is in use by {owner}"), advice),
            None => ("the port is in use".into(), advice),
        },
        io::ErrorKind::PermissionDenied => {
            ("not allowed".into(), "Ports below 1024 need root or the capability CAP_NET_BIND_SERVICE")
        }
        io::ErrorKind::AddrNotAvailable => {
            ("this machine does not have the address".into(), "Set [boot]provisioning_address to one of its addresses")
        }
        _ => (source.to_string(), advice),
    };
    BootError::Listen { what, at, problem, advice, source }
}
