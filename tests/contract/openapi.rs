//! The description of the API that is checked in is the one that is served.

use conductor::api::openapi;
use std::path::Path;

#[test]
fn the_checked_in_description_is_the_one_that_is_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == format!("{:#}\n", openapi::document()),
        "docs/openapi.json is not what the route table and the field tables say. Look whether the change is meant, then: \
         cargo run -q -p conductor -- openapi > docs/openapi.json"
    );
}
