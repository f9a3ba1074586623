//! Makes VLAN interfaces and switches interfaces on, by the kernel's routing socket (rtnetlink(7)). Needs root.

use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeVal;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// Sizes and numbers of `linux/netlink.h`, `linux/rtnetlink.h`, `linux/if_link.h`.
const HEADER: usize = 16;
const ACKNOWLEDGE: u16 = 0x5;
const CREATE: u16 = 0x600;
const NEW_LINK: u16 = 16;
const ERROR: u16 = 2;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINK: u16 = 5;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_VLAN_ID: u16 = 1;
const IFF_UP: u32 = 1;

/// Makes the interface `name` for VLAN `id` on top of `parent`. One that is there already is no error.
///
/// # Errors
/// The kernel's refusal: no permission, no such parent, no VLAN driver, a name that is taken by something else.
pub fn add_vlan(parent: &str, name: &str, id: u16) -> io::Result<()> {
    let parent = nix::net::if_::if_nametoindex(parent)?;
    match order(&vlan_message(parent, name, id)?) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        other => other,
    }
}

/// Switches an interface on.
///
/// # Errors
/// As [`add_vlan`].
pub fn set_up(name: &str) -> io::Result<()> {
    let index = nix::net::if_::if_nametoindex(name)?;
    order(&message(0, &link_header(index, IFF_UP, IFF_UP), &[]))
}

/// Switches an interface off; one that is off stays so.
///
/// # Errors
/// As [`add_vlan`].
pub fn set_down(name: &str) -> io::Result<()> {
    let index = nix::net::if_::if_nametoindex(name)?;
    order(&message(0, &link_header(index, 0, IFF_UP), &[]))
}

/// Every interface by name, loopback aside.
///
/// # Errors
/// As from `if_nameindex(3)`.
pub fn names() -> io::Result<Vec<String>> {
    let list = nix::net::if_::if_nameindex()?;
    let names = list.iter().map(|entry| entry.name().to_string_lossy().into_owned());
    Ok(names.filter(|name| name != "lo").collect())
}

