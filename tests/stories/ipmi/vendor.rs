//! Vendor methods and steps over IPMI: raw bytes, and the reset of the BMC itself.

use crate::site::{Site, target};
use conductor::driver::traits::DriverError;
use conductor::model::node::InterfaceKind;
use serde_json::{Map, Value, json};
use tests::bmc::Chassis;

fn args(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[tokio::test]
async fn raw_bytes_reach_the_bmc_once() {
    let site = Site::start().await;
    let vendor = site.registry.vendor("ipmi", "ipmitool", &target("7e3a", site.info())).unwrap().unwrap();
    let names: Vec<_> = vendor.methods().iter().map(|method| method.name).collect();
    assert_eq!(names, ["bmc_reset", "send_raw"]);
    let on = args(json!({"raw_bytes": "0x00 0x02 0x01"}));
    vendor.check("send_raw", &on).unwrap();
    assert_eq!(vendor.call("send_raw", &on).await.unwrap(), Value::Null);
    assert!(site.machine.is_on(), "chassis control, power up");
    assert_eq!(site.given(0, 0x02), [vec![1]]);
    let error = vendor.call("send_raw", &args(json!({"raw_bytes": "0x2e 0x99"}))).await.unwrap_err();
    assert!(matches!(error, DriverError::Unsupported(_)), "{error}");
}

#[tokio::test]
async fn the_bmc_is_reset_warm_or_cold() {
    let site = Site::start().await;
    let vendor = site.registry.vendor("ipmi", "ipmitool", &target("7e3a", site.info())).unwrap().unwrap();
    vendor.call("bmc_reset", &args(json!({}))).await.unwrap();
    assert_eq!((site.given(6, 0x03).len(), site.given(6, 0x02).len()), (1, 0));
    vendor.call("bmc_reset", &args(json!({"warm": "false"}))).await.unwrap();
    assert_eq!((site.given(6, 0x03).len(), site.given(6, 0x02).len()), (1, 1));
}

#[tokio::test]
async fn send_raw_is_a_step_of_three_flows() {
    let site = Site::start().await;
    let rows = site.registry.steps(InterfaceKind::Vendor, "ipmitool");
    assert_eq!(rows.iter().map(|row| row.name).collect::<Vec<_>>(), ["send_raw"; 3]);
    let runner =
        site.registry.step_runner("ipmi", InterfaceKind::Vendor, "ipmitool", &target("7e3a", site.info())).unwrap();
    runner.run("send_raw", &args(json!({"raw_bytes": "0 2 1"}))).await.unwrap();
    assert!(site.machine.is_on());
    assert!(runner.run("bmc_reset", &Map::new()).await.is_err(), "no step");
}
