//! Every call that is served, once. To add one: write its handler, add its row.

use super::permit::Policy;
use super::route::{Route, Since};
use super::{
    allocations, chassis, conductors, discovery, drivers, events, history, machine_parts, maintenance, management,
    network_events, node_create, node_list, node_patch, nodes, openapi, port_patch, portgroups, ports, provision,
    ramdisk, shards, states, traits, vendor, vifs, vmedia, volume,
};
use super::{deploy_templates, inspection_rules, runbook_traits, runbooks};
use http::Method;

/// What stands in the column of rules: `open` (no credentials), `"rule"` (the door asks, about what the path names), or
/// `(handler "rule")` (the door asks only whether the node is visible; the handler must ask for the rest by `Call::permit`).
macro_rules! policy {
    (open) => {
        Policy::Open
    };
    ((handler $rule:literal)) => {
        Policy::Handler($rule)
    };
    ($rule:literal) => {
        Policy::Door($rule)
    };
}

macro_rules! routes {
    ($($method:ident $path:literal $kind:ident $since:literal $rule:tt $handler:path;)*) => {
        &[$(Route {
            method: Method::$method,
            path: $path,
            since: Since::$kind($since),
            policy: policy!($rule),
            serve: |call| Box::pin($handler(call)),
        }),*]
    };
}

