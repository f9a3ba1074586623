//! iPXE scripts: the common one that asks for the machine's own, and the machine's own.
//!
//! iPXE has no quoting: a line is split at white space, `${..}` is expanded first. Every value that enters a line is
//! therefore of a type that holds neither: [`KernelArgs`], [`Mac`], and URLs made here from checked parts.

use super::directory::{Boot, BootEntry, BootFile, Fetched};
use super::kernel_args::{BadKernelArgs, KernelArgs, KernelWord};
use common::mac::Mac;
use std::fmt::Write;
use url::Url;

/// How often a machine tries before it gives up and boots its disk. With the pause: about two minutes, which a restart
/// of the conductor fits into.
const TRIES: u32 = 20;
/// Seconds between two tries.
const PAUSE: u32 = 5;

/// The address under which machines reach the HTTP boot server: `http://host:port/`, checked once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// The address cannot be written into scripts.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "the address of the HTTP boot server, {0:?}, must look like http://ADDRESS:PORT/ and be at most 96 characters long"
)]
pub struct BadBaseUrl(pub String);

impl BaseUrl {
    /// Checks and completes (a trailing slash) the address.
    pub fn new(text: &str) -> Result<Self, BadBaseUrl> {
        let bad = || BadBaseUrl(text.chars().take(128).collect());
        let mut url = Url::parse(text).map_err(|_| bad())?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some_and(|host| !host.is_empty())
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        // DHCP carries the address plus a name in a field of 128 bytes; the kernel-word rule keeps `${` and the like out.
        if !plain || url.as_str().len() > 96 || KernelWord::new(text).is_err() {
            return Err(bad());
        }
        Ok(Self(url))
    }

