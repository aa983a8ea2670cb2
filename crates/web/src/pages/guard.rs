//! Who may ask, and what browsers may do with the answer.
//!
//! After OWASP's cheat sheets on HTTP headers, on cross-site request forgery (fetch metadata, and the origin where a browser
//! sends none) and on content security policy. The pages have no script at all and show nothing of a request.

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue};

use super::place::Place;
use crate::limits::HSTS_SECONDS;

/// Styles from us, forms to us, nothing else, and never in a frame.
///
/// `form-action 'self'` also judges every redirect that follows the sending of a form, in Chromium along the whole chain. The
/// chain behind a platform's consent page is not ours to know (a company's own sign-in may be part of it), so no list of
/// origins would hold. Therefore a form of ours is never answered with a redirect: a browser that is to leave after one gets
/// a page that leads on, by `<meta http-equiv="refresh">` and a link, which are no part of a form's sending. A GET is
/// answered with a redirect.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Whether the request's page was opened by our own page: cross-site forms are not taken.
pub(super) fn is_ours(headers: &HeaderMap, place: &Place) -> bool {
    match (headers.get("sec-fetch-site"), headers.get(header::ORIGIN)) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => origin.as_bytes() == place.origin.as_bytes(),
        (None, None) => false,
    }
}

/// Whether a browser only fetches ahead what somebody might open: nobody asked for it yet.
pub(super) fn is_prefetch(headers: &HeaderMap) -> bool {
    let names = ["sec-purpose", "purpose", "x-purpose", "x-moz"];
    let mut values = names.iter().flat_map(|name| headers.get_all(*name));
    values.any(|value| {
        let value = value.as_bytes().to_ascii_lowercase();
        value.starts_with(b"prefetch") || value.starts_with(b"preview")
    })
}

/// Puts on what every answer of ours wears.
///
/// A page with a form lets the browser say to ourselves where it comes from: under `no-referrer` it would send `Origin: null`
/// with our own form too (Fetch, section 3.2), and one without fetch metadata could not be told from a foreign one. Other
/// sites learn nothing either way.
pub(super) fn dress(headers: &mut HeaderMap, place: &Place, has_form: bool) {
    let referrer = if has_form { "same-origin" } else { "no-referrer" };
    let guards: [(HeaderName, &'static str); 7] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::REFERRER_POLICY, referrer),
        (header::VARY, "Cookie"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in guards {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if place.secure {
        // Browsers heed it over https only, and complain elsewhere.
        let name = HeaderName::from_static("cross-origin-opener-policy");
        headers.insert(name, HeaderValue::from_static("same-origin"));
    }
    insist_on_https(headers, place);
}

/// Browsers that came over https come over https again.
pub(super) fn insist_on_https(headers: &mut HeaderMap, place: &Place) {
    if place.secure
        && let Ok(value) = HeaderValue::from_str(&format!("max-age={HSTS_SECONDS}"))
    {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
}

/// An address that a browser may be sent to: an http or https URL of printable ASCII.
pub(super) fn leads_out(url: &str) -> Option<HeaderValue> {
    let lower = url.get(..8)?.to_ascii_lowercase();
    let is_web = lower.starts_with("https://") || lower.starts_with("http://");
    (is_web && url.bytes().all(|byte| byte.is_ascii_graphic())).then(|| HeaderValue::from_str(url).ok())?
}
