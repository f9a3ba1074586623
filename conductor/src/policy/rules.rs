//! The policy: every rule by Ironic's name, and who may. Facts from the defaults of its secure RBAC (Ironic 39).

use super::caller::Role::{Admin, Manager, Member, Reader, Service};
use super::check::Who::{Anybody, Anywhere, Lessee, Owner, ServiceProject, System};
use super::check::{Rule, Scopes, Who};

const NOBODY: &[Who] = &[];
const ANYBODY: &[Who] = &[Anybody];
/// Looks at lists that show no more than is theirs.
const READER: &[Who] = &[Anywhere(Reader), Anywhere(Service)];
const SYSTEM_ADMIN: &[Who] = &[System(Admin)];
const SYSTEM_ADMIN_OR_SERVICE: &[Who] = &[System(Admin), System(Service)];
const SYSTEM_MEMBER: &[Who] = &[System(Member), ServiceProject];
const SYSTEM_READER: &[Who] = &[System(Reader), System(Service), ServiceProject];
/// Whoever sees the node.
const READER_OF_NODE: &[Who] =
    &[System(Reader), System(Service), ServiceProject, Owner(Reader), Lessee(Reader), Owner(Service)];
/// Whoever uses the node.
const MEMBER_OF_NODE: &[Who] = &[System(Member), ServiceProject, Owner(Member), Lessee(Member), System(Service)];
const READER_OF_OWNER: &[Who] = &[System(Reader), System(Service), ServiceProject, Owner(Reader), Owner(Service)];
const MEMBER_OF_OWNER: &[Who] = &[System(Member), ServiceProject, System(Service), Owner(Member), Owner(Service)];
const ADMIN_OF_OWNER: &[Who] =
    &[System(Member), ServiceProject, System(Service), Owner(Admin), Owner(Manager), Owner(Service)];
/// Creating and deleting what is cabled to a node.
const CABLING: &[Who] = &[System(Admin), System(Service), Owner(Admin), Owner(Manager), Owner(Service)];
/// Changes of state: members of the owner; of a lessee only those who answer for it.
const MEMBER_OF_OWNER_ADMIN_OF_LESSEE: &[Who] =
    &[System(Member), ServiceProject, System(Service), Owner(Member), Lessee(Admin), Lessee(Manager), Owner(Service)];
const ADMIN_OF_NODE: &[Who] = &[
    System(Member),
    ServiceProject,
    System(Service),
    Owner(Admin),
    Owner(Manager),
    Lessee(Admin),
    Lessee(Manager),
    Owner(Service),
];
const MEMBER_OF_ALLOCATION: &[Who] = &[System(Member), ServiceProject, Owner(Member)];
const READER_OF_ALLOCATION: &[Who] = &[System(Reader), System(Service), ServiceProject, Owner(Reader)];
const MANAGER_OF_RUNBOOK: &[Who] = &[System(Member), ServiceProject, Owner(Manager), Anywhere(Service)];
const READER_OF_RUNBOOK: &[Who] = &[System(Reader), System(Service), ServiceProject, Owner(Reader), Anywhere(Service)];

macro_rules! rules {
    ($($name:literal $scopes:ident $who:expr;)*) => {
        &[$(Rule { name: $name, scopes: Scopes::$scopes, who: $who }),*]
    };
}

