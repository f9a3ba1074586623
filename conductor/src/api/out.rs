//! How values get into answers: a field says once what it shows, whether that becomes text at once or a value that is looked
//! into first.

use super::field::View;
use super::link;
use jiff::Timestamp;
use jiff::tz::Offset;
use serde::Serialize;
use serde_json::Value;
use std::fmt::{self, Display};
use std::io::Write as _;

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
            (Out::Text(text), Some(at)) => drop(write!(text, "\"{}\"", Stamp(at))),
            (Out::Text(text), None) => text.extend_from_slice(b"null"),
            (Out::Value(place), at) => *place = time(at),
        }
    }

    /// Shows `self` and `bookmark` of what is at `path`.
    pub fn links(self, view: &View, path: impl Display + Copy) {
        self.put(&link::links(view.base, path));
    }
}

/// A time as the contract writes it, or null.
pub fn time(at: impl Into<Option<Timestamp>>) -> Value {
    at.into().map_or(Value::Null, |at| Value::String(Stamp(at).to_string()))
}

/// UTC, microseconds, numeric offset.
struct Stamp(Timestamp);

impl Display for Stamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = Offset::UTC.to_datetime(self.0);
        let (date, micros) = (at.date(), at.subsec_nanosecond() / 1000);
        let (year, month, day) = (date.year(), date.month(), date.day());
        let (hour, minute, second) = (at.hour(), at.minute(), at.second());
        write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}+00:00")
    }
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
