//! The policy table against the real engine, rule by rule and caller by caller.

use super::persona::{LEASE, OWN, claims, personas, reference};
use conductor::policy::caller::{Credentials, Roles, Scope};
use conductor::policy::{Target, may, rules};

fn credentials(persona: &str) -> Credentials {
    let claims = claims(persona);
    let roles = claims["roles"].as_array().into_iter().flatten().filter_map(|role| role.as_str());
    let scope = match claims["project_id"].as_str() {
        Some(project) => Scope::Project(project.into()),
        None if claims.get("system_scope").is_some() => Scope::System,
        None => Scope::None,
    };
    Credentials { roles: Roles::named(roles).with_implied(), scope, ..Credentials::default() }
}

#[test]
fn every_rule_allows_whom_the_real_policy_allows() {
    let mut wrong = Vec::new();
    let (owned, free) = (Target { owner: Some(OWN), lessee: Some(LEASE) }, Target::NONE);
    for (rule, allowed) in reference() {
        for (target, allowed) in [owned, free].iter().zip(allowed) {
            for persona in personas() {
                let ours = may(&credentials(&persona), &rule, target);
                if ours != allowed.contains(&persona) {
                    wrong.push(format!("{rule} {target:?}: {persona} {ours}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn both_know_the_same_rules() {
    let theirs: Vec<String> = reference().into_keys().collect();
    let mut ours: Vec<&str> = rules::RULES.iter().map(|rule| rule.name).collect();
    ours.sort_unstable();
    assert_eq!(ours, theirs);
}
