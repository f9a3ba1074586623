//! The grammar of one hint: operator, values, and how they are compared.

/// Operators by longest spelling first, as they are looked for at the start of an expression.
const OPERATORS: &[(&str, Operator)] = &[
    ("==", Operator::Number(Order::Equal)),
    ("=", Operator::Number(Order::GreaterEqual)), // historic: one equals sign means "at least"
    ("!=", Operator::Number(Order::NotEqual)),
    ("<in>", Operator::Contains),
    (">=", Operator::Number(Order::GreaterEqual)),
    ("<=", Operator::Number(Order::LessEqual)),
    (">", Operator::Number(Order::Greater)),
    ("<", Operator::Number(Order::Less)),
    ("s==", Operator::Text(Order::Equal)),
    ("s!=", Operator::Text(Order::NotEqual)),
    ("s<=", Operator::Text(Order::LessEqual)),
    ("s<", Operator::Text(Order::Less)),
    ("s>=", Operator::Text(Order::GreaterEqual)),
    ("s>", Operator::Text(Order::Greater)),
];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operator {
    /// Nothing written: equality, of texts or of numbers as the hint goes.
    None,
    Number(Order),
    Text(Order),
    Contains,
    Or,
    AllIn,
    RangeIn,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Order {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Order {
    fn holds<T: PartialOrd + ?Sized>(self, left: &T, right: &T) -> bool {
        match self {
            Order::Equal => left == right,
            Order::NotEqual => left != right,
            Order::Less => left < right,
            Order::LessEqual => left <= right,
            Order::Greater => left > right,
            Order::GreaterEqual => left >= right,
        }
    }
}

/// An operator and its values; trimmed, in lower case, not yet encoded.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expression {
    operator: Operator,
    values: Vec<String>,
    encoded: Vec<String>,
}

impl Expression {
    /// Operators count only at the start. The same operator written again separates values; only `<or>` uses more
    /// than the first.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim().to_lowercase();
        if text.is_empty() {
            return Err("it is empty");
        }
        let (operator, spelling) = operator_of(&text)?;
        let mut values: Vec<String> = if spelling.is_empty() {
            vec![text.clone()]
        } else {
            text.split(spelling).filter(|part| !part.is_empty()).map(|part| part.trim().to_string()).collect()
        };
        if let Some(gap) = values.iter().position(String::is_empty) {
            values.truncate(gap);
        }
        let encoded = values.iter().map(|value| encode(value)).collect();
        Ok(Self { operator, values, encoded })
    }

    /// How a text attribute is compared.
    pub(super) fn text_test(&self) -> TextTest<'_> {
        let first = self.encoded.first().map_or("", String::as_str);
        match self.operator {
            Operator::None => TextTest::Order(Order::Equal, first),
            Operator::Text(order) => TextTest::Order(order, first),
            Operator::Number(order) => TextTest::Number(order, number(first)),
            Operator::Contains => TextTest::Contains(first),
            Operator::Or => TextTest::Or(&self.encoded),
            Operator::AllIn | Operator::RangeIn => TextTest::Unusable,
        }
    }
}