    /// The address of something below it. `path` comes from this program, never from a request.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// As a URL.
    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl std::fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// `/boot.ipxe`: asks for the script of the NIC that booted, again and again while the server is away.
///
/// An unknown machine gets a script too ([`local_disk`]), so that "no answer" always means trouble worth another try.
pub fn bootstrap(base: &BaseUrl) -> String {
    let own = base.at("boot/mac/${mac:hexhyp}");
    script(&format!("chain --autofree --replace {own} || goto failed\n"))
}

/// The machine's own script.
pub fn for_machine(base: &BaseUrl, mac: Mac, boot: &Boot) -> Result<String, BadKernelArgs> {
    match &boot.entry {
        BootEntry::LocalDisk => Ok(local_disk()),
        BootEntry::Ramdisk { arguments, .. } => ramdisk(base, mac, boot, [&Fetched::Here; 2], arguments),
        BootEntry::Instance { kernel, ramdisk: initrd, arguments } => {
            ramdisk(base, mac, boot, [kernel, initrd], arguments)
        }
        BootEntry::Iso(iso) => {
            let url = place(base, boot, iso, BootFile::Iso);
            Ok(script(&format!("imgfree ||\nsanboot --no-describe {url} || goto failed\n")))
        }
    }
}

fn place(base: &BaseUrl, boot: &Boot, fetched: &Fetched, file: BootFile) -> String {
    match fetched {
        Fetched::Here => base.at(&boot.url_path(file)),
        Fetched::At(url) => url.as_str().to_owned(),
    }
}

fn ramdisk(
    base: &BaseUrl,
    mac: Mac,
    boot: &Boot,
    [kernel, initrd]: [&Fetched; 2],
    arguments: &KernelArgs,
) -> Result<String, BadKernelArgs> {
    let mut line = arguments.clone();
    line.push(KernelWord::pair("BOOTIF", mac)?);
    // The EFI stub finds the ramdisk by this name; on BIOS it does no harm.
    line.push(KernelWord::pair("initrd", "ramdisk")?);
    line.check_length()?;
    let kernel = place(base, boot, kernel, BootFile::Kernel);
    let initrd = place(base, boot, initrd, BootFile::Ramdisk);
    Ok(script(&format!(
        "imgfree ||\n\
         kernel --name kernel {kernel} {line} || goto failed\n\
         initrd --name ramdisk {initrd} || goto failed\n\
         boot || goto failed\n"
    )))
}

/// What a machine gets that is unknown, or boots its disk.
pub fn local_disk() -> String {
    format!("#!ipxe\n{LOCAL_DISK}")
}

/// UEFI firmware goes on with its next boot entry when the loader ends with an error; BIOS is asked for the first disk,
/// and if there is none the firmware tries its next device.
const LOCAL_DISK: &str = "\
echo Booting the local disk\n\
iseq ${platform} efi && exit 1 ||\n\
sanboot --no-describe --drive 0x80 || exit 1\n";

/// Wraps the lines of one try with the retries and the way out.
fn script(one_try: &str) -> String {
    let mut text = String::from("#!ipxe\nset tries:int32 0\n:again\n");
    text.push_str(one_try);
    // Infallible: a String takes everything.
    let _ = write!(
        text,
        ":failed\n\
         inc tries\n\
         iseq ${{tries}} {TRIES} && goto disk ||\n\
         echo Try ${{tries}} of {TRIES} failed, next in {PAUSE} s\n\
         sleep {PAUSE}\n\
         goto again\n\
         :disk\n\
         {LOCAL_DISK}"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::directory::BootDirectory;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use uuid::Uuid;

    const MAC: Mac = Mac([0x52, 0x54, 0, 0xaa, 0, 1]);

    fn base() -> BaseUrl {
        BaseUrl::new("http://172.22.0.1:8080").unwrap()
    }

    fn boot(arguments: KernelArgs) -> Boot {
        let directory = BootDirectory::default();
        let entry = BootEntry::Ramdisk { kernel: "/k".into(), ramdisk: "/r".into(), arguments };
        directory.set(Uuid::nil(), vec![MAC], entry).unwrap();
        directory.by_mac(MAC).unwrap()
    }

    #[test]
    fn the_machines_script_fetches_kernel_and_ramdisk_from_its_own_urls() {
        let boot = boot(KernelArgs::parse("nofb console=ttyS0").unwrap());
        let text = for_machine(&base(), MAC, &boot).unwrap();
        let folder = format!("http://172.22.0.1:8080/boot/{}/{}", Uuid::nil(), boot.token.expose());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "#!ipxe");
        assert!(
            lines.contains(
                &format!(
                    "kernel --name kernel {folder}/kernel nofb console=ttyS0 BOOTIF=52:54:00:aa:00:01 initrd=ramdisk \
                 || goto failed"
                )
                .as_str()
            )
        );
        assert!(lines.contains(&format!("initrd --name ramdisk {folder}/ramdisk || goto failed").as_str()));
        assert_eq!(text.matches("#!ipxe").count(), 1);
    }

    #[test]
    fn instances_in_memory_come_from_here_or_from_where_they_are() {
        let text = |entry| {
            let directory = BootDirectory::default();
            directory.set(Uuid::nil(), vec![MAC], entry).unwrap();
            for_machine(&base(), MAC, &directory.by_mac(MAC).unwrap()).unwrap()
        };
        let url = |text| Fetched::At(KernelWord::new(text).unwrap());
        let iso = text(BootEntry::Iso(url("http://images.example/live.iso")));
        assert!(iso.contains("\nsanboot --no-describe http://images.example/live.iso || goto failed\n"), "{iso}");
        assert!(text(BootEntry::Iso(Fetched::Here)).contains("/iso || goto failed\n"));
        let arguments = KernelArgs::parse("root=/dev/ram0").unwrap();
        let mixed =
            text(BootEntry::Instance { kernel: Fetched::Here, ramdisk: url("http://images.example/r"), arguments });
        assert!(mixed.contains("/kernel root=/dev/ram0 BOOTIF=52:54:00:aa:00:01 initrd=ramdisk || goto"), "{mixed}");
        assert!(mixed.contains("initrd --name ramdisk http://images.example/r || goto"), "{mixed}");
    }

    #[test]
    fn every_goto_has_its_label() {
        for text in [bootstrap(&base()), for_machine(&base(), MAC, &boot(KernelArgs::default())).unwrap()] {
            for target in text.split("goto ").skip(1).map(|rest| rest.split_whitespace().next().unwrap()) {
                assert!(text.lines().any(|line| line == format!(":{target}")), "{target} in {text}");
            }
        }
    }

    #[test]
    fn a_base_url_is_plain_and_short() {
        assert_eq!(base().at("boot.ipxe"), "http://172.22.0.1:8080/boot.ipxe");
        assert_eq!(BaseUrl::new("http://[fd22::1]:8080/pre").unwrap().at("x"), "http://[fd22::1]:8080/pre/x");
        for bad in ["", "tftp://x/", "http://u:p@h/", "http://h/?q", "http://h/#f", "http://h/${net0/mac}", "h:80"] {
            assert!(BaseUrl::new(bad).is_err(), "{bad}");
        }
        assert!(BaseUrl::new(&format!("http://{}/", "a".repeat(120))).is_err());
    }

    proptest! {
        /// Whatever an operator or tenant writes, the script keeps its lines and its commands.
        #[test]
        fn no_argument_adds_a_line_or_a_command(text in any::<String>()) {
            let Ok(arguments) = KernelArgs::parse(&text) else { return Ok(()) };
            let plain = for_machine(&base(), MAC, &boot(KernelArgs::default())).unwrap();
            let Ok(script) = for_machine(&base(), MAC, &boot(arguments)) else { return Ok(()) };
            prop_assert_eq!(script.lines().count(), plain.lines().count());
            let first_words = |text: &str| -> Vec<String> {
                text.lines().map(|line| line.split_whitespace().next().unwrap_or("").to_owned()).collect()
            };
            prop_assert_eq!(first_words(&script), first_words(&plain));
            prop_assert_eq!(script.matches("||").count(), plain.matches("||").count());
            prop_assert_eq!(script.matches("&&").count(), plain.matches("&&").count());
            prop_assert_eq!(script.matches("${").count(), plain.matches("${").count());
            prop_assert!(script.bytes().all(|byte| byte == b'\n' || (0x20..0x7f).contains(&byte)));
        }
    }
}
