//! Images from end to end: a server that misbehaves, a cache, files, and what the agent is told.

use super::super::fetch::{FetchLimits, Trust};
use super::*;
use crate::boot::directory::BootEntry;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use common::mac::Mac;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;

const CONTENT: &[u8] = b"this is an image";

fn sha(bytes: &[u8]) -> String {
    let mut hasher = common::digest::Hasher::new(DigestKind::Sha256);
    hasher.update(bytes);
    hasher.hex()
}

/// An image server that counts its downloads.
async fn server() -> (SocketAddr, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let image = |State(count): State<Arc<AtomicUsize>>| async move {
        count.fetch_add(1, Ordering::SeqCst);
        CONTENT
    };
    let flaky = |State(count): State<Arc<AtomicUsize>>| async move {
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            let cut = futures_util::stream::iter([Ok(&b"this is"[..]), Err(std::io::Error::other("cut"))]);
            return Response::builder().header("content-length", CONTENT.len()).body(Body::from_stream(cut)).unwrap();
        }
        CONTENT.into_response()
    };
    let endless =
        || async { Body::from_stream(futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(&[0u8; 4096][..]))) };
    let silent = || async { Body::from_stream(futures_util::stream::pending::<Result<&[u8], std::io::Error>>()) };
    let router = Router::new()
        .route("/disk.img", get(image))
        .route("/flaky.img", get(flaky))
        .route("/endless", get(endless))
        .route("/silent", get(silent))
        .route("/sums", get(|| async { format!("{}  disk.img\n", sha(CONTENT)) }))
        .route("/moved", get(|| async { Redirect::temporary("/disk.img") }))
        .route("/to-file", get(|| async { Redirect::temporary("file:///etc/passwd") }))
        .route("/to-metadata", get(|| async { Redirect::temporary("http://169.254.169.254/latest/meta-data") }))
        .route("/loop", get(|| async { Redirect::temporary("/loop") }))
        .with_state(Arc::clone(&count));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (at, count)
}

struct Bench {
    service: ImageService,
    directory: BootDirectory,
    node: Uuid,
    folder: TempDir,
}

impl Bench {
    fn new(cache_bytes: u64) -> Self {
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let policy = ImagePolicy {
            download_source: DownloadSource::Local,
            allow_md5: true,
            permitted_formats: vec!["raw".into()],
            stream_raw: true,
            allowed_folders: vec![folder.path().join("files")],
        };
        std::fs::create_dir(folder.path().join("files")).unwrap();
        let limits = FetchLimits {
            max_bytes: 100_000,
            deadline: Duration::from_secs(5),
            stall: Duration::from_millis(300),
            pause: Duration::from_millis(10),
        };
        let fetcher = Fetcher::new(&Trust::System, limits).unwrap();
        let cache = ImageCache::open(&folder.path().join("cache"), cache_bytes).unwrap();
        let (directory, node) = (BootDirectory::default(), Uuid::new_v4());
        directory.set(node, vec![Mac([2, 0, 0, 0, 0, 1])], BootEntry::LocalDisk).unwrap();
        let base = BaseUrl::new("http://10.0.0.1:8080").unwrap();
        Self {
            service: ImageService::new(policy, fetcher, cache, directory.clone(), Some(base)),
            directory,
            node,
            folder,
        }
    }

    async fn resolve(&self, instance_info: Value) -> Result<ImageInfo, String> {
        let info = SecretMap::from(instance_info.as_object().unwrap().clone());
        let request = self.service.check("n1", &info, &SecretMap::default()).map_err(|error| error.to_string())?;
        self.service.resolve(self.node, &request).await.map_err(|error| error.to_string())
    }

    /// What the agent would download.
    fn served(&self, info: &ImageInfo) -> Vec<u8> {
        let url = url::Url::parse(&info.urls[0]).unwrap();
        let parts: Vec<&str> = url.path_segments().unwrap().collect();
        let file = crate::boot::directory::BootFile::from_name(parts[3]).unwrap();
        std::fs::read(self.directory.file(self.node, parts[2], file).unwrap().path()).unwrap()
    }

    fn cached(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("cache")).unwrap().count()
    }
}

