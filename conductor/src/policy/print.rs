//! The policy as a page for people: `docs/policy.md` is printed from here and compared by a test.

use super::caller::Role;
use super::check::{Rule, Scopes, Who};
use super::rules::RULES;

fn words(who: Who) -> String {
    let role = |role: Role| role.name();
    match who {
        Who::Anybody => "anybody, without credentials".into(),
        Who::Anywhere(of) => format!("any {}", role(of)),
        Who::System(of) => format!("system {}", role(of)),
        Who::ServiceProject => "service project".into(),
        Who::Owner(of) => format!("owner {}", role(of)),
        Who::Lessee(of) => format!("lessee {}", role(of)),
    }
}

fn row(rule: &Rule) -> String {
    let who: Vec<String> = rule.who.iter().map(|who| words(*who)).collect();
    let who = if who.is_empty() { "nobody".into() } else { who.join(", ") };
    let scopes = if rule.scopes == Scopes::SystemOnly { "system" } else { "system, project" };
    format!("| `{}` | {who} | {scopes} |\n", rule.name)
}

/// The table of rules in Markdown.
pub fn table() -> String {
    let head = "| Rule | Who may | Tokens |\n|---|---|---|\n".to_owned();
    RULES.iter().fold(head, |text, rule| text + &row(rule))
}
