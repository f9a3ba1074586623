//! What calls take and answer, for the description. A call that is not here is described by its row alone.

use super::schema::parts;

/// What a request carries.
#[derive(Clone, Copy)]
pub enum Body {
    /// Nothing.
    None,
    /// A component or a word of the schema language.
    Schema(&'static str),
    /// An object: `name:type name!:type`.
    Fields(&'static str),
}

/// What a good answer carries.
#[derive(Clone, Copy)]
pub enum Reply {
    /// Nothing.
    Nothing,
    /// JSON of some kind.
    Undeclared,
    /// A component or a word.
    Schema(&'static str),
    /// An object.
    Fields(&'static str),
    /// An object with a list under a key, and perhaps `next`.
    List(&'static str, &'static str),
    /// Server-sent events.
    Events,
    /// HTML.
    Page,
}

/// One call.
pub struct Declared {
    /// Verb.
    pub method: &'static str,
    /// Path, as in the table.
    pub path: &'static str,
    /// In a few words.
    pub summary: &'static str,
    /// Query: `name:type`; `+list` stands for the arguments of every list.
    pub query: &'static str,
    /// Body.
    pub body: Body,
    /// Status when all is well.
    pub status: &'static str,
    /// Its content.
    pub reply: Reply,
}

const LIST: &str = "limit:int marker:uuid sort_key:text sort_dir:=asc|desc fields:text detail:bool";

impl Declared {
    /// Name and type of every argument of the query.
    pub fn query_fields(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let (list, own) = match self.query.strip_prefix("+list") {
            Some(own) => (LIST, own),
            None => ("", self.query),
        };
        parts(list).chain(parts(own)).map(|(name, kind, _)| (name, kind))
    }
}

const fn get(path: &'static str, summary: &'static str, query: &'static str, reply: Reply) -> Declared {
    Declared { method: "GET", path, summary, query, body: Body::None, status: "200", reply }
}

const fn put(path: &'static str, summary: &'static str, fields: &'static str, status: &'static str) -> Declared {
    Declared { method: "PUT", path, summary, query: "", body: Body::Fields(fields), status, reply: Reply::Nothing }
}

const fn post(path: &'static str, summary: &'static str, body: Body, status: &'static str, reply: Reply) -> Declared {
    Declared { method: "POST", path, summary, query: "", body, status, reply }
}

const fn patch(path: &'static str, summary: &'static str, query: &'static str, reply: Reply) -> Declared {
    Declared { method: "PATCH", path, summary, query, body: Body::Schema("Patch"), status: "200", reply }
}

const fn delete(path: &'static str, summary: &'static str, status: &'static str) -> Declared {
    Declared { method: "DELETE", path, summary, query: "", body: Body::None, status, reply: Reply::Nothing }
}

const NODES: &str = "+list instance_uuid:uuid chassis_uuid:uuid associated:bool maintenance:bool provision_state:text driver:text \
resource_class:text fault:text conductor_group:text conductor:text owner:text description_contains:text retired:bool lessee:text \
project:text shard:text sharded:bool parent_node:text include_children:bool instance_name:text";
const PORTS: &str = "+list node:text node_uuid:uuid address:text portgroup:text shard:text description_contains:text";

/// The calls.
#[rustfmt::skip]
pub const CALLS: &[Declared] = &[
    get("/", "Which versions are served.", "", Reply::Schema("object")),
    get("/v1", "Which resources are served.", "", Reply::Schema("object")),
    get("/openapi.json", "This document.", "", Reply::Schema("object")),
    get("/docs", "This document for people.", "", Reply::Page),
    get("/v1/nodes", "Nodes.", NODES, Reply::List("nodes", "Node")),
    get("/v1/nodes/detail", "Nodes with every field.", NODES, Reply::List("nodes", "Node")),
    post("/v1/nodes", "Enrol a node.", Body::Schema("NodeCreate"), "201", Reply::Schema("Node")),
    get("/v1/nodes/{}", "One node.", "fields:text", Reply::Schema("Node")),
    patch("/v1/nodes/{}", "Change a node.", "reset_interfaces:bool", Reply::Schema("Node")),
    delete("/v1/nodes/{}", "Forget a node.", "204"),
    get("/v1/nodes/{}/validate", "What each interface of a node lacks.", "", Reply::Schema("object")),
    get("/v1/nodes/{}/states", "The states of a node.", "", Reply::Fields("console_enabled:bool last_error:text? power_state:text? provision_state:text? target_power_state:text? target_provision_state:text? provision_updated_at:time? raid_config:object target_raid_config:object boot_mode:text? secure_boot:bool?")),
    put("/v1/nodes/{}/states/power", "Switch a machine.", "target!:PowerTarget timeout:int", "202"),
    put("/v1/nodes/{}/states/provision", "Ask for a move of the state machine.", "target!:text configdrive:any clean_steps:[Step] deploy_steps:[Step] service_steps:[Step] rescue_password:text disable_ramdisk:bool runbook:text", "202"),
    put("/v1/nodes/{}/states/raid", "The wanted RAID configuration.", "logical_disks:[object]", "204"),
    put("/v1/nodes/{}/states/boot_mode", "Change the boot mode.", "target!:=bios|uefi", "202"),
    put("/v1/nodes/{}/states/secure_boot", "Change secure boot.", "target!:bool", "202"),
    get("/v1/nodes/{}/states/console", "The console of a node.", "", Reply::Fields("console_enabled!:bool console_info:object?")),
    put("/v1/nodes/{}/states/console", "Switch the console.", "enabled!:bool", "202"),
    put("/v1/nodes/{}/maintenance", "Begin maintenance.", "reason:text", "202"),
    delete("/v1/nodes/{}/maintenance", "End maintenance.", "202"),
    get("/v1/nodes/{}/management/boot_device", "What the machine boots from next.", "", Reply::Fields("boot_device:text? persistent:bool?")),
    put("/v1/nodes/{}/management/boot_device", "Set what the machine boots from next.", "boot_device!:text persistent:bool", "204"),
    get("/v1/nodes/{}/management/boot_device/supported", "What the machine can boot from.", "", Reply::Fields("supported_boot_devices!:[text]")),
    put("/v1/nodes/{}/management/inject_nmi", "Interrupt a hung machine.", "", "204"),
    get("/v1/nodes/{}/traits", "Traits of a node.", "", Reply::Fields("traits!:[text]")),
    put("/v1/nodes/{}/traits", "Replace the traits of a node.", "traits!:[text]", "204"),
    delete("/v1/nodes/{}/traits", "Take all traits away.", "204"),
    put("/v1/nodes/{}/traits/{}", "Add a trait.", "", "204"),
    delete("/v1/nodes/{}/traits/{}", "Take a trait away.", "204"),
    get("/v1/nodes/{}/ports", "Ports of a node.", "+list", Reply::List("ports", "Port")),
    get("/v1/nodes/{}/ports/detail", "Ports of a node with every field.", "+list", Reply::List("ports", "Port")),
    get("/v1/nodes/{}/history", "What happened to a node.", "limit:int marker:uuid sort_key:text sort_dir:=asc|desc detail:bool", Reply::List("history", "History")),
    get("/v1/nodes/{}/history/{}", "One line of it.", "", Reply::Schema("History")),
    get("/v1/nodes/{}/inventory", "What the last inspection found.", "", Reply::Fields("inventory:any plugin_data:any")),
    get("/v1/nodes/{}/children", "Nodes whose parent this is.", "", Reply::Fields("children!:[text]")),
    get("/v1/ports", "Ports.", PORTS, Reply::List("ports", "Port")),
    get("/v1/ports/detail", "Ports with every field.", PORTS, Reply::List("ports", "Port")),
    post("/v1/ports", "Add a port.", Body::Schema("PortCreate"), "201", Reply::Schema("Port")),
    get("/v1/ports/{}", "One port.", "fields:text", Reply::Schema("Port")),
    patch("/v1/ports/{}", "Change a port.", "", Reply::Schema("Port")),
    delete("/v1/ports/{}", "Remove a port.", "204"),
    get("/v1/chassis", "Chassis.", "+list", Reply::List("chassis", "Chassis")),
    get("/v1/chassis/detail", "Chassis with every field.", "+list", Reply::List("chassis", "Chassis")),
    post("/v1/chassis", "Make a chassis.", Body::Schema("ChassisCreate"), "201", Reply::Schema("Chassis")),
    get("/v1/chassis/{}", "One chassis.", "fields:text", Reply::Schema("Chassis")),
    patch("/v1/chassis/{}", "Change a chassis.", "", Reply::Schema("Chassis")),
    delete("/v1/chassis/{}", "Remove an empty chassis.", "204"),
    get("/v1/chassis/{}/nodes", "Nodes in a chassis.", NODES, Reply::List("nodes", "Node")),
    get("/v1/chassis/{}/nodes/detail", "Nodes in a chassis with every field.", NODES, Reply::List("nodes", "Node")),
    get("/v1/portgroups", "Port groups.", "+list node:text address:text shard:text conductor_groups:text", Reply::List("portgroups", "PortGroup")),
    get("/v1/portgroups/detail", "Port groups with every field.", "+list node:text address:text shard:text conductor_groups:text", Reply::List("portgroups", "PortGroup")),
    post("/v1/portgroups", "Make a port group.", Body::Schema("PortGroupCreate"), "201", Reply::Schema("PortGroup")),
    get("/v1/portgroups/{}", "One port group.", "fields:text", Reply::Schema("PortGroup")),
    patch("/v1/portgroups/{}", "Change a port group.", "", Reply::Schema("PortGroup")),
    delete("/v1/portgroups/{}", "Remove a port group without ports.", "204"),
    get("/v1/portgroups/{}/ports", "Ports of a group.", "+list", Reply::List("ports", "Port")),
    get("/v1/portgroups/{}/ports/detail", "Ports of a group with every field.", "+list", Reply::List("ports", "Port")),
    get("/v1/nodes/{}/portgroups", "Port groups of a node.", "+list", Reply::List("portgroups", "PortGroup")),
    get("/v1/nodes/{}/portgroups/detail", "Port groups of a node with every field.", "+list", Reply::List("portgroups", "PortGroup")),
    get("/v1/volume", "Where connectors and targets are.", "", Reply::Fields("links!:[Link] connectors!:[Link] targets!:[Link]")),
    get("/v1/nodes/{}/volume", "Where those of a node are.", "", Reply::Fields("links!:[Link] connectors!:[Link] targets!:[Link]")),
    get("/v1/nodes/{}/volume/connectors", "Volume connectors of a node.", "+list", Reply::List("connectors", "VolumeConnector")),
    get("/v1/nodes/{}/volume/targets", "Volume targets of a node.", "+list", Reply::List("targets", "VolumeTarget")),
    get("/v1/volume/connectors", "Volume connectors.", "+list node:text", Reply::List("connectors", "VolumeConnector")),
    post("/v1/volume/connectors", "Make a volume connector.", Body::Schema("VolumeConnectorCreate"), "201", Reply::Schema("VolumeConnector")),
    get("/v1/volume/connectors/{}", "One volume connector.", "fields:text", Reply::Schema("VolumeConnector")),
    patch("/v1/volume/connectors/{}", "Change a volume connector; the machine must be off.", "", Reply::Schema("VolumeConnector")),
    delete("/v1/volume/connectors/{}", "Remove a volume connector; the machine must be off.", "204"),
    get("/v1/volume/targets", "Volume targets.", "+list node:text", Reply::List("targets", "VolumeTarget")),
    post("/v1/volume/targets", "Make a volume target.", Body::Schema("VolumeTargetCreate"), "201", Reply::Schema("VolumeTarget")),
    get("/v1/volume/targets/{}", "One volume target.", "fields:text", Reply::Schema("VolumeTarget")),
    patch("/v1/volume/targets/{}", "Change a volume target; the machine must be off.", "", Reply::Schema("VolumeTarget")),
    delete("/v1/volume/targets/{}", "Remove a volume target; the machine must be off.", "204"),
    post("/v1/events", "What a network service says about ports.", Body::Fields("events!:[object]"), "204", Reply::Nothing),
    get("/v1/nodes/{}/vifs", "Networks that are attached.", "", Reply::Fields("vifs!:[object]")),
    post("/v1/nodes/{}/vifs", "Attach a network.", Body::Fields("id!:text port_uuid:uuid portgroup_uuid:uuid"), "204", Reply::Nothing),
    delete("/v1/nodes/{}/vifs/{}", "Detach a network.", "204"),
    get("/v1/allocations", "Allocations.", "limit:int marker:uuid sort_key:text sort_dir:=asc|desc fields:text node:text resource_class:text state:text owner:text", Reply::List("allocations", "Allocation")),
    post("/v1/allocations", "Reserve a node by class and traits.", Body::Schema("AllocationCreate"), "201", Reply::Schema("Allocation")),
    get("/v1/allocations/{}", "One allocation.", "fields:text", Reply::Schema("Allocation")),
    patch("/v1/allocations/{}", "Change name or extra of an allocation.", "", Reply::Schema("Allocation")),
    delete("/v1/allocations/{}", "Give a node free.", "204"),
    get("/v1/nodes/{}/allocation", "The allocation of a node.", "fields:text", Reply::Schema("Allocation")),
    delete("/v1/nodes/{}/allocation", "Give the node free.", "204"),
    get("/v1/drivers", "Hardware types.", "type:text detail:bool fields:text", Reply::List("drivers", "Driver")),
    get("/v1/drivers/{}", "One hardware type.", "fields:text", Reply::Schema("Driver")),
    get("/v1/drivers/{}/properties", "What driver_info of a hardware type may hold.", "", Reply::Schema("object")),
    get("/v1/conductors", "Conductors.", "+list", Reply::List("conductors", "Conductor")),
    get("/v1/conductors/{}", "One conductor.", "fields:text", Reply::Schema("Conductor")),
    get("/v1/shards", "Shards and how many nodes they have.", "", Reply::List("shards", "Shard")),
    get("/v1/drivers/{}/raid/logical_disk_properties", "What a logical disk of a RAID target may hold.", "", Reply::Schema("object")),
    get("/v1/drivers/{}/vendor_passthru/methods", "Vendor methods of a hardware type.", "", Reply::Schema("object")),
    get("/v1/deploy_templates", "Deploy templates.", "+list", Reply::List("deploy_templates", "DeployTemplate")),
    post("/v1/deploy_templates", "Make a deploy template.", Body::Schema("DeployTemplateCreate"), "201", Reply::Schema("DeployTemplate")),
    get("/v1/deploy_templates/{}", "One deploy template.", "fields:text", Reply::Schema("DeployTemplate")),
    patch("/v1/deploy_templates/{}", "Change a deploy template.", "", Reply::Schema("DeployTemplate")),
    delete("/v1/deploy_templates/{}", "Remove a deploy template.", "204"),
    get("/v1/runbooks", "Runbooks.", "+list project:text", Reply::List("runbooks", "Runbook")),
    post("/v1/runbooks", "Make a runbook.", Body::Schema("RunbookCreate"), "201", Reply::Schema("Runbook")),
    get("/v1/runbooks/{}", "One runbook.", "fields:text", Reply::Schema("Runbook")),
    patch("/v1/runbooks/{}", "Change a runbook.", "", Reply::Schema("Runbook")),
    delete("/v1/runbooks/{}", "Remove a runbook.", "204"),
    get("/v1/runbooks/{}/traits", "On nodes with which traits a runbook may be used.", "", Reply::Fields("traits!:[text]")),
    put("/v1/runbooks/{}/traits", "Replace the traits of a runbook.", "traits!:[text]", "204"),
    delete("/v1/runbooks/{}/traits", "Take all traits of a runbook away.", "204"),
    put("/v1/runbooks/{}/traits/{}", "Add a trait to a runbook.", "", "204"),
    delete("/v1/runbooks/{}/traits/{}", "Take a trait of a runbook away.", "204"),
    get("/v1/inspection_rules", "Inspection rules.", "+list phase:text", Reply::List("inspection_rules", "InspectionRule")),
    post("/v1/inspection_rules", "Make an inspection rule.", Body::Schema("InspectionRuleCreate"), "201", Reply::Schema("InspectionRule")),
    get("/v1/inspection_rules/{}", "One inspection rule.", "fields:text", Reply::Schema("InspectionRule")),
    patch("/v1/inspection_rules/{}", "Change an inspection rule.", "", Reply::Schema("InspectionRule")),
    delete("/v1/inspection_rules/{}", "Remove an inspection rule.", "204"),
    get("/v1/nodes/{}/bios", "BIOS settings of a node.", "detail:bool fields:text", Reply::List("bios", "BiosSetting")),
    get("/v1/nodes/{}/bios/{}", "One BIOS setting, under its name.", "", Reply::Schema("object")),
    get("/v1/nodes/{}/firmware", "Firmware components of a node.", "detail:bool fields:text", Reply::List("firmware", "FirmwareComponent")),
    get("/v1/nodes/{}/vmedia", "Virtual media devices of a machine.", "", Reply::Schema("[object]")),
    post("/v1/nodes/{}/vmedia", "Insert an image.", Body::Fields("device_type!:=cdrom|disk|floppy image_url!:text image_download_source:text"), "204", Reply::Nothing),
    delete("/v1/nodes/{}/vmedia", "Eject images.", "204"),
    get("/v1/nodes/{}/management/indicators", "Lights of a machine.", "", Reply::List("indicators", "Indicator")),
    get("/v1/nodes/{}/management/indicators/{}", "The state of a light.", "", Reply::Fields("state!:text")),
    put("/v1/nodes/{}/management/indicators/{}", "Switch a light.", "state!:text", "204"),
    get("/v1/nodes/{}/vendor_passthru/methods", "Vendor methods of a node.", "", Reply::Schema("object")),
    get("/v1/events", "What happens, as it happens. Wants Accept: text/event-stream.", "node:text type:text owner:text last_event_id:int follow:bool", Reply::Events),
    get("/v1/lookup", "The ramdisk asks who it is.", "addresses:text node_uuid:uuid", Reply::Schema("object")),
    post("/v1/heartbeat/{}", "The ramdisk is alive.", Body::Schema("object"), "202", Reply::Nothing),
    post("/v1/continue_inspection", "The ramdisk brings what it found.", Body::Schema("object"), "202", Reply::Undeclared),
];