#[tokio::test]
async fn an_image_is_downloaded_once_verified_and_served_at_the_nodes_url() {
    let ((at, count), bench) = (server().await, Bench::new(1 << 20));
    let ask = json!({"image_source": format!("http://{at}/disk.img"), "image_checksum": sha(CONTENT), "image_disk_format": "raw"});
    let (one, two) = tokio::join!(bench.resolve(ask.clone()), bench.resolve(ask.clone()));
    let info = one.unwrap();
    assert_eq!(info.urls, two.unwrap().urls);
    assert_eq!(count.load(Ordering::SeqCst), 1);
    assert_eq!(bench.served(&info), CONTENT);
    assert!(info.urls[0].starts_with("http://10.0.0.1:8080/boot/"), "{:?}", info.urls);
    assert_eq!((info.os_hash_algo.as_deref(), info.os_hash_value), (Some("sha256"), Some(sha(CONTENT))));
    assert_eq!(
        (info.id.as_str(), info.disk_format.as_deref(), info.stream_raw_images),
        ("disk.img", Some("raw"), true)
    );
    // By a checksum file: the same bytes, the same digest, no new download.
    let by_file =
        json!({"image_source": format!("http://{at}/disk.img"), "image_checksum": format!("http://{at}/sums")});
    assert_eq!(bench.served(&bench.resolve(by_file).await.unwrap()), CONTENT);
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_remote_image_is_passed_on_as_it_is() {
    let bench = Bench::new(1 << 20);
    let ask = json!({"image_source": "http://192.0.2.1/disk.img", "image_checksum": "http://192.0.2.1/sums",
        "image_download_source": "http"});
    let info = bench.resolve(ask).await.unwrap();
    assert_eq!(info.urls, ["http://192.0.2.1/disk.img"]);
    assert_eq!((info.checksum.as_deref(), info.os_hash_algo), (Some("http://192.0.2.1/sums"), None));
}

#[tokio::test]
async fn a_cut_download_is_tried_again_and_a_redirect_followed() {
    let ((at, count), bench) = (server().await, Bench::new(1 << 20));
    for name in ["flaky.img", "moved"] {
        let ask = json!({"image_source": format!("http://{at}/{name}"), "image_checksum": sha(CONTENT)});
        assert_eq!(bench.served(&bench.resolve(ask).await.unwrap()), CONTENT, "{name}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn wrong_endless_silent_and_led_astray_downloads_fail_and_leave_nothing() {
    let ((at, _), bench) = (server().await, Bench::new(1 << 20));
    for (path, says) in [
        ("disk.img", "was expected"),
        ("endless", "larger than 100000 bytes"),
        ("silent", "timed out"),
        ("missing", "404"),
        ("to-file", "not followed"),
        ("to-metadata", "link-local"),
        ("loop", "too many redirects"),
    ] {
        let ask = json!({"image_source": format!("http://{at}/{path}"), "image_checksum": sha(b"other")});
        let error = bench.resolve(ask).await.unwrap_err();
        assert!(error.contains(says), "{path}: {error}");
    }
    for host in ["169.254.169.254", "[fe80::1]", "0.0.0.0", "[::ffff:169.254.1.1]"] {
        let ask = json!({"image_source": format!("http://{host}/x"), "image_checksum": sha(b"other")});
        assert!(bench.resolve(ask).await.unwrap_err().contains("link-local"), "{host}");
    }
    assert_eq!(bench.cached(), 0);
}

#[tokio::test]
async fn local_files_are_hashed_or_verified_and_served() {
    let bench = Bench::new(1 << 20);
    let path: PathBuf = bench.folder.path().join("files/a.img");
    std::fs::write(&path, CONTENT).unwrap();
    let url = url::Url::from_file_path(&path).unwrap();
    let info = bench.resolve(json!({"image_source": url.as_str()})).await.unwrap();
    assert_eq!((info.os_hash_value.clone(), bench.served(&info)), (Some(sha(CONTENT)), CONTENT.to_vec()));
    let wrong = json!({"image_source": url.as_str(), "image_checksum": sha(b"other")});
    assert!(bench.resolve(wrong).await.unwrap_err().contains("was expected"));
    // The file changes: the remembered digest does not count.
    std::fs::write(&path, b"another image").unwrap();
    let info = bench.resolve(json!({"image_source": url.as_str()})).await.unwrap();
    assert_eq!(info.os_hash_value, Some(sha(b"another image")));
    let outside = json!({"image_source": "file:///etc/passwd"});
    assert!(bench.resolve(outside).await.unwrap_err().contains("file_url_allowed_paths"));
}

#[tokio::test]
async fn the_longest_unused_image_goes_and_one_in_use_stays() {
    let ((at, _), bench) = (server().await, Bench::new(CONTENT.len() as u64 * 2));
    let ask = |n: u32| json!({"image_source": format!("http://{at}/disk.img?{n}"), "image_checksum": sha(CONTENT)});
    let first = bench.resolve(ask(1)).await.unwrap();
    assert_eq!(bench.served(&first), CONTENT);
    // The node now has image 1; other nodes come and go with 2, 3 and 4.
    for n in 2..=4 {
        let info = SecretMap::from(ask(n).as_object().unwrap().clone());
        let request = bench.service.check("n2", &info, &SecretMap::default()).unwrap();
        let other = Uuid::new_v4();
        bench.directory.set(other, vec![], BootEntry::LocalDisk).unwrap();
        bench.service.resolve(other, &request).await.unwrap();
        bench.directory.remove(other);
    }
    assert_eq!(bench.served(&first), CONTENT, "an image in use is never evicted");
    assert_eq!(bench.cached(), 2);
}

#[tokio::test]
async fn a_node_that_boots_nothing_here_gets_no_image() {
    let ((at, _), bench) = (server().await, Bench::new(1 << 20));
    bench.directory.remove(bench.node);
    let ask = json!({"image_source": format!("http://{at}/disk.img"), "image_checksum": sha(CONTENT)});
    assert!(bench.resolve(ask).await.unwrap_err().contains("prepare its boot first"));
}