/// The table.
#[rustfmt::skip]
pub const RULES: &[Rule] = rules! {
    "show_password"                                Any        NOBODY;
    "show_instance_secrets"                        Any        NOBODY;

    "baremetal:node:create"                        Any        SYSTEM_ADMIN_OR_SERVICE;
    "baremetal:node:create:self_owned_node"        Any        &[Anywhere(Admin), Anywhere(Service)];
    "baremetal:node:list"                          Any        READER;
    "baremetal:node:list_all"                      Any        SYSTEM_READER;
    "baremetal:node:get"                           Any        READER_OF_NODE;
    "baremetal:node:get:filter_threshold"          Any        SYSTEM_READER;
    "baremetal:node:get:last_error"                Any        READER_OF_OWNER;
    "baremetal:node:get:reservation"               Any        READER_OF_OWNER;
    "baremetal:node:get:driver_internal_info"      Any        READER_OF_OWNER;
    "baremetal:node:get:driver_info"               Any        READER_OF_OWNER;
    "baremetal:node:update"                        Any        MEMBER_OF_NODE;
    "baremetal:node:update_extra"                  Any        MEMBER_OF_NODE;
    "baremetal:node:update_instance_info"          Any        MEMBER_OF_OWNER_ADMIN_OF_LESSEE;
    "baremetal:node:update_owner_provisioned"      SystemOnly SYSTEM_ADMIN;
    "baremetal:node:update:driver_info"            Any        MEMBER_OF_OWNER;
    "baremetal:node:update:properties"             Any        MEMBER_OF_OWNER;
    "baremetal:node:update:chassis_uuid"           Any        SYSTEM_ADMIN;
    "baremetal:node:update:instance_uuid"          Any        MEMBER_OF_OWNER;
    "baremetal:node:update:lessee"                 Any        MEMBER_OF_OWNER;
    "baremetal:node:update:owner"                  Any        SYSTEM_MEMBER;
    "baremetal:node:update:driver_interfaces"      Any        ADMIN_OF_OWNER;
    "baremetal:node:update:network_data"           Any        MEMBER_OF_OWNER;
    "baremetal:node:update:conductor_group"        Any        SYSTEM_MEMBER;
    "baremetal:node:update:name"                   Any        MEMBER_OF_OWNER;
    "baremetal:node:update:retired"                Any        MEMBER_OF_OWNER;
    "baremetal:node:update:shard"                  Any        SYSTEM_ADMIN;
    "baremetal:node:update:parent_node"            Any        SYSTEM_MEMBER;
    "baremetal:node:update:disable_power_off"      Any        SYSTEM_ADMIN;
    "baremetal:node:disable_cleaning"              Any        SYSTEM_ADMIN;
    "baremetal:node:delete"                        Any        SYSTEM_ADMIN;
    "baremetal:node:delete:self_owned_node"        Any        &[Owner(Admin)];
    "baremetal:node:validate"                      Any        MEMBER_OF_OWNER_ADMIN_OF_LESSEE;
    "baremetal:node:set_maintenance"               Any        MEMBER_OF_OWNER_ADMIN_OF_LESSEE;
    "baremetal:node:clear_maintenance"             Any        MEMBER_OF_OWNER_ADMIN_OF_LESSEE;
    "baremetal:node:get_boot_device"               Any        ADMIN_OF_OWNER;
    "baremetal:node:set_boot_device"               Any        ADMIN_OF_OWNER;
    "baremetal:node:get_indicator_state"           Any        READER_OF_NODE;
    "baremetal:node:set_indicator_state"           Any        MEMBER_OF_OWNER;
    "baremetal:node:inject_nmi"                    Any        ADMIN_OF_OWNER;
    "baremetal:node:get_states"                    Any        READER_OF_NODE;
    "baremetal:node:set_power_state"               Any        MEMBER_OF_NODE;
    "baremetal:node:set_boot_mode"                 Any        MEMBER_OF_NODE;
    "baremetal:node:set_secure_boot"               Any        MEMBER_OF_NODE;
    "baremetal:node:set_provision_state"           Any        MEMBER_OF_OWNER_ADMIN_OF_LESSEE;
    "baremetal:node:set_provision_state:clean_steps"   Any    MEMBER_OF_OWNER_ADMIN_OF_LESSEE;
    "baremetal:node:set_provision_state:service_steps" Any    MEMBER_OF_OWNER_ADMIN_OF_LESSEE;
    "baremetal:node:set_raid_state"                Any        MEMBER_OF_OWNER;
    "baremetal:node:get_console"                   Any        MEMBER_OF_OWNER;
    "baremetal:node:set_console_state"             Any        MEMBER_OF_OWNER;
    "baremetal:node:vif:list"                      Any        READER_OF_NODE;
    "baremetal:node:vif:attach"                    Any        MEMBER_OF_OWNER_ADMIN_OF_LESSEE;
    "baremetal:node:vif:detach"                    Any        MEMBER_OF_OWNER_ADMIN_OF_LESSEE;
    "baremetal:node:traits:list"                   Any        READER_OF_NODE;
    "baremetal:node:traits:set"                    Any        ADMIN_OF_OWNER;
    "baremetal:node:traits:delete"                 Any        ADMIN_OF_OWNER;
    "baremetal:node:bios:get"                      Any        READER_OF_NODE;
    "baremetal:node:firmware:get"                  Any        READER_OF_NODE;
    "baremetal:node:history:get"                   Any        READER_OF_OWNER;
    "baremetal:node:inventory:get"                 Any        READER_OF_OWNER;
    "baremetal:node:vmedia:attach"                 Any        MEMBER_OF_NODE;
    "baremetal:node:vmedia:detach"                 Any        MEMBER_OF_NODE;
    "baremetal:node:vmedia:get"                    Any        READER_OF_NODE;
    "baremetal:node:vendor_passthru"               Any        SYSTEM_ADMIN;
    "baremetal:node:ipa_heartbeat"                 Any        ANYBODY;

    "baremetal:port:get"                           Any        READER_OF_NODE;
    "baremetal:port:list"                          Any        READER;
    "baremetal:port:list_all"                      Any        SYSTEM_READER;
    "baremetal:port:create"                        Any        CABLING;
    "baremetal:port:delete"                        Any        CABLING;
    "baremetal:port:update"                        Any        ADMIN_OF_OWNER;
    "baremetal:portgroup:get"                      Any        READER_OF_NODE;
    "baremetal:portgroup:list"                     Any        READER;
    "baremetal:portgroup:list_all"                 Any        SYSTEM_READER;
    "baremetal:portgroup:create"                   Any        CABLING;
    "baremetal:portgroup:delete"                   Any        CABLING;
    "baremetal:portgroup:update"                   Any        ADMIN_OF_OWNER;
    "baremetal:volume:get"                         Any        READER_OF_NODE;
    "baremetal:volume:list"                        Any        READER;
    "baremetal:volume:list_all"                    Any        SYSTEM_READER;
    "baremetal:volume:create"                      Any        ADMIN_OF_NODE;
    "baremetal:volume:delete"                      Any        ADMIN_OF_NODE;
    "baremetal:volume:update"                      Any        MEMBER_OF_OWNER_ADMIN_OF_LESSEE;
    "baremetal:volume:view_target_properties"      Any
        &[System(Reader), System(Service), ServiceProject, Anywhere(Admin)];

    "baremetal:chassis:get"                        SystemOnly SYSTEM_READER;
    "baremetal:chassis:create"                     SystemOnly SYSTEM_ADMIN;
    "baremetal:chassis:delete"                     SystemOnly SYSTEM_ADMIN;
    "baremetal:chassis:update"                     SystemOnly SYSTEM_MEMBER;
    "baremetal:driver:get"                         SystemOnly SYSTEM_READER;
    "baremetal:driver:get_properties"              SystemOnly SYSTEM_READER;
    "baremetal:driver:get_raid_logical_disk_properties" SystemOnly SYSTEM_READER;
    "baremetal:driver:vendor_passthru"             SystemOnly SYSTEM_ADMIN;
    "baremetal:driver:ipa_lookup"                  Any        ANYBODY;
    "baremetal:driver:ipa_continue_inspection"     Any        ANYBODY;
    "baremetal:conductor:get"                      Any        SYSTEM_READER;
    "baremetal:shards:get"                         Any        SYSTEM_READER;
    "baremetal:events:post"                        SystemOnly SYSTEM_ADMIN;

    "baremetal:allocation:get"                     Any        READER_OF_ALLOCATION;
    "baremetal:allocation:list"                    Any        READER;
    "baremetal:allocation:list_all"                Any        SYSTEM_READER;
    "baremetal:allocation:create"                  Any        &[System(Member), ServiceProject, Anywhere(Member)];
    "baremetal:allocation:create_restricted"       Any        SYSTEM_MEMBER;
    "baremetal:allocation:delete"                  Any        MEMBER_OF_ALLOCATION;
    "baremetal:allocation:update"                  Any        MEMBER_OF_ALLOCATION;

    "baremetal:deploy_template:get"                Any        SYSTEM_READER;
    "baremetal:deploy_template:create"             Any        SYSTEM_ADMIN;
    "baremetal:deploy_template:delete"             Any        SYSTEM_ADMIN;
    "baremetal:deploy_template:update"             Any        SYSTEM_ADMIN;
    "baremetal:runbook:get"                        Any        READER_OF_RUNBOOK;
    "baremetal:runbook:list"                       Any        READER;
    "baremetal:runbook:list_all"                   Any        SYSTEM_READER;
    "baremetal:runbook:create"                     Any
        &[System(Member), ServiceProject, Anywhere(Manager), Anywhere(Service)];
    "baremetal:runbook:delete"                     Any        MANAGER_OF_RUNBOOK;
    "baremetal:runbook:update"                     Any        MANAGER_OF_RUNBOOK;
    "baremetal:runbook:update:public"              Any        SYSTEM_MEMBER;
    "baremetal:runbook:update:owner"               Any        SYSTEM_MEMBER;
    "baremetal:runbook:use"                        Any        MANAGER_OF_RUNBOOK;
    "baremetal:inspection_rule:get"                Any        SYSTEM_READER;
    "baremetal:inspection_rule:list_all"           Any        SYSTEM_READER;
    "baremetal:inspection_rule:create"             Any        SYSTEM_ADMIN;
    "baremetal:inspection_rule:update"             Any        SYSTEM_ADMIN;
    "baremetal:inspection_rule:delete"             Any        SYSTEM_ADMIN;
};

/// By name.
pub fn rule(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rule_stands_twice() {
        for (at, rule) in RULES.iter().enumerate() {
            assert!(RULES[..at].iter().all(|other| other.name != rule.name), "{}", rule.name);
        }
    }
}
