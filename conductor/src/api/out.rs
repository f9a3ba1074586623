//! How values get into answers: a field says once what it shows, whether that becomes text at once or a value that is looked
//! into first.

use super::field::View;
use super::link;
use jiff::Timestamp;
use jiff::fmt::Write;
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::Offset;
use serde::Serialize;
use serde_json::Value;
use std::fmt::Display;

/// Where a field is shown.
pub enum Out<'o> {
    /// Behind what is there already. Lists of thousands of rows go this way: no value is made only to be written.
    Text(&'o mut Vec<u8>),
    /// In place of what is there.
    Value(&'o mut Value),
}

impl Out<'_> {
    /// Shows it. What is in memory can always be shown: keys are texts, and a vector takes everything.
    pub fn put(self, value: &(impl Serialize + ?Sized)) {
        match self {
            Out::Text(text) => {
                if serde_json::to_writer(&mut *text, value).is_err() {
                    text.extend_from_slice(b"null");
                }
            }
            Out::Value(place) => *place = serde_json::to_value(value).unwrap_or_default(),
        }
    }

    /// Shows a time, or null.
    pub fn time(self, at: impl Into<Option<Timestamp>>) {
        match (self, at.into()) {
            // Nothing in it needs to be escaped.
            (Out::Text(text), Some(at)) => {
                text.push(b'"');
                stamp(at, &mut *text);
                text.push(b'"');
            }
            (Out::Text(text), None) => text.extend_from_slice(b"null"),
            (Out::Value(place), at) => *place = time(at),
        }
    }

    /// Shows `self` and `bookmark` of what is at `path`.
    pub fn links(self, view: &View, path: impl Display) {
        self.put(&link::links(view.base, path));
    }
}

/// A time as the contract writes it, or null.
pub fn time(at: impl Into<Option<Timestamp>>) -> Value {
    at.into().map_or(Value::Null, |at| {
        let mut text = String::with_capacity(32);
        stamp(at, &mut text);
        Value::String(text)
    })
}

/// UTC, microseconds, numeric offset. A text and a vector take everything.
fn stamp(at: Timestamp, to: impl Write) {
    static PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
    let _ = PRINTER.print_timestamp_with_offset(&at, Offset::UTC, to);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_microseconds_and_an_offset_wherever_they_go() {
        for (at, shown) in [
            ("2026-11-20T10:04:09.829512Z", "2026-11-20T10:04:09.829512+00:00"),
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000+00:00"),
            ("0999-01-02T03:04:05.000006Z", "0999-01-02T03:04:05.000006+00:00"),
        ] {
            let at: Timestamp = at.parse().unwrap();
            let mut text = Vec::new();
            Out::Text(&mut text).time(at);
            assert_eq!((time(at), text), (shown.into(), format!("\"{shown}\"").into_bytes()));
        }
        let mut text = Vec::new();
        Out::Text(&mut text).time(None::<Timestamp>);
        assert_eq!((time(None::<Timestamp>), text), (Value::Null, b"null".to_vec()));
    }
}
