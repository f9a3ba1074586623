//! Hardware types: what they are made of, what nodes of them may use, and what is said about the rest.

use crate::site::{NEW, Site, replace};
use serde_json::{Value, json};

/// Every type, every interface.
async fn everything() -> Site {
    Site::with(|config, _| {
        let all = |kind: &str| -> Vec<String> {
            let kind = conductor::model::node::InterfaceKind::from_name(kind).unwrap();
            conductor::driver::interface::known(kind).into_iter().map(String::from).collect()
        };
        let top = &mut config.top;
        top.enabled_hardware_types =
            ["fake-hardware", "idrac", "intel-ipmi", "ipmi", "manual-management", "redfish"].map(String::from).to_vec();
        top.enabled_boot_interfaces = all("boot");
        top.enabled_deploy_interfaces = all("deploy");
        top.enabled_management_interfaces = all("management");
        top.enabled_power_interfaces = all("power");
        top.enabled_bios_interfaces = all("bios");
        top.enabled_console_interfaces = all("console");
        top.enabled_firmware_interfaces = all("firmware");
        top.enabled_inspect_interfaces = all("inspect");
        top.enabled_raid_interfaces = all("raid");
        top.enabled_rescue_interfaces = all("rescue");
        top.enabled_storage_interfaces = all("storage");
        top.enabled_vendor_interfaces = all("vendor");
    })
    .await
}

#[tokio::test]
async fn each_type_prefers_what_the_reference_prefers() {
    let site = everything().await;
    for (driver, kind, default, enabled) in [
        ("idrac", "boot", "ipxe", 6),
        ("idrac", "management", "idrac-redfish", 1),
        ("redfish", "inspect", "redfish", 3),
        ("ipmi", "vendor", "ipmitool", 2),
        ("intel-ipmi", "management", "intel-ipmitool", 1),
        ("manual-management", "power", "agent", 2),
        ("fake-hardware", "rescue", "fake", 3),
        ("fake-hardware", "storage", "noop", 4),
    ] {
        let facts = site.get(&format!("/v1/drivers/{driver}")).await.expect(200).body;
        assert_eq!(facts[format!("default_{kind}_interface")], default, "{driver}");
        assert_eq!(facts[format!("enabled_{kind}_interfaces")].as_array().unwrap().len(), enabled, "{driver} {kind}");
    }
}

#[tokio::test]
async fn nodes_of_every_type_are_taken_and_what_is_not_built_says_so() {
    let site = everything().await;
    for driver in ["idrac", "intel-ipmi", "redfish"] {
        let info = json!({"redfish_address": "https://192.0.2.1", "ipmi_address": "192.0.2.1"});
        let node = site.post("/v1/nodes", json!({"driver": driver, "name": driver, "driver_info": info})).await;
        let node = node.expect(201).body;
        let checks = site.get(&format!("/v1/nodes/{driver}/validate")).await.expect(200).body;
        let reason = format!("Driver {driver} does not support management (disabled or not implemented).");
        assert_eq!(checks["management"], json!({"result": false, "reason": reason}));
        for path in ["management/boot_device", "management/indicators", "vmedia"] {
            let reply = site.get(&format!("/v1/nodes/{driver}/{path}")).await.expect(400);
            assert_eq!(reply.fault(), reason, "{path}");
        }
        assert!(node["deploy_interface"].is_string());
    }
    site.put("/v1/nodes/redfish/states/provision", json!({"target": "manage"})).await.expect(202);
    site.reaches("redfish", "enroll").await;
    let error = site.get("/v1/nodes/redfish").await.body["last_error"].as_str().unwrap().to_owned();
    assert!(error.contains("Driver redfish does not support power (disabled or not implemented)."), "{error}");
}

#[tokio::test]
async fn unknown_disabled_and_unsupported_interfaces_are_told_apart() {
    let site = Site::start().await;
    site.node("n").await;
    for (body, words) in [
        (json!({"driver": "nope"}), "No conductor service registered which supports driver nope"),
        (json!({"driver": "idrac"}), "No conductor service registered which supports driver idrac"),
        (
            json!({"driver": "ipmi", "power_interface": "zz"}),
            "Could not find the following interface in the 'ironic.hardware.interfaces.power' entrypoint: zz. Valid \
             interfaces are ['fake', 'ipmitool', 'redfish'].",
        ),
        (
            json!({"driver": "ipmi", "power_interface": "fake"}),
            "power interface implementation 'fake' is not supported by hardware type IPMIHardware.",
        ),
    ] {
        let reply = site.post("/v1/nodes", body).await.expect(400);
        assert!(reply.fault().contains(words), "{}", reply.fault());
    }
    let reply = site.patch("/v1/nodes/n", replace("/driver", json!("ipmi"))).await.expect(400);
    assert!(reply.fault().contains("is not supported by hardware type IPMIHardware."), "{}", reply.fault());
}

