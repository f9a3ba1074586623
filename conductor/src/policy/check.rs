//! What the words of the policy table mean, and the one function that asks the policy.

use super::caller::{Credentials, Role, Scope};
use super::rules;

/// One alternative of a rule: whoever fits it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Everybody, without credentials too.
    Anybody,
    /// The role, wherever it counts.
    Anywhere(Role),
    /// The role in the whole site.
    System(Role),
    /// The service role in the project for services, when that is switched on.
    ServiceProject,
    /// The role in the project that owns the target.
    Owner(Role),
    /// The role in the project that has the target on lease.
    Lessee(Role),
}

/// Tokens with which a rule can be asked for at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scopes {
    /// Whole site or project.
    Any,
    /// Whole site only.
    SystemOnly,
}

/// One rule: a name and who may.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Ironic's name.
    pub name: &'static str,
    /// With which tokens.
    pub scopes: Scopes,
    /// Alternatives; none: nobody.
    pub who: &'static [Who],
}

/// What an action is about: who owns it and who has it on lease. Allocations and runbooks have owners only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target<'a> {
    /// Project that owns it.
    pub owner: Option<&'a str>,
    /// Project that has it on lease.
    pub lessee: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Nothing in particular: a list, a new object, a conductor.
    pub const NONE: Target<'static> = Target { owner: None, lessee: None };

    /// What has an owner and cannot be leased.
    pub fn owned(owner: Option<&'a str>) -> Self {
        Target { owner, lessee: None }
    }
}

impl Who {
    /// Does he fit?
    pub fn fits(self, who: &Credentials, target: &Target) -> bool {
        // Nobody's project is not the project of a thing without an owner.
        let in_project = |wanted: Option<&str>| who.project().is_some_and(|project| wanted == Some(project));
        match self {
            Who::Anybody => true,
            Who::Anywhere(role) => who.roles.has(role),
            Who::System(role) => who.scope == Scope::System && who.roles.has(role),
            Who::ServiceProject => who.elevated_service,
            Who::Owner(role) => who.roles.has(role) && in_project(target.owner),
            Who::Lessee(role) => who.roles.has(role) && in_project(target.lessee),
        }
    }
}

impl Rule {
    /// May he?
    pub fn allows(&self, who: &Credentials, target: &Target) -> bool {
        // What is hidden from everybody is hidden from the trusted, too: they are people who look at screens.
        if who.trusted {
            return !self.who.is_empty();
        }
        let scope = match (self.scopes, &who.scope) {
            (_, Scope::Domain) | (Scopes::SystemOnly, Scope::None | Scope::Project(_)) => false,
            (Scopes::Any, _) | (Scopes::SystemOnly, Scope::System) => true,
        };
        let open = self.who.contains(&Who::Anybody);
        open || scope && self.who.iter().any(|alternative| alternative.fits(who, target))
    }
}

/// May the caller do what the rule names with the target? A rule that nobody wrote allows nothing.
pub fn may(who: &Credentials, rule: &str, target: &Target) -> bool {
    rules::rule(rule).is_some_and(|rule| rule.allows(who, target))
}

#[cfg(test)]
mod tests {
    use super::super::caller::Roles;
    use super::*;

    fn token(scope: Scope, roles: &[&str]) -> Credentials {
        Credentials { roles: Roles::named(roles.iter().copied()), scope, ..Credentials::default() }
    }

    #[test]
    fn an_unknown_rule_allows_nothing_even_to_the_trusted() {
        let trusted = Credentials { trusted: true, ..Credentials::default() };
        assert!(!may(&trusted, "baremetal:node:teleport", &Target::NONE));
        assert!(may(&trusted, "baremetal:node:create", &Target::NONE));
        assert!(!may(&trusted, "show_password", &Target::NONE));
    }

    #[test]
    fn a_token_without_a_project_owns_nothing() {
        let node = Target::NONE;
        for scope in [Scope::None, Scope::System, Scope::Domain] {
            assert!(!Who::Owner(Role::Admin).fits(&token(scope, &["admin"]), &node));
        }
    }

    #[test]
    fn domains_open_no_door() {
        for rule in rules::RULES {
            let everything = token(Scope::Domain, &["admin", "manager", "member", "reader", "service"]);
            let open = rule.who.contains(&Who::Anybody);
            assert_eq!(rule.allows(&everything, &Target::NONE), open, "{}", rule.name);
        }
    }
}
