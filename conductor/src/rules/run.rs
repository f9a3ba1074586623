//! One rule on one node: do its conditions hold, and its actions, one turn after the other.

use super::actions::{Action, Subject};
use super::context::{Budget, Context};
use super::effect::Effect;
use super::operators::Operator;
use super::rule::{Operation, Rule};
use super::{MAX_TURNS, RuleError};
use serde_json::{Map, Value};

/// When passwords and tokens in inspection data are hidden from rules (`[inspection_rules]mask_secrets`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masking {
    /// From all.
    Always,
    /// From none.
    Never,
    /// From all but sensitive rules.
    Sensitive,
}

impl Masking {
    /// By the option's word.
    pub fn from_name(word: &str) -> Option<Masking> {
        match word {
            "always" => Some(Masking::Always),
            "never" => Some(Masking::Never),
            "sensitive" => Some(Masking::Sensitive),
            _ => None,
        }
    }

    fn hides_from(self, rule: &Rule) -> bool {
        self == Masking::Always || (self == Masking::Sensitive && !rule.sensitive)
    }
}

/// A rule at work.
pub struct Run<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// What the machine has.
    pub inventory: &'a Value,
    /// The option.
    pub masking: Masking,
    /// Shared by all rules of an inspection.
    pub budget: &'a Budget,
}

impl Run<'_> {
    /// All conditions hold.
    ///
    /// # Errors
    /// One cannot be answered.
    pub fn holds(&self, subject: &Subject<'_>) -> Result<bool, RuleError> {
        for condition in &self.rule.conditions {
            if !self.condition(condition, subject)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn condition(&self, condition: &Operation, subject: &Subject<'_>) -> Result<bool, RuleError> {
        let Some(turns) = condition.turns() else { return self.turn(condition, None, subject) };
        bounded(turns.len())?;
        let way = condition.multiple.as_deref().unwrap_or("any");
        let mut answers = Vec::new();
        for item in turns {
            let answer = self.turn(condition, Some(item), subject)?;
            if way == "first" && answer {
                return Ok(true);
            }
            answers.push(answer);
        }
        Ok(match way {
            "all" => answers.iter().all(|answer| *answer),
            "last" => answers.last().copied().unwrap_or(false),
            "first" => answers.first().copied().unwrap_or(false),
            _ => answers.iter().any(|answer| *answer),
        })
    }

    fn turn(&self, condition: &Operation, item: Option<&Value>, subject: &Subject<'_>) -> Result<bool, RuleError> {
        let Some((operator, inverted)) = Operator::parse(&condition.op) else {
            return Err(RuleError::Condition(format!("Unsupported operator: '{}'", condition.op.escape_debug())));
        };
        let signature = operator.signature();
        let args = signature.by_name(&condition.args)?;
        let missing_is_none = operator == Operator::IsEmpty;
        let args = self.filled(&args, signature.formatted, item, missing_is_none, subject)?;
        Ok(operator.holds(&args, item.is_some())? != inverted)
    }

    /// Does one turn of an action.
    ///
    /// # Errors
    /// As [`Action::perform`].
    pub fn perform(
        &self,
        action: &Operation,
        item: Option<&Value>,
        subject: &mut Subject<'_>,
    ) -> Result<Effect, RuleError> {
        let Some(which) = Action::from_name(&action.op) else {
            return Err(RuleError::Action(format!("Unsupported action: '{}'", action.op.escape_debug())));
        };
        let signature = which.signature();
        let args = signature.by_name(&action.args)?;
        let args = self.filled(&args, signature.formatted, item, false, subject)?;
        which.perform(&args, subject)
    }

    /// Fills in the arguments that may have fields; in a loop all may.
    fn filled(
        &self,
        args: &Map<String, Value>,
        formatted: &[&str],
        item: Option<&Value>,
        missing_is_none: bool,
        subject: &Subject<'_>,
    ) -> Result<Map<String, Value>, RuleError> {
        let context = Context {
            node: subject.node,
            inventory: self.inventory,
            plugin_data: subject.plugin_data,
            mask: self.masking.hides_from(self.rule),
            item,
            budget: self.budget,
        };
        args.iter()
            .map(|(name, value)| {
                let fields = item.is_some() || formatted.contains(&name.as_str());
                let value = if fields { context.fill(value, missing_is_none)? } else { value.clone() };
                Ok((name.clone(), value))
            })
            .collect()
    }
}

/// A loop of so many turns may run.
///
/// # Errors
/// It is too long.
pub fn bounded(turns: usize) -> Result<(), RuleError> {
    if turns > MAX_TURNS {
        return Err(RuleError::Bound(format!("a loop has {turns} items; at most {MAX_TURNS} are run")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::node::Node;
    use crate::rules::schema;
    use serde_json::json;

    fn answer(condition: Value, masking: Masking, sensitive: bool) -> Result<bool, RuleError> {
        let document =
            json!({"sensitive": sensitive, "conditions": [condition], "actions": [{"op": "fail", "args": ["x"]}]});
        let rule = schema::read(&document, false).unwrap();
        let inventory = json!({"n": 5, "password": "p", "nics": [{"mac": "a"}, {"mac": "b"}]});
        let run = Run { rule: &rule, inventory: &inventory, masking, budget: &Budget::default() };
        let (mut node, mut plugin_data) = (Node::default(), json!({}));
        run.holds(&Subject { node: &mut node, ports: &mut [], plugin_data: &mut plugin_data })
    }

    #[test]
    fn loops_join_their_answers_in_four_ways() {
        let ask = |way: &str, items: Value| {
            let condition = json!({"op": "eq", "args": {"values": ["{item}", 5]}, "loop": items, "multiple": way});
            answer(condition, Masking::Always, false).unwrap()
        };
        for (way, first, last, none) in [
            ("any", true, true, false),
            ("all", false, false, false),
            ("first", true, true, false),
            ("last", false, true, false),
        ] {
            assert_eq!(
                (ask(way, json!([5, 6])), ask(way, json!([6, 5])), ask(way, json!([6, 7]))),
                (first, last, none),
                "{way}"
            );
            assert!(ask(way, json!([5, 5])), "{way}");
        }
    }

    #[test]
    fn masking_follows_the_option_and_the_rule() {
        let condition = json!({"op": "eq", "args": {"values": ["{inventory[password]}", "p"]}});
        let ask = |masking, sensitive| answer(condition.clone(), masking, sensitive).unwrap();
        assert!(!ask(Masking::Always, true) && !ask(Masking::Sensitive, false));
        assert!(ask(Masking::Sensitive, true) && ask(Masking::Never, false));
    }

    #[test]
    fn a_bang_turns_the_answer_and_long_loops_are_refused() {
        let ask = |condition| answer(condition, Masking::Always, false);
        assert_eq!(ask(json!({"op": "!eq", "args": [["{inventory[n]}", "5"]]})), Ok(false));
        assert_eq!(ask(json!({"op": "is-empty", "args": ["{inventory[none]}"]})), Ok(true));
        let long = json!({"op": "is-none", "args": [1], "loop": vec![1; MAX_TURNS + 1]});
        assert!(matches!(ask(long), Err(RuleError::Bound(_))));
    }
}
