//! The JSON of token endpoints, as far as it is the same everywhere (RFC 6749, sections 5.1 and 5.2). What is a platform's own
//! stands in its folder.

use std::fmt;

use aftersign_core::secret::Secret;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// An answer of a token endpoint, good or not. Its secrets are never read into anything but [`Secret`].
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct TokenAnswer {
    #[serde(deserialize_with = "secret")]
    pub(crate) access_token: Option<Secret>,
    #[serde(deserialize_with = "secret")]
    pub(crate) refresh_token: Option<Secret>,
    pub(crate) token_type: Option<Value>,
    /// Seconds.
    pub(crate) expires_in: Option<Value>,
    /// The name of a refusal; some platforms wrap it.
    pub(crate) error: Option<Value>,
    pub(crate) error_description: Option<Value>,
}

/// A text that is secret; whatever is no text is none.
fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    from.deserialize_any(SecretText)
}

/// Takes a text from the parser's own buffer straight into keeping.
struct SecretText;

impl<'de> Visitor<'de> for SecretText {
    type Value = Option<Secret>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Secret::new(text)))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Some(Secret::new(text)))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}
