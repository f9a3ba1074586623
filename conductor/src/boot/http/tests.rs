//! The boot server from outside: a socket, bytes in, bytes out.

use super::*;
use crate::boot::directory::BootEntry;
use crate::boot::kernel_args::KernelArgs;
use listener::Limits;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const MAC: Mac = Mac([0x52, 0x54, 0, 0xaa, 0, 1]);

struct Server {
    at: SocketAddr,
    directory: BootDirectory,
    node: Uuid,
    folder: TempDir,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

struct Given(Ipv4Addr);

impl Addresses for Given {
    fn address_of(&self, _: Mac) -> Option<Ipv4Addr> {
        Some(self.0)
    }
}

async fn start(limits: Limits, addresses: Option<Arc<dyn Addresses>>) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..1_000_000u32).map(|index| (index % 251) as u8).collect();
    let (kernel, ramdisk) = (folder.path().join("k"), folder.path().join("r"));
    std::fs::write(&kernel, &content).unwrap();
    std::fs::write(&ramdisk, b"initrd").unwrap();
    let (directory, node) = (BootDirectory::default(), Uuid::new_v4());
    let arguments = KernelArgs::parse("quiet").unwrap();
    directory.set(node, vec![MAC], BootEntry::Ramdisk { kernel, ramdisk, arguments }).unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    let state = BootHttp {
        directory: directory.clone(),
        base: BaseUrl::new(&format!("http://{at}")).unwrap(),
        programs: Arc::new(Programs::of(&[("snponly.efi", b"MZ-efi")])),
        addresses,
    };
    let stop = CancellationToken::new();
    let task = tokio::spawn(listener::serve(socket, router(state), limits, stop.clone()));
    Server { at, directory, node, folder, stop, task }
}

impl Server {
    /// Status line and headers as text, and the body.
    async fn ask(&self, request: &str) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(self.at).await.unwrap();
        let text = format!("{request}Host: x\r\nConnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end + 4..].to_vec())
    }

    async fn get(&self, path: &str, headers: &str) -> (String, Vec<u8>) {
        self.ask(&format!("GET {path} HTTP/1.1\r\n{headers}")).await
    }

    fn path(&self, file: BootFile) -> String {
        format!("/{}", self.directory.by_mac(MAC).unwrap().url_path(file))
    }
}

#[tokio::test]
async fn scripts_are_given_by_mac_and_strangers_get_their_disk() {
    let server = start(Limits::default(), None).await;
    let (head, body) = server.get("/boot.ipxe", "").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("no-store"), "{head}");
    assert!(String::from_utf8(body).unwrap().contains("boot/mac/${mac:hexhyp}"));
    let (_, own) = server.get("/boot/mac/52-54-00-aa-00-01", "").await;
    let own = String::from_utf8(own).unwrap();
    assert!(own.contains(&server.path(BootFile::Kernel)) && own.contains("quiet BOOTIF=52:54:00:aa:00:01"), "{own}");
    let (_, stranger) = server.get("/boot/mac/52-54-00-aa-00-99", "").await;
    server.directory.set(server.node, vec![MAC], BootEntry::LocalDisk).unwrap();
    let (_, disk) = server.get("/boot/mac/52:54:00:AA:00:01", "").await;
    assert_eq!(disk, stranger, "a stranger cannot tell known from unknown machines");
    assert!(server.get("/boot/mac/nonsense", "").await.0.starts_with("HTTP/1.1 404"));
    assert_eq!(server.get("/snponly.efi", "").await.1, b"MZ-efi");
}

#[tokio::test]
async fn another_nodes_files_and_paths_outside_are_refused() {
    let server = start(Limits::default(), None).await;
    let good = server.path(BootFile::Kernel);
    let token = server.directory.by_mac(MAC).unwrap().token.expose().to_owned();
    std::fs::write(server.folder.path().join("secret"), "secret").unwrap();
    let other = Uuid::new_v4();
    for path in [
        format!("/boot/{other}/{token}/kernel"),
        format!("/boot/{}/{}/kernel", server.node, "0".repeat(32)),
        format!("/boot/{}//kernel", server.node),
        format!("/boot/{}/{token}/image", server.node),
        format!("/boot/{}/{token}/secret", server.node),
        format!("/boot/{}/{token}/..%2fsecret", server.node),
        format!("/boot/{}/{token}/kernel/../../../../etc/passwd", server.node),
        good.replace("kernel", "%6bernel%00"),
        "/../etc/passwd".into(),
        "/..%2f..%2fetc%2fpasswd".into(),
        "/ipxe.efi".into(),
        "/".into(),
    ] {
        let (head, body) = server.get(&path, "").await;
        assert!(head.starts_with("HTTP/1.1 404") && body.is_empty(), "{path}: {head}");
    }
    assert!(server.get(&good, "").await.0.starts_with("HTTP/1.1 200"));
    assert!(server.ask(&format!("POST {good} HTTP/1.1\r\nContent-Length: 0\r\n")).await.0.starts_with("HTTP/1.1 405"));
    server.directory.remove(server.node);
    assert!(server.get(&good, "").await.0.starts_with("HTTP/1.1 404"), "the URL dies with the boot");
}

