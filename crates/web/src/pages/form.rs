//! What a request brings along: parameters of a query, fields of a form. All of it is hostile until the desk says otherwise.

use std::collections::HashSet;

use aftersign_core::consent::Errand;
use aftersign_core::secret::Secret;
use axum::body::HttpBody;
use bytes::Buf;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use percent_encoding::percent_decode;
use zeroize::Zeroizing;

use super::refused::Refused;
use crate::limits::{
    CLAIM_BYTES_MAX, DISCARD_BYTES_MAX, FORM_BYTES_MAX, FORM_TIMEOUT, LINK_BYTES_MAX, PARAMETERS_MAX,
};

const FORM: &str = "application/x-www-form-urlencoded";

/// What the draft, the user and the organisation are called: ours first, then as platforms name their placeholders.
const DRAFT: [&str; 3] = ["draft", "draftid", "envelopeid"];
const USER: [&str; 3] = ["user", "userid", "senderuserid"];
const ORGANIZATION: [&str; 3] = ["org", "orgid", "organizationid"];

/// What the sealed part of an e-mail's link is called.
pub(super) const LINK: &str = "link";

/// A key that a sender typed in.
pub(super) struct TypedKey {
    /// Its fields, without the blanks that are copied along.
    pub(super) fields: Vec<(String, Secret)>,
    /// The link by which the sender came.
    pub(super) link: Option<String>,
}

/// Names and values, in their order, decoded. A value may be a key.
pub(super) struct Parameters(Vec<(String, Secret)>);

impl Parameters {
    /// Reads `a=b&c=d`. `None` if it is not UTF-8 or too much.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let pairs = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
        let mut parameters = Vec::new();
        for pair in pairs {
            let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let (name, value) = pair.split_at(at);
            let name = decoded(name)?.expose().to_owned();
            parameters.push((name, decoded(value.get(1..).unwrap_or_default())?));
        }
        (parameters.len() <= PARAMETERS_MAX).then_some(Self(parameters))
    }

    /// The value of the one parameter with one of these names, in any case; empty if there is none. `Err` if there are two:
    /// whoever adds a second one hopes that somebody reads the other.
    fn only(&self, names: &[&str]) -> Result<&str, ()> {
        let mut found =
            self.0.iter().filter(|(name, _)| names.iter().any(|known| name.eq_ignore_ascii_case(known)));
        let value = found.next().map_or("", |(_, value)| value.expose().trim());
        if found.next().is_some() { Err(()) } else { Ok(value) }
    }

    /// The errand of a browser that the platform sent before sending. The error says what is wrong with the URL.
    pub(super) fn before_send(&self, confirmed: bool) -> Result<Errand, &'static str> {
        let claim = |names: &[&str]| {
            let value = self.only(names).map_err(|()| "a parameter occurs twice")?;
            let fits = value.len() <= CLAIM_BYTES_MAX && !value.chars().any(char::is_control);
            if fits { Ok(value.to_owned()) } else { Err("a parameter is too long or is no plain text") }
        };
        let (draft, user, organization) = (claim(&DRAFT)?, claim(&USER)?, claim(&ORGANIZATION)?);
        match (draft.is_empty(), user.is_empty()) {
            (true, true) => Err("the draft and the user are missing"),
            (true, false) => Err("the draft is missing"),
            (false, true) => Err("the user is missing"),
            (false, false) => Ok(Errand::BeforeSend { draft, user, organization, confirmed }),
        }
    }

    /// The sealed part of an e-mail's link. `None` if there is none, or two.
    pub(super) fn link(&self) -> Option<String> {
        let link = self.only(&[LINK]).ok()?;
        let fits = link.len() <= LINK_BYTES_MAX && link.bytes().all(|byte| byte.is_ascii_graphic());
        (fits && !link.is_empty()).then(|| link.to_owned())
    }

    /// A typed key. `None` if a field occurs twice.
    pub(super) fn key(self) -> Option<TypedKey> {
        let mut names = HashSet::new();
        if self.0.iter().any(|(name, _)| !names.insert(name.as_str())) {
            return None;
        }
        let link = self.link();
        let fields = self.0.into_iter().filter(|(name, _)| !name.eq_ignore_ascii_case(LINK));
        let trimmed = |(name, value): (String, Secret)| (name, Secret::new(value.expose().trim()));
        Some(TypedKey { fields: fields.map(trimmed).collect(), link })
    }
}

/// Decodes one name or value. Everything on the way is zeroised: it may be a key.
fn decoded(raw: &[u8]) -> Option<Secret> {
    // As long as it can become: a buffer that grew would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(raw.len()));
    for (at, piece) in raw.split(|byte| *byte == b'+').enumerate() {
        if at > 0 {
            bytes.push(b' ');
        }
        bytes.extend(percent_decode(piece));
    }
    std::str::from_utf8(&bytes).ok().map(Secret::new)
}

/// Reads a form within its bounds. An empty body is an empty form, whatever its type.
///
/// # Errors
/// What is wrong with it, ready to be answered.
pub(super) async fn read<B: HttpBody>(headers: &HeaderMap, body: B) -> Result<Parameters, Refused> {
    let bytes = tokio::time::timeout(FORM_TIMEOUT, bytes(body)).await.map_err(|_| Refused::TooSlow)??;
    if !bytes.is_empty() && !is_form(headers) {
        return Err(Refused::NoForm);
    }
    Parameters::read(&bytes).ok_or(Refused::BrokenForm)
}

async fn bytes<B: HttpBody>(body: B) -> Result<Zeroizing<Vec<u8>>, Refused> {
    let mut body = std::pin::pin!(body);
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > DISCARD_BYTES_MAX {
        return Err(Refused::TooLarge);
    }
    let mut kept = Zeroizing::new(Vec::with_capacity(FORM_BYTES_MAX));
    let mut came = 0usize;
    while came <= DISCARD_BYTES_MAX
        && let Some(frame) = body.frame().await
    {
        let Ok(mut data) = frame.map_err(|_| Refused::BrokenForm)?.into_data() else { continue };
        while data.has_remaining() {
            let length = data.chunk().len();
            came = came.saturating_add(length);
            if came <= FORM_BYTES_MAX {
                kept.extend_from_slice(data.chunk());
            }
            data.advance(length);
        }
    }
    if came > FORM_BYTES_MAX { Err(Refused::TooLarge) } else { Ok(kept) }
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(FORM)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        let read = Parameters::read(text.as_bytes()).unwrap();
        read.0.into_iter().map(|(name, value)| (name, value.expose().to_owned())).collect()
    }

    #[test]
    fn parameters_are_decoded_as_forms_are_encoded() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read(""), []);
        assert_eq!(read("&a=b+c%2B%3d=&&%C3%A4&=x"), [pair("a", "b c+=="), pair("ä", ""), pair("", "x")]);
        assert_eq!(read("a=%zz%"), [pair("a", "%zz%")]);
        assert!(Parameters::read(b"a=%ff").is_none() && Parameters::read(b"\xff=a").is_none());
        assert!(Parameters::read("a=b&".repeat(PARAMETERS_MAX + 1).as_bytes()).is_none());
    }
}
