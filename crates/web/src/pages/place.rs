//! Where browsers find us, and where our pages lie below it.

use aftersign_core::consent::Errand;
use aftersign_core::ids::AccountId;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in a query's value (RFC 3986, section 2.3: unreserved characters).
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The public URL, taken apart. Requests arrive without its path: whatever stands before us takes it off, for pages as
/// for callbacks.
pub(super) struct Place {
    /// Scheme, host and port as browsers write an origin.
    pub(super) origin: String,
    /// The path, without a trailing slash; mostly empty.
    prefix: String,
    /// Whether browsers come over https.
    pub(super) secure: bool,
}

impl Place {
    /// Takes a public URL apart. It has a scheme and a host and neither query nor fragment: the config saw to it.
    pub(super) fn new(public_url: &str) -> Self {
        let (scheme, rest) = public_url.split_once("://").unwrap_or(("https", public_url));
        let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
        let usual = if scheme == "https" { ":443" } else { ":80" };
        let host = host.strip_suffix(usual).unwrap_or(&host);
        Self {
            origin: format!("{scheme}://{host}"),
            prefix: path.trim_end_matches('/').to_owned(),
            secure: scheme == "https",
        }
    }

    /// The path of a stylesheet, for browsers.
    pub(super) fn asset(&self, name: &str) -> String {
        format!("{}/consent/assets/{name}", self.prefix)
    }

    /// The path of an account's page, for browsers; `page` is empty or begins with `/`.
    pub(super) fn page(&self, account: &AccountId, page: &str) -> String {
        format!("{}/consent/{account}{page}", self.prefix)
    }

    /// The path and query under which an errand can be asked for with GET. Nothing is confirmed by it.
    pub(super) fn errand(&self, account: &AccountId, errand: &Errand) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, QUERY_VALUE).to_string();
        match errand {
            Errand::Connect => self.page(account, ""),
            Errand::Renew(link) => format!("{}?link={}", self.page(account, "/renew"), encoded(link)),
            Errand::BeforeSend { draft, user, organization, confirmed: _ } => format!(
                "{}?draft={}&user={}&org={}",
                self.page(account, "/before-send"),
                encoded(draft),
                encoded(user),
                encoded(organization)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it_and_the_path_is_kept_for_links() {
        for (url, origin, prefix, secure) in [
            ("https://sign.example.com", "https://sign.example.com", "", true),
            ("HTTPS://Sign.Example.com:443/a/b/", "https://sign.example.com", "/a/b", true),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "", false),
            ("http://[::1]:80/x", "http://[::1]", "/x", false),
            ("https://sign.example.com:80", "https://sign.example.com:80", "", true),
        ] {
            let place = Place::new(url);
            assert_eq!((place.origin.as_str(), place.prefix.as_str()), (origin, prefix), "{url}");
            assert_eq!(place.secure, secure, "{url}");
        }
    }
}
