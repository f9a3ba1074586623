//! What an operator of Ironic runs beside it for network boot: dnsmasq for addresses and the first file, busybox for the rest.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::program::Running;
use crate::network::{BRIDGE, CONDUCTOR};

/// Where the files of [`super::ironic`]'s configuration are fetched.
pub const PORT: u16 = 8088;
/// Both are small programs.
const START: Duration = Duration::from_secs(20);

/// Both, running.
#[derive(Debug)]
pub struct Netboot {
    dnsmasq: Running,
    _httpd: Running,
    /// What was asked over HTTP.
    pub log: PathBuf,
}

impl Netboot {
    /// Starts them on the story's bridge; `folder` is what Ironic writes for iPXE.
    ///
    /// # Panics
    /// When one does not start, with what it said.
    pub fn start(dir: &Path, folder: &Path) -> Self {
        let tftp = dir.join("tftp");
        fs::create_dir_all(&tftp).expect("a folder");
        fs::copy("/usr/lib/ipxe/undionly.kpxe", tftp.join("undionly.kpxe")).expect("undionly.kpxe (package ipxe)");
        let config = dir.join("dnsmasq.conf");
        fs::write(&config, configuration(dir, &tftp)).expect("dnsmasq's configuration");
        let mut dnsmasq = Command::new("dnsmasq");
        // In the foreground, as the user who started it.
        dnsmasq.arg("-d").arg("-C").arg(&config);
        let dnsmasq = Running::start(dnsmasq, &dir.join("dnsmasq.log"));
        let log = dir.join("httpd.log");
        let mut httpd = Command::new("busybox");
        httpd.args(["httpd", "-f", "-vv", "-p", &format!("{CONDUCTOR}:{PORT}"), "-h"]).arg(folder);
        let mut httpd = Running::start(httpd, &log);
        let begun = Instant::now();
        while TcpStream::connect((CONDUCTOR, PORT)).is_err() {
            assert!(httpd.runs() && begun.elapsed() < START, "busybox httpd: {}", httpd.said());
            std::thread::sleep(Duration::from_millis(50));
        }
        let mut netboot = Self { dnsmasq, _httpd: httpd, log };
        assert!(netboot.dnsmasq.runs(), "dnsmasq: {}", netboot.dnsmasq.said());
        netboot
    }
}

fn configuration(dir: &Path, tftp: &Path) -> String {
    format!(
        "port=0
interface={BRIDGE}
bind-interfaces
except-interface=lo
dhcp-range=172.22.0.100,172.22.0.199,255.255.255.0,10m
dhcp-option=option:router,{CONDUCTOR}
# iPXE waits for IPv6 unless somebody announces a prefix, and for a second DHCP server unless it is told that there is none.
enable-ra
dhcp-range=fd22::,ra-only,64
dhcp-option=encap:175,176,01
dhcp-leasefile={dir}/leases
pid-file={dir}/dnsmasq.pid
dhcp-authoritative
no-ping
enable-tftp
tftp-root={tftp}
dhcp-match=set:ipxe,175
dhcp-boot=tag:ipxe,http://{CONDUCTOR}:{PORT}/boot.ipxe
dhcp-boot=tag:!ipxe,undionly.kpxe
",
        dir = dir.display(),
        tftp = tftp.display()
    )
}