/// The table. Words before parameters; rows of one path together. Columns: verb, path, since when, policy rule, handler.
#[rustfmt::skip]
pub static TABLE: &[Route] = routes! {
    GET    "/"                                        Hidden 1   open                                     discovery::root;
    GET    "/v1"                                      Hidden 1   open                                     discovery::v1;

    GET    "/openapi.json"                            Hidden 1   open                                     openapi::json;
    GET    "/docs"                                    Hidden 1   open                                     openapi::page;

    GET    "/v1/nodes"                                Hidden 1   "baremetal:node:list"                    node_list::list;
    POST   "/v1/nodes"                                Hidden 1   (handler "baremetal:node:create")        node_create::create;
    GET    "/v1/nodes/detail"                         Hidden 1   "baremetal:node:list"                    node_list::detail;
    GET    "/v1/nodes/validate"                       Hidden 1   (handler "baremetal:node:validate")      nodes::validate_old;
    GET    "/v1/nodes/{}"                             Hidden 1   "baremetal:node:get"                     nodes::show;
    PATCH  "/v1/nodes/{}"                             Hidden 1   (handler "baremetal:node:update")        node_patch::patch;
    DELETE "/v1/nodes/{}"                             Hidden 1   (handler "baremetal:node:delete")        nodes::delete;
    GET    "/v1/nodes/{}/validate"                    Hidden 1   "baremetal:node:validate"                nodes::validate;
    GET    "/v1/nodes/{}/states"                      Hidden 1   "baremetal:node:get_states"              states::show;
    PUT    "/v1/nodes/{}/states/power"                Hidden 1   "baremetal:node:set_power_state"         states::power;
    PUT    "/v1/nodes/{}/states/provision"            Hidden 1   "baremetal:node:set_provision_state"     provision::provision;
    PUT    "/v1/nodes/{}/states/raid"                 Refused 12 "baremetal:node:set_raid_state"          states::raid;
    PUT    "/v1/nodes/{}/states/boot_mode"            Hidden 76  "baremetal:node:set_boot_mode"           states::boot_mode;
    PUT    "/v1/nodes/{}/states/secure_boot"          Hidden 76  "baremetal:node:set_secure_boot"         states::secure_boot;
    GET    "/v1/nodes/{}/states/console"              Hidden 1   "baremetal:node:get_console"             states::console;
    PUT    "/v1/nodes/{}/states/console"              Hidden 1   "baremetal:node:set_console_state"       states::set_console;
    PUT    "/v1/nodes/{}/maintenance"                 Hidden 1   "baremetal:node:set_maintenance"         maintenance::set;
    DELETE "/v1/nodes/{}/maintenance"                 Hidden 1   "baremetal:node:clear_maintenance"       maintenance::clear;
    GET    "/v1/nodes/{}/management/boot_device"      Hidden 1   "baremetal:node:get_boot_device"         management::boot_device;
    PUT    "/v1/nodes/{}/management/boot_device"      Hidden 1   "baremetal:node:set_boot_device"         management::set_boot_device;
    GET    "/v1/nodes/{}/management/boot_device/supported" Hidden 1   "baremetal:node:get_boot_device"         management::supported;
    PUT    "/v1/nodes/{}/management/inject_nmi"       Hidden 29  "baremetal:node:inject_nmi"              management::inject_nmi;
    GET    "/v1/nodes/{}/management/indicators"       Hidden 1   "baremetal:node:get_indicator_state"     management::indicators;
    GET    "/v1/nodes/{}/management/indicators/{}"    Hidden 1   "baremetal:node:get_indicator_state"     management::indicator;
    PUT    "/v1/nodes/{}/management/indicators/{}"    Hidden 1   "baremetal:node:set_indicator_state"     management::set_indicator;
    GET    "/v1/nodes/{}/traits"                      Refused 37 "baremetal:node:traits:list"             traits::list;
    PUT    "/v1/nodes/{}/traits"                      Refused 37 "baremetal:node:traits:set"              traits::replace;
    DELETE "/v1/nodes/{}/traits"                      Refused 37 "baremetal:node:traits:delete"           traits::clear;
    PUT    "/v1/nodes/{}/traits/{}"                   Refused 37 "baremetal:node:traits:set"              traits::add;
    DELETE "/v1/nodes/{}/traits/{}"                   Refused 37 "baremetal:node:traits:delete"           traits::remove;
    GET    "/v1/nodes/{}/ports"                       Hidden 1   "baremetal:port:list"                    ports::of_node;
    GET    "/v1/nodes/{}/ports/detail"                Hidden 1   "baremetal:port:list"                    ports::of_node_detail;
    GET    "/v1/nodes/{}/history"                     Hidden 78  "baremetal:node:history:get"             history::list;
    GET    "/v1/nodes/{}/history/{}"                  Hidden 78  "baremetal:node:history:get"             history::show;
    GET    "/v1/nodes/{}/inventory"                   Hidden 81  "baremetal:node:inventory:get"           nodes::inventory;
    GET    "/v1/nodes/{}/children"                    Hidden 83  "baremetal:node:get"                     nodes::children;
    GET    "/v1/nodes/{}/vifs"                        Hidden 28  "baremetal:node:vif:list"                vifs::list;
    POST   "/v1/nodes/{}/vifs"                        Hidden 28  "baremetal:node:vif:attach"              vifs::attach;
    DELETE "/v1/nodes/{}/vifs/{}"                     Hidden 28  "baremetal:node:vif:detach"              vifs::detach;
    GET    "/v1/nodes/{}/bios"                        Hidden 40  "baremetal:node:bios:get"                machine_parts::bios;
    GET    "/v1/nodes/{}/bios/{}"                     Hidden 40  "baremetal:node:bios:get"                machine_parts::bios_setting;
    GET    "/v1/nodes/{}/firmware"                    Hidden 86  "baremetal:node:firmware:get"            machine_parts::firmware;
    GET    "/v1/nodes/{}/vmedia"                      Hidden 93  "baremetal:node:vmedia:get"              vmedia::list;
    POST   "/v1/nodes/{}/vmedia"                      Hidden 89  "baremetal:node:vmedia:attach"           vmedia::attach;
    DELETE "/v1/nodes/{}/vmedia"                      Hidden 89  "baremetal:node:vmedia:detach"           vmedia::detach;
    GET    "/v1/nodes/{}/allocation"                  Hidden 52  (handler "baremetal:allocation:get")     allocations::show_of_node;
    DELETE "/v1/nodes/{}/allocation"                  Hidden 52  (handler "baremetal:allocation:delete")  allocations::delete_of_node;
    GET    "/v1/nodes/{}/portgroups"                  Hidden 24  "baremetal:portgroup:list"               portgroups::of_node;
    GET    "/v1/nodes/{}/portgroups/detail"           Hidden 24  "baremetal:portgroup:list"               portgroups::of_node_detail;
    GET    "/v1/nodes/{}/volume"                      Hidden 32  "baremetal:volume:get"                   volume::of_node;
    GET    "/v1/nodes/{}/volume/connectors"           Hidden 32  "baremetal:volume:list"                  volume::connectors_of_node;
    GET    "/v1/nodes/{}/volume/targets"              Hidden 32  "baremetal:volume:list"                  volume::targets_of_node;
    GET    "/v1/nodes/{}/vendor_passthru/methods"     Hidden 1   "baremetal:node:vendor_passthru"         vendor::methods;
    GET    "/v1/nodes/{}/vendor_passthru"             Hidden 1   "baremetal:node:vendor_passthru"         vendor::call;
    POST   "/v1/nodes/{}/vendor_passthru"             Hidden 1   "baremetal:node:vendor_passthru"         vendor::call;
    PUT    "/v1/nodes/{}/vendor_passthru"             Hidden 1   "baremetal:node:vendor_passthru"         vendor::call;
    PATCH  "/v1/nodes/{}/vendor_passthru"             Hidden 1   "baremetal:node:vendor_passthru"         vendor::call;
    DELETE "/v1/nodes/{}/vendor_passthru"             Hidden 1   "baremetal:node:vendor_passthru"         vendor::call;
    GET    "/v1/nodes/{}/vendor_passthru/{}"          Hidden 1   "baremetal:node:vendor_passthru"         vendor::call;
    POST   "/v1/nodes/{}/vendor_passthru/{}"          Hidden 1   "baremetal:node:vendor_passthru"         vendor::call;
    PUT    "/v1/nodes/{}/vendor_passthru/{}"          Hidden 1   "baremetal:node:vendor_passthru"         vendor::call;
    PATCH  "/v1/nodes/{}/vendor_passthru/{}"          Hidden 1   "baremetal:node:vendor_passthru"         vendor::call;
    DELETE "/v1/nodes/{}/vendor_passthru/{}"          Hidden 1   "baremetal:node:vendor_passthru"         vendor::call;

    GET    "/v1/ports"                                Hidden 1   "baremetal:port:list"                    ports::list;
    POST   "/v1/ports"                                Hidden 1   (handler "baremetal:port:create")        ports::create;
    GET    "/v1/ports/detail"                         Hidden 1   "baremetal:port:list"                    ports::detail;
    GET    "/v1/ports/{}"                             Hidden 1   "baremetal:port:get"                     ports::show;
    PATCH  "/v1/ports/{}"                             Hidden 1   "baremetal:port:update"                  port_patch::patch;
    DELETE "/v1/ports/{}"                             Hidden 1   "baremetal:port:delete"                  ports::delete;

    GET    "/v1/drivers"                              Hidden 1   "baremetal:driver:get"                   drivers::list;
    GET    "/v1/drivers/{}"                           Hidden 1   "baremetal:driver:get"                   drivers::show;
    GET    "/v1/drivers/{}/properties"                Hidden 1   "baremetal:driver:get_properties"        drivers::properties;
    GET    "/v1/drivers/{}/raid/logical_disk_properties" Refused 12 "baremetal:driver:get_raid_logical_disk_properties" drivers::raid_properties;
    GET    "/v1/drivers/{}/vendor_passthru/methods"   Hidden 1   "baremetal:driver:vendor_passthru"       vendor::driver_methods;
    GET    "/v1/drivers/{}/vendor_passthru"           Hidden 1   "baremetal:driver:vendor_passthru"       vendor::driver_call;
    POST   "/v1/drivers/{}/vendor_passthru"           Hidden 1   "baremetal:driver:vendor_passthru"       vendor::driver_call;
    PUT    "/v1/drivers/{}/vendor_passthru"           Hidden 1   "baremetal:driver:vendor_passthru"       vendor::driver_call;
    PATCH  "/v1/drivers/{}/vendor_passthru"           Hidden 1   "baremetal:driver:vendor_passthru"       vendor::driver_call;
    DELETE "/v1/drivers/{}/vendor_passthru"           Hidden 1   "baremetal:driver:vendor_passthru"       vendor::driver_call;
    GET    "/v1/drivers/{}/vendor_passthru/{}"        Hidden 1   "baremetal:driver:vendor_passthru"       vendor::driver_call;
    POST   "/v1/drivers/{}/vendor_passthru/{}"        Hidden 1   "baremetal:driver:vendor_passthru"       vendor::driver_call;
    PUT    "/v1/drivers/{}/vendor_passthru/{}"        Hidden 1   "baremetal:driver:vendor_passthru"       vendor::driver_call;
    PATCH  "/v1/drivers/{}/vendor_passthru/{}"        Hidden 1   "baremetal:driver:vendor_passthru"       vendor::driver_call;
    DELETE "/v1/drivers/{}/vendor_passthru/{}"        Hidden 1   "baremetal:driver:vendor_passthru"       vendor::driver_call;
    GET    "/v1/conductors"                           Hidden 49  "baremetal:conductor:get"                conductors::list;
    GET    "/v1/conductors/{}"                        Hidden 49  "baremetal:conductor:get"                conductors::show;
    GET    "/v1/shards"                               Hidden 82  "baremetal:shards:get"                   shards::list;
    GET    "/v1/shards/{}"                            Hidden 82  "baremetal:shards:get"                   shards::show;

    GET    "/v1/events"                               Hidden 1   "baremetal:node:list"                    events::stream;
    POST   "/v1/events"                               Hidden 54  "baremetal:events:post"                  network_events::post;

    GET    "/v1/lookup"                               Hidden 22  open                                     ramdisk::lookup;
    POST   "/v1/heartbeat/{}"                         Hidden 22  open                                     ramdisk::heartbeat;
    POST   "/v1/continue_inspection"                  Hidden 1   open                                     ramdisk::continue_inspection;

    GET    "/v1/chassis"                              Hidden 1   "baremetal:chassis:get"                  chassis::list;
    POST   "/v1/chassis"                              Hidden 1   "baremetal:chassis:create"               chassis::create;
    GET    "/v1/chassis/detail"                       Hidden 1   "baremetal:chassis:get"                  chassis::detail;
    GET    "/v1/chassis/{}"                           Hidden 1   "baremetal:chassis:get"                  chassis::show;
    PATCH  "/v1/chassis/{}"                           Hidden 1   "baremetal:chassis:update"               chassis::patch;
    DELETE "/v1/chassis/{}"                           Hidden 1   "baremetal:chassis:delete"               chassis::delete;
    GET    "/v1/chassis/{}/nodes"                     Hidden 1   "baremetal:node:list"                    chassis::nodes;
    GET    "/v1/chassis/{}/nodes/detail"              Hidden 1   "baremetal:node:list"                    chassis::nodes_detail;
    GET    "/v1/portgroups"                           Hidden 23  "baremetal:portgroup:list"               portgroups::list;
    POST   "/v1/portgroups"                           Hidden 23  (handler "baremetal:portgroup:create")   portgroups::create;
    GET    "/v1/portgroups/detail"                    Hidden 23  "baremetal:portgroup:list"               portgroups::detail;
    GET    "/v1/portgroups/{}"                        Hidden 23  "baremetal:portgroup:get"                portgroups::show;
    PATCH  "/v1/portgroups/{}"                        Hidden 23  "baremetal:portgroup:update"             portgroups::patch;
    DELETE "/v1/portgroups/{}"                        Hidden 23  "baremetal:portgroup:delete"             portgroups::delete;
    GET    "/v1/portgroups/{}/ports"                  Hidden 24  "baremetal:port:list"                    portgroups::ports;
    GET    "/v1/portgroups/{}/ports/detail"           Hidden 24  "baremetal:port:list"                    portgroups::ports_detail;
    GET    "/v1/volume"                               Hidden 32  "baremetal:volume:get"                   volume::root;
    GET    "/v1/volume/connectors"                    Hidden 32  "baremetal:volume:list"                  volume::connectors;
    POST   "/v1/volume/connectors"                    Hidden 32  (handler "baremetal:volume:create")      volume::create_connector;
    GET    "/v1/volume/connectors/{}"                 Hidden 32  "baremetal:volume:get"                   volume::show_connector;
    PATCH  "/v1/volume/connectors/{}"                 Hidden 32  "baremetal:volume:update"                volume::patch_connector;
    DELETE "/v1/volume/connectors/{}"                 Hidden 32  "baremetal:volume:delete"                volume::delete_connector;
    GET    "/v1/volume/targets"                       Hidden 32  "baremetal:volume:list"                  volume::targets;
    POST   "/v1/volume/targets"                       Hidden 32  (handler "baremetal:volume:create")      volume::create_target;
    GET    "/v1/volume/targets/{}"                    Hidden 32  "baremetal:volume:get"                   volume::show_target;
    PATCH  "/v1/volume/targets/{}"                    Hidden 32  "baremetal:volume:update"                volume::patch_target;
    DELETE "/v1/volume/targets/{}"                    Hidden 32  "baremetal:volume:delete"                volume::delete_target;
    GET    "/v1/allocations"                          HandledResource 52 "baremetal:allocation:list"             allocations::list;
    POST   "/v1/allocations"                          HandledResource 52 (handler "baremetal:allocation:create") allocations::create;
    GET    "/v1/allocations/{}"                       HandledResource 52 "baremetal:allocation:get"              allocations::show;
    PATCH  "/v1/allocations/{}"                       HandledResource 57 "baremetal:allocation:update"           allocations::patch;
    DELETE "/v1/allocations/{}"                       HandledResource 52 "baremetal:allocation:delete"           allocations::delete;
    GET    "/v1/deploy_templates"                     Resource 55 "baremetal:deploy_template:get"         deploy_templates::list;
    POST   "/v1/deploy_templates"                     Resource 55 "baremetal:deploy_template:create"      deploy_templates::create;
    GET    "/v1/deploy_templates/{}"                  Resource 55 "baremetal:deploy_template:get"         deploy_templates::show;
    PATCH  "/v1/deploy_templates/{}"                  Resource 55 "baremetal:deploy_template:update"      deploy_templates::patch;
    DELETE "/v1/deploy_templates/{}"                  Resource 55 "baremetal:deploy_template:delete"      deploy_templates::delete;
    GET    "/v1/runbooks"                             Resource 92 "baremetal:runbook:list"                runbooks::list;
    POST   "/v1/runbooks"                             Resource 92 "baremetal:runbook:create"              runbooks::create;
    GET    "/v1/runbooks/{}"                          Resource 92 "baremetal:runbook:get"                 runbooks::show;
    PATCH  "/v1/runbooks/{}"                          Resource 92 (handler "baremetal:runbook:update")    runbooks::patch;
    DELETE "/v1/runbooks/{}"                          Resource 92 "baremetal:runbook:delete"              runbooks::delete;
    GET    "/v1/runbooks/{}/traits"                   Resource 112 "baremetal:runbook:get"                  runbook_traits::list;
    PUT    "/v1/runbooks/{}/traits"                   Resource 112 "baremetal:runbook:update"               runbook_traits::replace;
    DELETE "/v1/runbooks/{}/traits"                   Resource 112 "baremetal:runbook:update"               runbook_traits::clear;
    PUT    "/v1/runbooks/{}/traits/{}"                Resource 112 "baremetal:runbook:update"               runbook_traits::add;
    DELETE "/v1/runbooks/{}/traits/{}"                Resource 112 "baremetal:runbook:update"               runbook_traits::remove;
    GET    "/v1/inspection_rules"                     HandledResource 96 "baremetal:inspection_rule:get"         inspection_rules::list;
    POST   "/v1/inspection_rules"                     HandledResource 96 "baremetal:inspection_rule:create"      inspection_rules::create;
    GET    "/v1/inspection_rules/{}"                  HandledResource 96 "baremetal:inspection_rule:get"         inspection_rules::show;
    PATCH  "/v1/inspection_rules/{}"                  HandledResource 96 "baremetal:inspection_rule:update"      inspection_rules::patch;
    DELETE "/v1/inspection_rules/{}"                  HandledResource 96 "baremetal:inspection_rule:delete"      inspection_rules::delete;
};