#[tokio::test]
async fn fields_details_and_types_by_version() {
    let site = Site::start().await;
    for (version, query, status, words) in [
        ("1.29", "?detail=true", 406, "Request not acceptable."),
        ("1.29", "?type=dynamic", 406, "Request not acceptable."),
        ("1.76", "?fields=name", 406, "Request not acceptable."),
        (NEW, "?type=zz", 400, "\"type\" filter must be one of \"classic\" or \"dynamic\", if specified."),
        (NEW, "?fields=name&detail=true", 400, "Can not specify ?detail=True and fields in the same request."),
        (NEW, "?fields=zz", 400, "Schema error: 'zz' is not one of ['hosts', 'links', 'name',"),
        (NEW, "?fields=default_bios_interface", 400, "Field(s) \"default_bios_interface\" are not valid"),
        (NEW, "?foo=1", 400, "Unexpected arguments: foo"),
    ] {
        let reply = site.at(version, "GET", &format!("/v1/drivers{query}"), None).await.expect(status);
        assert!(reply.fault().contains(words), "{query}: {}", reply.fault());
    }
    assert_eq!(site.get("/v1/drivers?type=classic").await.expect(200).body, json!({"drivers": []}));
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let show = async |version: &str| site.at(version, "GET", "/v1/drivers/ipmi", None).await.expect(200).body;
    assert_eq!(keys(&show("1.1").await), ["name", "hosts", "links"]);
    assert!(show("1.32").await.get("default_storage_interface").is_none());
    assert!(show("1.85").await.get("default_firmware_interface").is_none());
    assert!(show("1.86").await.get("default_firmware_interface").is_some());
    let some = site.get("/v1/drivers/ipmi?fields=name,default_power_interface").await.expect(200).body;
    assert_eq!(keys(&some).len(), 3, "and links: {some}");
}

#[tokio::test]
async fn properties_raid_keys_and_vendor_methods_of_a_type() {
    let site = Site::start().await;
    let fake = "/v1/drivers/fake-hardware";
    assert_eq!(
        site.get(&format!("{fake}/properties")).await.expect(200).body,
        json!({"B1": "B1 description. Required.", "B2": "B2 description. Required."})
    );
    let raid = site.get(&format!("{fake}/raid/logical_disk_properties")).await.expect(200).body;
    assert_eq!(raid.as_object().unwrap().len(), 10);
    assert!(raid["raid_level"].as_str().unwrap().starts_with("RAID level for the logical disk. Valid values are"));
    site.at("1.11", "GET", &format!("{fake}/raid/logical_disk_properties"), None).await.expect(406);
    assert_eq!(site.get(&format!("{fake}/vendor_passthru/methods")).await.expect(200).body, json!({}));
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        for path in ["vendor_passthru/x", "vendor_passthru?method=x"] {
            let reply = site.at(NEW, method, &format!("{fake}/{path}"), None).await.expect(400);
            assert_eq!(reply.fault(), "No handler for method x");
        }
    }
    assert_eq!(
        site.get(&format!("{fake}/vendor_passthru")).await.expect(400).fault(),
        "Missing mandatory parameter: method"
    );
    for path in ["properties", "raid/logical_disk_properties", "vendor_passthru/methods", "vendor_passthru/x"] {
        let reply = site.get(&format!("/v1/drivers/zz/{path}")).await.expect(404);
        assert_eq!(reply.fault(), "The driver 'zz' is unknown.");
    }
    let reply = site.get("/v1/drivers/zz").await.expect(404);
    assert_eq!(reply.fault(), "Could not find the following driver(s) or hardware type(s): zz.");
}

#[tokio::test]
async fn conductors_come_in_pages_as_everything_does() {
    let site = Site::start().await;
    for name in ["a", "b"] {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let record = conductor::store::ConductorRecord {
            hostname: name.into(),
            conductor_group: String::new(),
            drivers: Vec::new(),
            created_at: now,
            updated_at: now,
        };
        site.store().register_conductor(&record).await.unwrap();
    }
    let names = async |path: &str| {
        let body = site.get(path).await.expect(200).body;
        let names: Vec<String> = body["conductors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["hostname"].as_str().unwrap().to_owned())
            .collect();
        (names.join(" "), body["next"].as_str().map(str::to_owned))
    };
    let (first, next) = names("/v1/conductors?limit=2&sort_key=hostname").await;
    assert_eq!(first, "a b");
    let next = next.expect("there is more");
    let rest = names(next.strip_prefix(&site.base).unwrap()).await;
    assert_eq!(rest, ("here".into(), None));
    assert_eq!(names("/v1/conductors?sort_key=hostname&sort_dir=desc").await.0, "here b a");
    for (path, status, text) in [
        ("limit=0", 400, "Limit must be positive"),
        ("sort_key=foo", 400, "is an invalid field for sorting"),
        ("marker=nobody", 404, "Conductor nobody could not be found."),
    ] {
        let reply = site.get(&format!("/v1/conductors?{path}")).await.expect(status);
        assert!(reply.fault().contains(text), "{}", reply.fault());
    }
}
