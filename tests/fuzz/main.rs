//! libFuzzer around one target: `FUZZ_TARGET=gpt fuzz -max_total_time=60 FOLDER corpus/gpt`.
#![no_main]

use fuzz::target;
use std::sync::LazyLock;

static RUN: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| panic!("FUZZ_TARGET=`{name}` is no target")).run
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| RUN(data));
