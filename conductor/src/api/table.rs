//! Every call that is served, once. To add one: write its handler, add its row.

use super::route::{Route, Since};
use super::{
    collections, conductors, discovery, drivers, history, maintenance, management, node_create, node_list, node_patch,
    nodes, ports, provision, ramdisk, shards, states, traits, unserved,
};
use http::Method;

macro_rules! routes {
    ($($method:ident $path:literal $kind:ident $since:literal $handler:path;)*) => {
        &[$(Route {
            method: Method::$method,
            path: $path,
            since: Since::$kind($since),
            serve: |call| Box::pin($handler(call)),
        }),*]
    };
}

/// The table. Words before parameters; rows of one path together.
#[rustfmt::skip]
pub static TABLE: &[Route] = routes! {
    GET    "/"                                          Hidden 1   discovery::root;
    GET    "/v1"                                        Hidden 1   discovery::v1;

    GET    "/v1/nodes"                                  Hidden 1   node_list::list;
    POST   "/v1/nodes"                                  Hidden 1   node_create::create;
    GET    "/v1/nodes/detail"                           Hidden 1   node_list::detail;
    GET    "/v1/nodes/validate"                         Hidden 1   nodes::validate_old;
    GET    "/v1/nodes/{}"                               Hidden 1   nodes::show;
    PATCH  "/v1/nodes/{}"                               Hidden 1   node_patch::patch;
    DELETE "/v1/nodes/{}"                               Hidden 1   nodes::delete;
    GET    "/v1/nodes/{}/validate"                      Hidden 1   nodes::validate;
    GET    "/v1/nodes/{}/states"                        Hidden 1   states::show;
    PUT    "/v1/nodes/{}/states/power"                  Hidden 1   states::power;
    PUT    "/v1/nodes/{}/states/provision"              Hidden 1   provision::provision;
    PUT    "/v1/nodes/{}/states/raid"                   Refused 12 states::raid;
    PUT    "/v1/nodes/{}/states/boot_mode"              Hidden 76  states::boot_mode;
    PUT    "/v1/nodes/{}/states/secure_boot"            Hidden 76  states::secure_boot;
    GET    "/v1/nodes/{}/states/console"                Hidden 1   states::console;
    PUT    "/v1/nodes/{}/states/console"                Hidden 1   states::set_console;
    PUT    "/v1/nodes/{}/maintenance"                   Hidden 1   maintenance::set;
    DELETE "/v1/nodes/{}/maintenance"                   Hidden 1   maintenance::clear;
    GET    "/v1/nodes/{}/management/boot_device"        Hidden 1   management::boot_device;
    PUT    "/v1/nodes/{}/management/boot_device"        Hidden 1   management::set_boot_device;
    GET    "/v1/nodes/{}/management/boot_device/supported" Hidden 1 management::supported;
    PUT    "/v1/nodes/{}/management/inject_nmi"         Hidden 29  management::inject_nmi;
    GET    "/v1/nodes/{}/management/indicators"         Hidden 1   management::indicators;
    GET    "/v1/nodes/{}/traits"                        Refused 37 traits::list;
    PUT    "/v1/nodes/{}/traits"                        Refused 37 traits::replace;
    DELETE "/v1/nodes/{}/traits"                        Refused 37 traits::clear;
    PUT    "/v1/nodes/{}/traits/{}"                     Refused 37 traits::add;
    DELETE "/v1/nodes/{}/traits/{}"                     Refused 37 traits::remove;
    GET    "/v1/nodes/{}/ports"                         Hidden 1   ports::of_node;
    GET    "/v1/nodes/{}/ports/detail"                  Hidden 1   ports::of_node_detail;
    GET    "/v1/nodes/{}/history"                       Hidden 78  history::list;
    GET    "/v1/nodes/{}/history/{}"                    Hidden 78  history::show;
    GET    "/v1/nodes/{}/inventory"                     Hidden 81  nodes::inventory;
    GET    "/v1/nodes/{}/children"                      Hidden 83  nodes::children;
    GET    "/v1/nodes/{}/vifs"                          Hidden 28  unserved::vifs;
    POST   "/v1/nodes/{}/vifs"                          Hidden 28  unserved::attach_vif;
    DELETE "/v1/nodes/{}/vifs/{}"                       Hidden 28  unserved::detach_vif;
    GET    "/v1/nodes/{}/bios"                          Hidden 40  unserved::bios;
    GET    "/v1/nodes/{}/bios/{}"                       Hidden 40  unserved::bios_setting;
    GET    "/v1/nodes/{}/firmware"                      Hidden 86  unserved::firmware;
    GET    "/v1/nodes/{}/vmedia"                        Hidden 93  unserved::vmedia;
    POST   "/v1/nodes/{}/vmedia"                        Hidden 89  unserved::attach_vmedia;
    DELETE "/v1/nodes/{}/vmedia"                        Hidden 89  unserved::detach_vmedia;
    GET    "/v1/nodes/{}/allocation"                    Hidden 52  unserved::allocation;
    DELETE "/v1/nodes/{}/allocation"                    Hidden 52  unserved::allocation;
    GET    "/v1/nodes/{}/portgroups"                    Hidden 24  unserved::portgroups;
    GET    "/v1/nodes/{}/volume"                        Hidden 32  unserved::volume;
    GET    "/v1/nodes/{}/volume/connectors"             Hidden 32  unserved::connectors;
    GET    "/v1/nodes/{}/volume/targets"                Hidden 32  unserved::targets;
    GET    "/v1/nodes/{}/vendor_passthru/methods"       Hidden 1   unserved::vendor;
    GET    "/v1/nodes/{}/vendor_passthru"               Hidden 1   unserved::vendor;
    POST   "/v1/nodes/{}/vendor_passthru"               Hidden 1   unserved::vendor;
    PUT    "/v1/nodes/{}/vendor_passthru"               Hidden 1   unserved::vendor;
    DELETE "/v1/nodes/{}/vendor_passthru"               Hidden 1   unserved::vendor;
    GET    "/v1/nodes/{}/vendor_passthru/{}"            Hidden 1   unserved::vendor;
    POST   "/v1/nodes/{}/vendor_passthru/{}"            Hidden 1   unserved::vendor;
    PUT    "/v1/nodes/{}/vendor_passthru/{}"            Hidden 1   unserved::vendor;
    DELETE "/v1/nodes/{}/vendor_passthru/{}"            Hidden 1   unserved::vendor;

    GET    "/v1/ports"                                  Hidden 1   ports::list;
    POST   "/v1/ports"                                  Hidden 1   ports::create;
    GET    "/v1/ports/detail"                           Hidden 1   ports::detail;
    GET    "/v1/ports/{}"                               Hidden 1   ports::show;
    PATCH  "/v1/ports/{}"                               Hidden 1   ports::patch;
    DELETE "/v1/ports/{}"                               Hidden 1   ports::delete;

    GET    "/v1/drivers"                                Hidden 1   drivers::list;
    GET    "/v1/drivers/{}"                             Hidden 1   drivers::show;
    GET    "/v1/drivers/{}/properties"                  Hidden 1   drivers::properties;
    GET    "/v1/drivers/{}/raid/logical_disk_properties" Hidden 12 drivers::raid_properties;
    GET    "/v1/drivers/{}/vendor_passthru/methods"     Hidden 1   drivers::vendor_methods;
    GET    "/v1/conductors"                             Hidden 49  conductors::list;
    GET    "/v1/conductors/{}"                          Hidden 49  conductors::show;
    GET    "/v1/shards"                                 Hidden 82  shards::list;

    GET    "/v1/lookup"                                 Hidden 22  ramdisk::lookup;
    POST   "/v1/heartbeat/{}"                           Hidden 22  ramdisk::heartbeat;
    POST   "/v1/continue_inspection"                    Hidden 1   ramdisk::continue_inspection;

    GET    "/v1/chassis"                                Hidden 1   collections::chassis;
    GET    "/v1/chassis/{}"                             Hidden 1   collections::one_chassis;
    GET    "/v1/portgroups"                             Hidden 23  collections::portgroups;
    GET    "/v1/portgroups/{}"                          Hidden 23  collections::one_portgroup;
    GET    "/v1/volume"                                 Hidden 32  collections::volume;
    GET    "/v1/volume/connectors"                      Hidden 32  collections::connectors;
    GET    "/v1/volume/targets"                         Hidden 32  collections::targets;
    GET    "/v1/allocations"                            Hidden 52  collections::allocations;
    GET    "/v1/allocations/{}"                         Hidden 52  collections::one_allocation;
    GET    "/v1/deploy_templates"                       Hidden 55  collections::deploy_templates;
    GET    "/v1/deploy_templates/{}"                    Hidden 55  collections::one_deploy_template;
    GET    "/v1/runbooks"                               Hidden 92  collections::runbooks;
    GET    "/v1/runbooks/{}"                            Hidden 92  collections::one_runbook;
    GET    "/v1/inspection_rules"                       Hidden 96  collections::inspection_rules;
    GET    "/v1/inspection_rules/{}"                    Hidden 96  collections::one_inspection_rule;
};
