//! Readers for fields whose type the vendors' schemas do not keep: absent, `null` or of another type all
//! become "not said", so that one odd field never costs the whole answer.

use aftersign_core::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The value if it has the expected type.
pub(crate) fn value<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(from)?).ok())
}

/// The text if it is text and not blank.
pub(crate) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(value::<D, String>(from)?.filter(|text| !text.trim().is_empty()))
}

/// The members of an array that have the expected type; anything but an array is an empty list.
pub(crate) fn list<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    let Value::Array(items) = Value::deserialize(from)? else { return Ok(Vec::new()) };
    Ok(items.into_iter().filter_map(|item| serde_json::from_value(item).ok()).collect())
}

/// Unix seconds, as a number or as text; zero counts as "not said".
pub(crate) fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let seconds = match Value::deserialize(from)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    Ok(seconds.filter(|&seconds| seconds > 0).and_then(|seconds| Timestamp::from_second(seconds).ok()))
}

/// A date and time in text.
pub(crate) fn date<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(text(from)?.as_deref().and_then(parse_date))
}

/// Reads RFC 3339, and a date and time without zone as UTC.
pub(crate) fn parse_date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let local: DateTime = text.parse().ok()?;
        Some(local.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_with_and_without_a_zone() {
        for text in ["2026-07-02T10:00:00Z", "2026-07-02T12:00:00+02:00", " 2026-07-02T10:00:00 "] {
            assert_eq!(parse_date(text).map(|at| at.to_string()).as_deref(), Some("2026-07-02T10:00:00Z"));
        }
        assert_eq!(parse_date("soon"), None);
    }
}
