//! The operator's file of rules that every inspection runs besides the stored ones (`[inspection_rules]built_in_rules`).

use super::rule::Rule;
use super::schema;
use serde_json::{Map, Number, Value};
use yaml_rust2::{Yaml, YamlLoader};

/// Longest file.
pub const FILE_MAX: u64 = 4 * 1024 * 1024;

/// Most values that a file may unfold to: aliases of aliases grow without end.
const VALUES_MAX: usize = 100_000;

/// Reads the YAML text of a file. Rules without a UUID get one that counts up, as in the reference.
///
/// # Errors
/// Which rule is wrong, and how.
pub fn parse(text: &str) -> Result<Vec<Rule>, String> {
    let documents = YamlLoader::load_from_str(text).map_err(|error| format!("it is not YAML: {error}"))?;
    let list = match documents.as_slice() {
        [] => return Ok(Vec::new()),
        [Yaml::Array(list)] => list,
        [Yaml::Null] | [Yaml::BadValue] => return Ok(Vec::new()),
        _ => return Err("it should contain a list of rules".into()),
    };
    let mut budget = VALUES_MAX;
    let mut unnamed = 0;
    list.iter()
        .enumerate()
        .map(|(at, item)| {
            let wrong = |text: String| format!("rule {} of it is wrong: {text}", at + 1);
            let mut document = json(item, &mut budget).map_err(wrong)?;
            let nameless = document.get("uuid").is_none_or(Value::is_null);
            if let (true, Value::Object(map)) = (nameless, &mut document) {
                map.insert("uuid".into(), format!("00000000-0000-0000-0000-{unnamed:012x}").into());
                unnamed += 1;
            }
            schema::read(&document, true).map_err(|refused| wrong(refused.text().into()))
        })
        .collect()
}

fn json(yaml: &Yaml, budget: &mut usize) -> Result<Value, String> {
    *budget = budget.checked_sub(1).ok_or_else(|| format!("the file unfolds to more than {VALUES_MAX} values"))?;
    Ok(match yaml {
        Yaml::Real(text) => {
            let number = text.parse::<f64>().ok().and_then(Number::from_f64);
            number.map(Value::Number).ok_or_else(|| format!("'{text}' is no number that a rule can use"))?
        }
        Yaml::Integer(number) => Value::from(*number),
        Yaml::String(text) => Value::String(text.clone()),
        Yaml::Boolean(flag) => Value::Bool(*flag),
        Yaml::Null => Value::Null,
        Yaml::Array(items) => Value::Array(items.iter().map(|item| json(item, budget)).collect::<Result<_, _>>()?),
        Yaml::Hash(map) => {
            let mut object = Map::new();
            for (key, value) in map {
                let key = match json(key, budget)? {
                    Value::String(key) => key,
                    other => other.to_string(),
                };
                object.insert(key, json(value, budget)?);
            }
            Value::Object(object)
        }
        Yaml::Alias(_) | Yaml::BadValue => return Err("an alias without its anchor".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_lists_of_rules_and_any_priority_goes() {
        let text = "
- description: first
  priority: -5
  conditions:
    - op: '!is-empty'
      args: {value: '{inventory[bmc_address]}'}
  actions:
    - op: set-attribute
      args: {path: /driver_info/ipmi_address, value: '{inventory[bmc_address]}'}
- uuid: mine
  sensitive: true
  priority: 20000
  actions: [{op: fail, args: {msg: no}}]
- actions: [{op: log, args: {msg: hello}}]
";
        let rules = parse(text).unwrap();
        let names: Vec<(&str, i64)> = rules.iter().map(|rule| (rule.uuid.as_str(), rule.priority)).collect();
        let counted = |n: u8| format!("00000000-0000-0000-0000-{n:012}");
        assert_eq!(names, [(counted(0).as_str(), -5), ("mine", 20000), (counted(1).as_str(), 0)]);
        assert_eq!(rules[0].actions[0].args["path"], "/driver_info/ipmi_address");
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn refusals_say_which_rule() {
        assert!(parse("a: b").unwrap_err().contains("list of rules"));
        assert!(parse("- actions: []").unwrap_err().starts_with("rule 1 of it is wrong: [] should be non-empty"));
        assert!(parse("- {").unwrap_err().starts_with("it is not YAML"));
        let bomb = "- &a [x,x,x,x,x,x,x,x,x,x]\n- &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n- &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n- \
                    &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n- &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]";
        assert!(parse(bomb).is_err());
    }
}