#[tokio::test]
async fn a_script_is_refused_to_another_address_than_the_machines() {
    let server = start(Limits::default(), Some(Arc::new(Given(Ipv4Addr::new(172, 22, 0, 100))))).await;
    assert!(server.get("/boot/mac/52-54-00-aa-00-01", "").await.0.starts_with("HTTP/1.1 403"));
    let server = start(Limits::default(), Some(Arc::new(Given(Ipv4Addr::LOCALHOST)))).await;
    assert!(server.get("/boot/mac/52-54-00-aa-00-01", "").await.0.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn downloads_can_be_cut_resumed_and_compared() {
    let server = start(Limits::default(), None).await;
    let path = server.path(BootFile::Kernel);
    let (head, whole) = server.get(&path, "").await;
    assert_eq!(whole.len(), 1_000_000);
    let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    let (head, none) = server.ask(&format!("HEAD {path} HTTP/1.1\r\n")).await;
    assert!(head.contains("content-length: 1000000") && head.contains("accept-ranges: bytes") && none.is_empty());
    let (head, part) = server.get(&path, "Range: bytes=999990-\r\n").await;
    assert!(head.starts_with("HTTP/1.1 206") && head.contains("content-range: bytes 999990-999999/1000000"), "{head}");
    assert_eq!(part, whole[999_990..]);
    let (_, part) = server.get(&path, &format!("Range: bytes=300000-799999\r\nIf-Range: {etag}\r\n")).await;
    assert_eq!(part, whole[300_000..800_000]);
    let (head, _) = server.get(&path, "Range: bytes=1000000-\r\n").await;
    assert!(head.starts_with("HTTP/1.1 416") && head.contains("content-range: bytes */1000000"), "{head}");
    let (head, _) = server.get(&path, &format!("If-None-Match: {etag}\r\n")).await;
    assert!(head.starts_with("HTTP/1.1 304"), "{head}");
    // The file changes: a resumed download gets all of the new one.
    let fresh = server.folder.path().join("fresh");
    std::fs::write(&fresh, b"new kernel").unwrap();
    std::fs::rename(&fresh, server.folder.path().join("k")).unwrap();
    let (head, all) = server.get(&path, &format!("Range: bytes=5-\r\nIf-Range: {etag}\r\n")).await;
    assert!(head.starts_with("HTTP/1.1 200") && all == b"new kernel", "{head}");
}

#[tokio::test]
async fn a_missing_or_special_file_is_an_error_not_a_hang() {
    let server = start(Limits::default(), None).await;
    for path in ["/nonexistent", "/dev/zero", "/tmp"] {
        let entry = BootEntry::Ramdisk {
            kernel: PathBuf::from(path),
            ramdisk: PathBuf::from(path),
            arguments: KernelArgs::default(),
        };
        server.directory.set(server.node, vec![MAC], entry).unwrap();
        assert!(server.get(&server.path(BootFile::Kernel), "").await.0.starts_with("HTTP/1.1 500"));
    }
}

#[tokio::test]
async fn connections_are_bounded_and_silent_ones_end() {
    let limits = Limits { per_address: 2, header_time: Duration::from_millis(200), ..Limits::default() };
    let server = start(limits, None).await;
    let mut silent = [TcpStream::connect(server.at).await.unwrap(), TcpStream::connect(server.at).await.unwrap()];
    // Both are being served once the server has answered them something; a third from the same address is closed.
    for stream in &mut silent {
        stream.write_all(b"GET /boot.ipxe HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
    }
    let mut third = TcpStream::connect(server.at).await.unwrap();
    assert!(matches!(third.read(&mut [0; 16]).await, Ok(0) | Err(_)));
    for stream in &mut silent {
        let mut rest = Vec::new();
        tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    }
    let (head, _) = server.get("/boot.ipxe", "").await;
    assert!(head.starts_with("HTTP/1.1 200"), "the places are free again");
}

#[tokio::test]
async fn it_stops_when_told_and_gives_the_port_back() {
    let server = start(Limits::default(), None).await;
    let _idle = TcpStream::connect(server.at).await.unwrap();
    server.stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), server.task).await.unwrap().unwrap();
    TcpListener::bind(server.at).await.unwrap();
}
