//! Free TCP ports that stay ours: below the range that outgoing connections use, so that a restart finds them free.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 18_000;
const COUNT: u16 = 14_000;

/// The next free port.
///
/// # Panics
/// When none of them is free.
pub fn free() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run side by side begin at different places.
    let offset = (std::process::id().wrapping_mul(397) % u32::from(COUNT)) as u16;
    (0..COUNT)
        .map(|_| FIRST + (offset as u32 + u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) as u16 % COUNT)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port between 18000 and 32000")
}