/// `struct ifinfomsg`: the flags as they are to be, and which of them count.
fn link_header(index: u32, flags: u32, change: u32) -> Vec<u8> {
    let mut bytes = vec![0u8; 4];
    bytes.extend(index.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(change.to_ne_bytes());
    bytes
}

fn vlan_message(parent: u32, name: &str, id: u16) -> io::Result<Vec<u8>> {
    if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.bytes().any(|byte| byte <= b' ' || byte == b'/') {
        let text = format!("`{name}` cannot be the name of an interface");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let data = attribute(IFLA_VLAN_ID, &id.to_ne_bytes());
    let info = [attribute(IFLA_INFO_KIND, b"vlan"), attribute(IFLA_INFO_DATA, &data)].concat();
    let attributes = [
        attribute(IFLA_LINK, &parent.to_ne_bytes()),
        attribute(IFLA_IFNAME, &[name.as_bytes(), &[0]].concat()),
        attribute(IFLA_LINKINFO, &info),
    ];
    Ok(message(CREATE, &link_header(0, 0, 0), &attributes.concat()))
}

/// Length, type, value, and zeroes up to a multiple of four.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn message(flags: u16, header: &[u8], attributes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + header.len() + attributes.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(NEW_LINK.to_ne_bytes());
    bytes.extend((ACKNOWLEDGE | flags).to_ne_bytes());
    bytes.extend(1u32.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend(header);
    bytes.extend(attributes);
    bytes
}

fn order(message: &[u8]) -> io::Result<()> {
    let fd: OwnedFd =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::new(5, 0))?;
    send(fd.as_raw_fd(), message, MsgFlags::empty())?;
    let mut answer = [0u8; 4096];
    let length = recv(fd.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    verdict(answer.get(..length).unwrap_or_default())
}

/// The kernel's acknowledgement: an error message with the number 0 or a negative errno.
fn verdict(answer: &[u8]) -> io::Result<()> {
    let kind = answer.get(4..6).and_then(|bytes| Some(u16::from_ne_bytes(bytes.try_into().ok()?)));
    let number = answer.get(HEADER..HEADER + 4).and_then(|bytes| Some(i32::from_ne_bytes(bytes.try_into().ok()?)));
    match (kind, number) {
        (Some(ERROR), Some(0)) => Ok(()),
        (Some(ERROR), Some(number)) => Err(io::Error::from_raw_os_error(number.checked_neg().unwrap_or(libc::EPROTO))),
        _ => Err(io::Error::other("the kernel's answer on the routing socket could not be read")),
    }
}

#[cfg(test)]
mod tests {
    use super::{add_vlan, set_up, vlan_message};
    use crate::sys::test_network::in_own_network;
    use proptest::prelude::{any, prop, proptest};

    #[test]
    fn the_message_is_what_ip_link_add_sends() {
        // ip link add link (index 7) name eth0.100 type vlan id 100, as strace shows it, without the optional padding.
        let bytes = vlan_message(7, "eth0.100", 100).unwrap();
        assert_eq!(bytes.len(), 80);
        assert_eq!(bytes[..4], 80u32.to_ne_bytes());
        assert_eq!(bytes[32..40], [8, 0, 5, 0, 7, 0, 0, 0], "IFLA_LINK");
        assert_eq!(&bytes[40..53], b"\x0d\0\x03\0eth0.100\0", "IFLA_IFNAME");
        assert_eq!(bytes[56..60], [24, 0, 18, 0], "IFLA_LINKINFO");
        assert_eq!(&bytes[60..68], b"\x08\0\x01\0vlan");
        assert_eq!(bytes[68..80], [12, 0, 2, 0, 6, 0, 1, 0, 100, 0, 0, 0]);
    }

    #[test]
    fn the_kernel_takes_the_orders_or_says_why_not() {
        in_own_network(|network| {
            network.pair("one", "two");
            assert!(!network.is_up("one"));
            set_up("one").unwrap();
            set_up("two").unwrap();
            assert!(network.is_up("one"));
            assert_eq!(set_up("nobody").unwrap_err().raw_os_error(), Some(nix::libc::ENODEV));
            assert!(add_vlan("nobody", "nobody.1", 1).is_err());
            match add_vlan("one", "one.7", 7) {
                Ok(()) => {
                    add_vlan("one", "one.7", 7).unwrap();
                    set_up("one.7").unwrap();
                    assert!(network.is_up("one.7"));
                }
                // Kernels without the driver understand the message all the same.
                Err(error) => assert_eq!(error.raw_os_error(), Some(nix::libc::EOPNOTSUPP), "{error}"),
            }
        });
    }

    proptest! {
        #[test]
        fn answers_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = super::verdict(&bytes);
        }

        #[test]
        fn lengths_fit_whatever_the_name(name in "[!-~]{0,20}", id: u16) {
            if let Ok(bytes) = vlan_message(1, &name, id) {
                assert_eq!(bytes.len() % 4, 0);
                assert_eq!(u32::from_ne_bytes(bytes[..4].try_into().unwrap()) as usize, bytes.len());
            }
        }
    }

    /// In a network namespace of its own, whose only interface is a loopback.
    #[test]
    fn an_interface_goes_up_and_down() {
        let thread = std::thread::spawn(|| {
            if nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).is_err() {
                return; // an ordinary user: the ramdisk's agent is root
            }
            let is_up = || {
                let mut list = nix::ifaddrs::getifaddrs().unwrap();
                let up = nix::net::if_::InterfaceFlags::IFF_UP;
                list.any(|entry| entry.interface_name == "lo" && entry.flags.contains(up))
            };
            super::set_up("lo").unwrap();
            assert!(is_up());
            super::set_down("lo").unwrap();
            assert!(!is_up());
            super::set_down("lo").unwrap();
        });
        thread.join().expect("the thread in its namespace");
        assert!(super::set_down("none0").is_err());
        assert!(!super::names().unwrap().contains(&"lo".to_string()));
    }
}
