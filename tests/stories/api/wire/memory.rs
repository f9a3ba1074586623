//! A list of large records, read by several at once: the conductor holds a piece of it for each, never the whole.

use super::crowd::{memory, start};
use reqwest::Client;
use serde_json::json;

const RECORDS: usize = 400;
/// Of one record.
const SIZE: usize = 60_000;
const READERS: usize = 4;
/// Less than one list of which every reader had its own, in text alone.
const MOST: u64 = (READERS * RECORDS * SIZE) as u64;

#[tokio::test]
async fn readers_of_long_lists_cost_pieces_and_not_lists() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let (process, address) = start(folder.path()).await;
    let client = Client::builder().tls_certs_only([]).build().unwrap();
    let url = format!("http://{address}/v1/chassis");
    let large = "x".repeat(SIZE);
    for number in 0..RECORDS {
        let body = json!({"description": format!("c{number}"), "extra": {"large": large}});
        assert_eq!(client.post(&url).json(&body).send().await.unwrap().status(), 201);
    }
    let id = process.id().unwrap();
    // From now on the peak is counted anew.
    std::fs::write(format!("/proc/{id}/clear_refs"), "5").unwrap();
    let before = memory(id, "VmRSS:");
    let reads = (0..READERS).map(|_| async {
        let request = client.get(format!("{url}?detail=true")).header("X-OpenStack-Ironic-API-Version", "1.115");
        request.send().await.unwrap().bytes().await.unwrap().len()
    });
    let sizes = futures_util::future::join_all(reads).await;
    assert!(sizes.iter().all(|size| *size > RECORDS * SIZE), "{sizes:?}");
    let grown = memory(id, "VmHWM:").saturating_sub(before);
    println!("{READERS} lists of {} MB at once: {} MB more at the peak", sizes[0] / 1_000_000, grown / 1_000_000);
    assert!(grown < MOST, "{grown} bytes more for {sizes:?}");
    assert!(process.stop().success(), "{}", process.log_tail());
}