/// Which operator starts this text? It must be followed by a value that does not itself start with an operator.
fn operator_of(text: &str) -> Result<(Operator, &'static str), &'static str> {
    let words = |operator: &str| text.strip_prefix(operator).map(words);
    if words("<or>").is_some_and(|count| count > 0) {
        return Ok((Operator::Or, "<or>"));
    }
    if words("<all-in>").is_some_and(|count| count > 0) {
        return Ok((Operator::AllIn, "<all-in>"));
    }
    if words("<range-in>").is_some_and(|count| count > 3) {
        return Ok((Operator::RangeIn, "<range-in>"));
    }
    let Some(&(spelling, operator)) = OPERATORS.iter().find(|(spelling, _)| text.starts_with(spelling)) else {
        return Ok((Operator::None, ""));
    };
    if words(spelling).is_some_and(|count| count > 0) {
        return Ok((operator, spelling));
    }
    Err("the operator needs a value after it, and a value cannot start with an operator")
}

/// How many values follow before the end or the next operator.
fn words(rest: &str) -> usize {
    let starts = |word: &str| OPERATORS.iter().any(|(spelling, _)| word.starts_with(spelling));
    rest.split_whitespace().take_while(|word| !starts(word)).count()
}

/// The encoding under which texts are compared: space becomes `%20`; letters, digits and `_.-~/` stay. It shows:
/// `<in> 20` finds `a b`, and `s<` orders a space below digits but above nothing else that stays.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.trim().to_lowercase().bytes() {
        if byte.is_ascii_alphanumeric() || b"_.-~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// A decimal number as the reference reads it: `_` may stand between digits; `inf` and `nan` count.
fn number(text: &str) -> Option<f64> {
    let bytes = text.trim().as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let lone = |(at, &byte): (usize, &u8)| byte == b'_' && !(at > 0 && digit(at - 1) && digit(at + 1));
    if bytes.iter().enumerate().any(lone) {
        return None;
    }
    text.trim().replace('_', "").parse().ok()
}

/// A text comparison, ready to use. Values are encoded.
pub(super) enum TextTest<'a> {
    Order(Order, &'a str),
    /// None: what the operator wrote is no number.
    Number(Order, Option<f64>),
    Contains(&'a str),
    Or(&'a [String]),
    Unusable,
}

/// Outcome of one comparison.
pub(super) enum Compare {
    Yes,
    No,
    NotANumber,
}

impl TextTest<'_> {
    /// Compares with an encoded attribute. An empty one never matches.
    pub(super) fn holds(&self, attribute: &str) -> Compare {
        let holds = match self {
            _ if attribute.is_empty() => false,
            TextTest::Order(order, value) => order.holds(attribute, *value),
            TextTest::Contains(value) => attribute.contains(value),
            TextTest::Or(values) => values.iter().any(|value| value == attribute),
            TextTest::Number(order, wanted) => match (number(attribute), wanted) {
                (Some(found), Some(wanted)) => order.holds(&found, wanted),
                _ => return Compare::NotANumber,
            },
            TextTest::Unusable => false,
        };
        if holds { Compare::Yes } else { Compare::No }
    }
}

/// A size comparison in GiB.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum NumberTest {
    Order(Order, f64),
    /// `<or>` and `s==` compare a number with a text: never equal. `s!=`: always different.
    Constant(bool),
    /// An operator that has no meaning for numbers; an error when used, as with the reference.
    Unusable,
}

impl NumberTest {
    pub(super) fn new(expression: &Expression) -> Result<Self, &'static str> {
        const WHOLE: &str =
            "size is a whole number of GiB above 0, with an operator before it if need be, as in `>= 100`";
        let mut first = None;
        for value in &expression.values {
            let whole = number(value).filter(|_| value.chars().all(|c| c.is_ascii_digit() || c == '_' || c == '+'));
            first.get_or_insert(whole.filter(|&number| number > 0.0).ok_or(WHOLE)?);
        }
        let first = first.ok_or(WHOLE)?;
        Ok(match expression.operator {
            Operator::None => Self::Order(Order::Equal, first),
            Operator::Number(_) if expression.values.len() > 1 => Self::Unusable,
            Operator::Number(order) => Self::Order(order, first),
            Operator::Or | Operator::Text(Order::Equal) => Self::Constant(false),
            Operator::Text(Order::NotEqual) => Self::Constant(true),
            Operator::Text(_) | Operator::Contains | Operator::AllIn | Operator::RangeIn => Self::Unusable,
        })
    }

    pub(super) fn holds(&self, gib: f64) -> Result<bool, &'static str> {
        match self {
            Self::Order(order, wanted) => Ok(order.holds(&gib, wanted)),
            Self::Constant(answer) => Ok(*answer),
            Self::Unusable => {
                Err("write one number with ==, !=, <, <=, > or >= before it; the other operators compare texts")
            }
        }
    }
}
