//! The HTTP boot server: scripts, kernel, ramdisk, instance images, and the iPXE programs for UEFI HTTP boot.
//!
//! Requests only look things up in the [`BootDirectory`] and in the fixed list of iPXE programs: no path of this machine
//! is ever made from a request, so there is nothing to traverse.

mod file_body;
pub mod listener;
pub mod range;
pub mod stall;

use super::directory::{BootDirectory, BootFile, KeepFile};
use super::ipxe::{BaseUrl, bootstrap, for_machine, local_disk};
use super::programs::Programs;
use axum::Router;
use axum::extract::{ConnectInfo, Extension, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use common::mac::Mac;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use uuid::Uuid;

/// Which address a machine was given, if this process gives addresses.
pub trait Addresses: Send + Sync {
    /// The present address of this NIC.
    fn address_of(&self, mac: Mac) -> Option<Ipv4Addr>;
}

/// What the handlers need.
#[derive(Clone)]
pub struct BootHttp {
    /// What machines boot.
    pub directory: BootDirectory,
    /// How machines reach this server.
    pub base: BaseUrl,
    /// The iPXE programs.
    pub programs: Arc<Programs>,
    /// When set, a machine's script is refused to other addresses than the one its NIC was given.
    pub addresses: Option<Arc<dyn Addresses>>,
}

/// The routes.
pub fn router(state: BootHttp) -> Router {
    Router::new()
        .route("/boot.ipxe", get(common_script))
        .route("/boot/mac/{mac}", get(own_script))
        .route("/boot/{node}/{token}/{file}", get(own_file))
        .route("/{program}", get(program))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .with_state(state)
}

async fn common_script(State(boot): State<BootHttp>) -> Response {
    script(bootstrap(&boot.base))
}

async fn own_script(
    State(boot): State<BootHttp>,
    Path(mac): Path<String>,
    Extension(ConnectInfo(peer)): Extension<ConnectInfo<SocketAddr>>,
) -> Response {
    let Ok(mac) = mac.parse::<Mac>() else { return StatusCode::NOT_FOUND.into_response() };
    let Some(found) = boot.directory.by_mac(mac) else {
        // The same answer as for a machine that boots its disk: strangers learn nothing.
        tracing::info!(%mac, %peer, "an unknown machine network-boots; it is sent to its disk");
        return script(local_disk());
    };
    if let Some(given) = boot.addresses.as_ref().and_then(|addresses| addresses.address_of(mac))
        && peer.ip().to_canonical() != IpAddr::V4(given)
    {
        tracing::warn!(node = %found.node, %mac, %peer, %given, "a boot script was asked for from another address; refused");
        return StatusCode::FORBIDDEN.into_response();
    }
    match for_machine(&boot.base, mac, &found) {
        Ok(text) => {
            tracing::info!(node = %found.node, %mac, %peer, "boot script given");
            script(text)
        }
        Err(error) => {
            tracing::error!(node = %found.node, %mac, %error, "no boot script can be written for this machine");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn own_file(
    State(boot): State<BootHttp>,
    Path((node, token, file)): Path<(String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let found = Uuid::try_parse(&node).ok().zip(BootFile::from_name(&file)).and_then(|(node, name)| {
        let file = boot.directory.file(node, &token, name)?;
        Some((node, name, file))
    });
    let Some((node, name, file)) = found else { return StatusCode::NOT_FOUND.into_response() };
    match file_body::answer(&method, &headers, file.path(), Arc::clone(&file)).await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(%node, file = name.name(), path = %KeepFile::path(&*file).display(), %error, "a boot file cannot be read");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn program(State(boot): State<BootHttp>, Path(name): Path<String>) -> Response {
    match boot.programs.get(&name) {
        Some(bytes) => ([(CONTENT_TYPE, "application/octet-stream")], bytes).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn script(text: String) -> Response {
    // A proxy that kept a script would boot a machine into yesterday's plan.
    ([(CONTENT_TYPE, "text/plain; charset=us-ascii"), (CACHE_CONTROL, "no-store")], text).into_response()
}

#[cfg(test)]
mod tests;
