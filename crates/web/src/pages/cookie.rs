//! What a browser remembers for us: its own key, and a session per account.
//!
//! `__Host-` makes browsers insist on what we say anyway (Secure, no Domain, the whole host), so that no neighbour under the
//! same domain can plant a key of its choice (RFC 6265bis, section 4.1.3.2). They refuse such a name over plain http, where
//! rehearsals run. `SameSite=Lax`, not `Strict`: a browser that comes back from the platform must bring its key with it.

use std::time::Duration;

use aftersign_core::consent::Browser;
use aftersign_core::ids::AccountId;
use aftersign_core::seams::Entropy;
use aftersign_core::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, header};
use zeroize::Zeroizing;

use crate::limits::{BROWSER_COOKIE_SECONDS, SESSION_BYTES_MAX};

/// Bytes of a browser's key.
const KEY_BYTES: usize = 32;

/// The names of our cookies, and how they are set.
#[derive(Clone, Copy)]
pub(super) struct Cookies {
    /// Whether browsers come over https.
    pub(super) secure: bool,
}

impl Cookies {
    /// What a request shows of its browser. `Err` with a browser that has a new key if it showed no well-formed one.
    pub(super) fn read(
        self,
        account: &AccountId,
        headers: &HeaderMap,
        entropy: &dyn Entropy,
    ) -> Result<Browser, Browser> {
        let session = only(headers, &self.session_name(account))
            .filter(|value| value.len() <= SESSION_BYTES_MAX && !value.is_empty())
            .map(Secret::new);
        match only(headers, &self.browser_name()).filter(|value| is_key(value)) {
            Some(key) => Ok(Browser { key: Secret::new(key), session }),
            None => Err(Browser { key: new_key(entropy), session }),
        }
    }

    /// Sets a browser's key.
    pub(super) fn set_browser(self, key: &Secret) -> Option<HeaderValue> {
        self.set(&self.browser_name(), key, BROWSER_COOKIE_SECONDS)
    }

    /// Sets a session. `None` if its text cannot be a cookie's value.
    pub(super) fn set_session(
        self,
        account: &AccountId,
        session: &Secret,
        lasts: Duration,
    ) -> Option<HeaderValue> {
        let fits = session.expose().len() <= SESSION_BYTES_MAX && session.expose().bytes().all(is_octet);
        fits.then(|| self.set(&self.session_name(account), session, lasts.as_secs())).flatten()
    }

    fn set(self, name: &str, value: &Secret, seconds: u64) -> Option<HeaderValue> {
        let secure = if self.secure { "; Secure" } else { "" };
        let text = Zeroizing::new(format!(
            "{name}={}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}",
            value.expose()
        ));
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    fn browser_name(self) -> String {
        format!("{}aftersign-browser", self.prefix())
    }

    fn session_name(self, account: &AccountId) -> String {
        format!("{}aftersign-session-{account}", self.prefix())
    }

    fn prefix(self) -> &'static str {
        if self.secure { "__Host-" } else { "" }
    }
}

/// The value of the one cookie of this name. None if there are two: one of them was planted.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut values = lines.flat_map(|line| line.split(';')).filter_map(|pair| {
        let (found, value) = pair.trim().split_once('=')?;
        (found == name).then_some(value)
    });
    values.next().filter(|_| values.next().is_none())
}

fn is_key(text: &str) -> bool {
    URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new).is_ok_and(|bytes| bytes.len() == KEY_BYTES)
}

fn new_key(entropy: &dyn Entropy) -> Secret {
    let mut bytes = Zeroizing::new([0u8; KEY_BYTES]);
    entropy.fill(bytes.as_mut_slice());
    Secret::new(URL_SAFE_NO_PAD.encode(*bytes))
}

/// RFC 6265, section 4.1.1: `cookie-octet`.
fn is_octet(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2B | 0x2D..=0x3A | 0x3C..=0x5B | 0x5D..=0x7E)
}
