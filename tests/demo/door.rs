//! The door between the demo's network namespace and this machine: a unix socket crosses namespaces, so connections to a
//! port here are passed on through it to the API there.

use std::io;
use std::path::{Path, PathBuf};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// Name of the socket in the demo's folder.
pub const SOCKET: &str = "api.sock";
/// Tells the inner process which port the outer one has.
pub const PORT_VARIABLE: &str = "WROUGHT_DEMO_PORT";

/// Listens on `port` of loopback, or on any free one, and passes connections on. Returns the port.
pub async fn open(socket: &Path, port: u16) -> io::Result<u16> {
    let listener = match TcpListener::bind(("127.0.0.1", port)).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind(("127.0.0.1", 0)).await?,
    };
    let port = listener.local_addr()?.port();
    let socket: PathBuf = socket.to_owned();
    tokio::spawn(async move {
        while let Ok((mut here, _)) = listener.accept().await {
            let socket = socket.clone();
            tokio::spawn(async move {
                if let Ok(mut there) = UnixStream::connect(&socket).await {
                    let _ = copy_bidirectional(&mut here, &mut there).await;
                }
            });
        }
    });
    Ok(port)
}

/// The other end, inside: passes connections on to the API at `address`.
pub fn serve(socket: &Path, address: String) -> io::Result<()> {
    let listener = UnixListener::bind(socket)?;
    tokio::spawn(async move {
        while let Ok((mut there, _)) = listener.accept().await {
            let address = address.clone();
            tokio::spawn(async move {
                if let Ok(mut api) = TcpStream::connect(&address).await {
                    let _ = copy_bidirectional(&mut there, &mut api).await;
                }
            });
        }
    });
    Ok(())
}
