//! TFTP for firmware that knows nothing better: the iPXE programs and the common script, by exact name, read-only.
//!
//! TFTP answers whoever seems to ask, so the answers are kept small: block and window are limited, a transfer that is not
//! acknowledged ends after a few tries, and each address has few transfers at a time (amplification, reliability.md 4).

use super::ipxe::{BaseUrl, bootstrap};
use super::programs::Programs;
use async_tftp::packet::Error as TftpError;
use async_tftp::server::{Handler, TftpServerBuilder};
use axum::body::Bytes;
use common::seats::{Seat, Seats};
use futures_util::io::{AsyncRead, Sink};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Fits an Ethernet frame without IP fragments.
const BLOCK_LIMIT: u16 = 1468;
/// Blocks sent without an acknowledgement.
const WINDOW_LIMIT: u16 = 16;
/// Waiting time for an acknowledgement, and how often a window is sent again.
const ACK_TIME: Duration = Duration::from_secs(1);
const RETRIES: u32 = 6;
/// Transfers at a time.
const TRANSFERS: usize = 256;
const TRANSFERS_PER_ADDRESS: usize = 4;

/// What the server gives out.
#[derive(Clone)]
pub struct TftpFiles {
    programs: Arc<Programs>,
    script: Bytes,
}

impl TftpFiles {
    /// The programs and the common script.
    pub fn new(programs: Arc<Programs>, base: &BaseUrl) -> Self {
        Self { programs, script: bootstrap(base).into() }
    }

    /// By exact name; one leading slash is forgiven, as some firmware adds one.
    fn get(&self, name: &str) -> Option<Bytes> {
        let name = name.strip_prefix('/').unwrap_or(name);
        if name == "boot.ipxe" { Some(self.script.clone()) } else { self.programs.get(name) }
    }
}

