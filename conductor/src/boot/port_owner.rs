//! Which program holds a port: so that "address in use" names the one to stop. Best effort; sees only what /proc shows us.

use std::fs;
use std::path::Path;

/// The transport of the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP, listening.
    Tcp,
    /// UDP.
    Udp,
}

/// `dnsmasq (process 4711)`, or `None` if it cannot be told.
pub fn owner_of(transport: Transport, port: u16) -> Option<String> {
    let tables = match transport {
        Transport::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
        Transport::Udp => ["/proc/net/udp", "/proc/net/udp6"],
    };
    let inode = tables.iter().find_map(|table| socket_of(&fs::read_to_string(table).ok()?, transport, port))?;
    process_with(&format!("socket:[{inode}]"))
}

/// The inode column of the line with this local port.
fn socket_of(table: &str, transport: Transport, port: u16) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_whitespace();
        let local = columns.nth(1)?;
        let state = columns.nth(1)?;
        let inode = columns.nth(5)?.parse().ok()?;
        let same = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()? == port;
        // 0A: listening.
        (same && (transport == Transport::Udp || state == "0A")).then_some(inode)
    })
}

fn process_with(socket: &str) -> Option<String> {
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(id) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(handles) = fs::read_dir(process.path().join("fd")) else { continue };
        let holds = |handle: fs::DirEntry| fs::read_link(handle.path()).is_ok_and(|target| target == Path::new(socket));
        if handles.flatten().any(holds) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (process {id})", name.trim_end().escape_debug()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_sockets_are_found() {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        let me = format!("(process {})", std::process::id());
        for (transport, port) in
            [(Transport::Tcp, tcp.local_addr().unwrap().port()), (Transport::Udp, udp.local_addr().unwrap().port())]
        {
            let owner = owner_of(transport, port).unwrap();
            assert!(owner.contains(&me), "{owner}");
        }
    }

    #[test]
    fn nobody_is_nobody() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert_eq!(owner_of(Transport::Tcp, free), None);
    }
}
