//! Readers for fields whose type the vendors' schemas do not keep: absent, `null` or of another type all
//! become "not said", so that one odd field never costs the whole answer.

use aftersign_core::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// The value if it has the expected type.
pub(crate) fn value<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(from)?).ok())
}

/// The text if it is text and not blank.
pub(crate) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(value::<D, String>(from)?.filter(|text| !text.trim().is_empty()))
}

/// A yes or no, also as 0 and 1 and as text; anything else is "not said".
pub(crate) fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Bool(flag) => Some(flag),
        Value::Number(number) => match number.as_u64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "false" | "0" => Some(false),
            "true" | "1" => Some(true),
            _ => None,
        },
        _ => None,
    })
}

/// The rows of a list in which nothing may be overlooked: it must be there (`null` is an empty one), and a row
/// that cannot be read keeps its place as `None`, so that one odd row never hides the others.
pub(crate) fn rows<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    from: D,
) -> Result<Vec<Option<T>>, D::Error> {
    let rows = Option::<Vec<Box<RawValue>>>::deserialize(from)?.unwrap_or_default();
    Ok(rows.into_iter().map(|row| serde_json::from_str(row.get()).ok()).collect())
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

    #[test]
    fn flags_are_read_in_every_spelling_and_rows_keep_their_place() {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default, deserialize_with = "flag")]
            flag: Option<bool>,
            #[serde(deserialize_with = "rows")]
            rows: Vec<Option<u8>>,
        }
        let read = |text: &str| serde_json::from_str::<Answer>(text);
        for (text, expected) in [
            ("true", Some(true)),
            ("1", Some(true)),
            ("\"True\"", Some(true)),
            ("\"1\"", Some(true)),
            ("false", Some(false)),
            ("0", Some(false)),
            ("\"0\"", Some(false)),
            ("2", None),
            ("\"yes\"", None),
            ("null", None),
            ("[]", None),
        ] {
            assert_eq!(read(&format!("{{\"flag\":{text},\"rows\":null}}")).unwrap().flag, expected, "{text}");
        }
        assert_eq!(read(r#"{"rows":[1,{},"x",null,2]}"#).unwrap().rows, [Some(1), None, None, None, Some(2)]);
        assert!(read("{}").is_err(), "a list that is not there is not an empty one");
        assert!(read(r#"{"rows":{}}"#).is_err());
    }
}