/// Serves on `socket` until `stop`.
pub async fn serve(socket: UdpSocket, files: TftpFiles, stop: CancellationToken) {
    let transfers = Seats::new(TRANSFERS, TRANSFERS_PER_ADDRESS);
    while !stop.is_cancelled() {
        let server = async {
            TftpServerBuilder::with_handler(Files { files: files.clone(), transfers: Arc::clone(&transfers) })
                .std_socket(socket.try_clone()?)?
                .block_size_limit(BLOCK_LIMIT)
                .window_size_limit(WINDOW_LIMIT)
                .timeout(ACK_TIME)
                .ignore_client_timeout()
                .max_send_retries(RETRIES)
                .build()
                .await?
                .serve()
                .await
        };
        tokio::select! {
            () = stop.cancelled() => return,
            outcome = server => {
                // The socket reported an error: it is transient (no buffers, a link that went down), so go on.
                let error = outcome.err().map(|error| error.to_string());
                tracing::warn!(?error, "TFTP starts again after an error of its socket");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

struct Files {
    files: TftpFiles,
    transfers: Arc<Seats>,
}

impl Handler for Files {
    type Reader = Transfer;
    type Writer = Sink;

    async fn read_req_open(&mut self, client: &SocketAddr, path: &Path) -> Result<(Transfer, Option<u64>), TftpError> {
        let Some(bytes) = path.to_str().and_then(|name| self.files.get(name)) else {
            let name: String = path.to_string_lossy().chars().take(80).collect();
            tracing::info!(%client, name = %name.escape_debug(), "TFTP: no such file");
            return Err(TftpError::FileNotFound);
        };
        let Some(seat) = self.transfers.take(client.ip()) else {
            tracing::warn!(%client, "TFTP: too many transfers at once; refused");
            return Err(TftpError::Msg("busy, ask again".into()));
        };
        tracing::info!(%client, path = %path.display(), bytes = bytes.len(), "TFTP: sending");
        let size = bytes.len() as u64;
        Ok((Transfer { rest: bytes, _seat: seat }, Some(size)))
    }

    async fn write_req_open(
        &mut self,
        client: &SocketAddr,
        _path: &Path,
        _size: Option<u64>,
    ) -> Result<Sink, TftpError> {
        tracing::warn!(%client, "TFTP: a write was refused");
        Err(TftpError::PermissionDenied)
    }
}

/// A running transfer: the bytes not sent yet, and its seat.
struct Transfer {
    rest: Bytes,
    _seat: Seat,
}

impl AsyncRead for Transfer {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let count = self.rest.len().min(buf.len());
        buf[..count].copy_from_slice(&self.rest.split_to(count));
        Poll::Ready(Ok(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Client {
        socket: tokio::net::UdpSocket,
        server: SocketAddr,
    }

    async fn start() -> (Client, CancellationToken) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let server = socket.local_addr().unwrap();
        let program: &'static [u8] = Box::leak(vec![7u8; 5000].into_boxed_slice());
        let files = TftpFiles::new(
            Arc::new(Programs::of(&[("undionly.kpxe", program)])),
            &BaseUrl::new("http://10.0.0.1:8080").unwrap(),
        );
        let stop = CancellationToken::new();
        tokio::spawn(serve(socket, files, stop.clone()));
        (Client { socket: tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap(), server }, stop)
    }

    impl Client {
        async fn request(&self, opcode: u8, name: &str, options: &[&str]) -> (Vec<u8>, SocketAddr) {
            let mut packet = vec![0, opcode];
            for text in [name, "octet"].iter().chain(options) {
                packet.extend(text.as_bytes());
                packet.push(0);
            }
            self.socket.send_to(&packet, self.server).await.unwrap();
            self.receive().await
        }

        async fn receive(&self) -> (Vec<u8>, SocketAddr) {
            let mut buf = vec![0; 70_000];
            let receive = self.socket.recv_from(&mut buf);
            let (count, from) = tokio::time::timeout(Duration::from_secs(5), receive).await.unwrap().unwrap();
            (buf[..count].to_vec(), from)
        }

        async fn fetch(&self, name: &str) -> Vec<u8> {
            let (mut packet, peer) = self.request(1, name, &[]).await;
            let mut content = Vec::new();
            loop {
                assert_eq!(packet[..2], [0, 3]);
                content.extend(&packet[4..]);
                self.socket.send_to(&[0, 4, packet[2], packet[3]], peer).await.unwrap();
                if packet.len() < 516 {
                    return content;
                }
                packet = self.receive().await.0;
            }
        }
    }

    #[tokio::test]
    async fn the_programs_and_the_script_are_sent_whole() {
        let (mut client, _stop) = start().await;
        assert_eq!(client.fetch("undionly.kpxe").await, vec![7; 5000]);
        // As real clients do: a port of its own for every transfer.
        client.socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let script = String::from_utf8(client.fetch("/boot.ipxe").await).unwrap();
        assert!(script.contains("http://10.0.0.1:8080/boot/mac/"), "{script}");
    }

    #[tokio::test]
    async fn nothing_else_is_sent_and_nothing_is_written() {
        let (client, _stop) = start().await;
        for name in ["/etc/passwd", "../../etc/passwd", "undionly.kpxe/../x", "", "UNDIONLY.KPXE", "//undionly.kpxe"] {
            assert_eq!(client.request(1, name, &[]).await.0[..4], [0, 5, 0, 1], "{name}");
        }
        assert_eq!(client.request(2, "undionly.kpxe", &[]).await.0[..4], [0, 5, 0, 2]);
    }

    #[tokio::test]
    async fn a_greedy_client_gets_small_blocks_and_windows() {
        let (client, _stop) = start().await;
        let options = ["blksize", "65464", "windowsize", "65535", "tsize", "0", "timeout", "255"];
        let (answer, _) = client.request(1, "undionly.kpxe", &options).await;
        let text = String::from_utf8_lossy(&answer[2..]).replace('\0', " ");
        assert_eq!(text, "blksize 1468 tsize 5000 windowsize 16 ");
    }

    #[tokio::test]
    async fn one_address_has_few_transfers_at_a_time() {
        let (client, _stop) = start().await;
        for _ in 0..TRANSFERS_PER_ADDRESS {
            let other = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let silent = Client { socket: other, server: client.server };
            assert_eq!(silent.request(1, "undionly.kpxe", &[]).await.0[..2], [0, 3]);
        }
        assert_eq!(client.request(1, "undionly.kpxe", &[]).await.0[..4], [0, 5, 0, 0]);
    }
}
