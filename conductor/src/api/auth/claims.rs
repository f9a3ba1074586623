//! From the claims of a signed token to roles and scope, by the options of `[oidc]`.

use super::{AuthError, Proof};
use crate::config::Oidc;
use crate::policy::caller::{Credentials, Role, Roles, Scope};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// What a name in a token means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Meaning {
    role: Role,
    /// Counts in the whole site.
    system: bool,
}

/// How claims are read.
pub struct Mapping {
    roles_claim: String,
    project_claim: String,
    system_claim: String,
    user_claim: String,
    roles: HashMap<String, Meaning>,
}

impl Mapping {
    /// # Errors
    /// [`AuthError::Option`] for a line of `role_map` that means nothing.
    pub fn new(options: &Oidc) -> Result<Self, AuthError> {
        // The names of the policy mean themselves.
        let mut roles: HashMap<String, Meaning> =
            Role::ALL.map(|role| (role.name().to_owned(), Meaning { role, system: false })).into();
        for line in &options.role_map {
            let (theirs, meaning) = meaning(line).ok_or_else(|| AuthError::Option {
                strategy: "oidc",
                text: format!(
                    "`{line}` in role_map of [oidc] is not THEIRS=ROLE or THEIRS=system:ROLE; \
                     roles are admin, manager, member, reader, service"
                ),
            })?;
            roles.insert(theirs, meaning);
        }
        Ok(Mapping {
            roles_claim: options.roles_claim.clone(),
            project_claim: options.project_claim.clone(),
            system_claim: options.system_claim.clone(),
            user_claim: options.user_claim.clone(),
            roles,
        })
    }

    /// What the claims prove. Whoever has a role in the whole site asks with it; nobody asks with two scopes at once.
    pub fn read(&self, claims: &Map<String, Value>) -> Proof {
        let held: Vec<Meaning> =
            names(claim(claims, &self.roles_claim)).iter().filter_map(|name| self.roles.get(*name).copied()).collect();
        let all = match claim(claims, &self.system_claim) {
            Some(Value::Bool(all)) => *all,
            Some(Value::String(word)) => word == "all",
            Some(Value::Object(system)) => system.get("all") == Some(&Value::Bool(true)),
            _ => false,
        };
        let system = all || held.iter().any(|meaning| meaning.system);
        let project = claim(claims, &self.project_claim).and_then(Value::as_str).filter(|id| !id.is_empty());
        let counted = held.iter().filter(|meaning| all || meaning.system == system).map(|meaning| meaning.role.name());
        let scope = match project {
            _ if system => Scope::System,
            Some(id) => Scope::Project(id.to_owned()),
            None => Scope::None,
        };
        let text = |name: &str| claim(claims, name).and_then(Value::as_str).map(str::to_owned);
        let user_id = text("sub");
        let credentials = Credentials {
            trusted: false,
            roles: Roles::named(counted).with_implied(),
            scope,
            elevated_service: false,
            user_id: user_id.clone(),
        };
        Proof { credentials, user: text(&self.user_claim).or(user_id) }
    }
}

fn meaning(line: &str) -> Option<(String, Meaning)> {
    let (theirs, ours) = line.rsplit_once('=')?;
    let (system, name) = match ours.trim().strip_prefix("system:") {
        Some(name) => (true, name),
        None => (false, ours.trim()),
    };
    let role = Role::ALL.into_iter().find(|role| role.name() == name)?;
    let theirs = theirs.trim();
    (!theirs.is_empty()).then(|| (theirs.to_owned(), Meaning { role, system }))
}

/// The claim of that name, or else the one that dots lead to: `realm_access.roles`.
fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    claim(claims.get(first)?.as_object()?, rest)
}

/// A list, or words with spaces between them as `scope` has it.
fn names(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(words)) => words.split_whitespace().collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn proof(options: &Oidc, claims: Value) -> Proof {
        Mapping::new(options).unwrap().read(claims.as_object().unwrap())
    }

    #[test]
    fn roles_imply_and_projects_scope() {
        let options = Oidc::default();
        let seen = proof(&options, json!({"sub": "7", "roles": ["Admin", "member"], "project_id": "p"}));
        let roles = seen.credentials.roles;
        assert!(roles.has(Role::Member) && roles.has(Role::Reader) && !roles.has(Role::Admin), "names are exact");
        assert_eq!((seen.credentials.scope, seen.user.as_deref()), (Scope::Project("p".into()), Some("7")));
        let seen = proof(&options, json!({"roles": ["admin"], "project_id": ""}));
        assert_eq!(seen.credentials.scope, Scope::None, "an empty project is none");
        let seen = proof(&options, json!({"roles": "reader", "system_scope": "all", "project_id": "p"}));
        assert_eq!(seen.credentials.scope, Scope::System);
        assert_eq!(proof(&options, json!({})).credentials, Credentials::default());
    }

    #[test]
    fn names_of_others_are_mapped_and_a_project_role_never_becomes_a_role_of_the_site() {
        let options = Oidc {
            roles_claim: "realm_access.roles".into(),
            role_map: vec!["ops=system:reader".into(), "team=member".into()],
            ..Oidc::default()
        };
        let seen = proof(&options, json!({"realm_access": {"roles": ["ops", "admin", "team"]}, "project_id": "p"}));
        assert_eq!(seen.credentials.scope, Scope::System);
        assert!(seen.credentials.roles.has(Role::Reader) && !seen.credentials.roles.has(Role::Member));
        let seen = proof(&options, json!({"realm_access": {"roles": ["team"]}, "project_id": "p"}));
        assert!(seen.credentials.roles.has(Role::Member));
        for bad in ["ops", "=admin", "ops=king", "ops=system:"] {
            let options = Oidc { role_map: vec![bad.into()], ..Oidc::default() };
            assert!(Mapping::new(&options).is_err(), "{bad}");
        }
    }
}
