//! The URL of a mail server: `smtp://[user:password@]host[:port][?tls=required|opportunistic|none]` or `smtps://…`.
//!
//! No error quotes any of it but the host's name and the word after `tls=`: what is around them may be a part of the password.

use std::net::IpAddr;

use aftersign_core::secret::Secret;
use aftersign_core::{Error, ErrorKind, Remedy};
use http::Uri;
use percent_encoding::percent_decode_str;

/// How the way to the server is protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tls {
    /// TLS from the first byte (`smtps://`).
    Wrapped,
    /// STARTTLS, or nothing.
    Required,
    /// STARTTLS if the server offers it.
    Opportunistic,
    /// Never.
    Never,
}

/// A URL, read.
pub(super) struct SmtpUrl {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
    pub(super) login: Option<Login>,
}

/// With what the server is told who we are.
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: Secret,
}

impl SmtpUrl {
    /// # Errors
    /// [`ErrorKind::Misconfigured`]; says what to write instead.
    pub(super) fn parse(url: &Secret) -> Result<Self, Error> {
        let text = url.expose().trim();
        let misread = "the mail server's URL cannot be read: write smtp://user:password@host:port or smtps://…, with every \
                       character of user and password that is no letter or digit percent-encoded (`@` is %40, `#` is %23)";
        // The URI's reader cuts a fragment off, which would turn half a password into a port.
        let uri: Uri = match text.contains('#') {
            true => return Err(misconfigured(misread)),
            false => text.parse().map_err(|_| misconfigured(misread))?,
        };
        let wrapped = match uri.scheme_str() {
            Some("smtp") => false,
            Some("smtps") => true,
            _ => return Err(misconfigured("the mail server's URL must begin with smtp:// or smtps://")),
        };
        let authority = uri.authority().ok_or_else(|| misconfigured(misread))?;
        if authority.host().is_empty() || !matches!(uri.path(), "" | "/") {
            return Err(misconfigured(misread));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let (login, place) = match authority.as_str().rsplit_once('@') {
            None => (None, authority.as_str()),
            Some((user_info, place)) => {
                (Some(Login::parse(user_info).ok_or_else(|| misconfigured(misread))?), place)
            }
        };
        let port = match (authority.port_u16(), wrapped, &login) {
            (Some(port), ..) => port,
            // A colon without a number that fits is no port.
            (None, ..) if place != authority.host() => return Err(misconfigured(misread)),
            (None, true, _) => 465,
            (None, false, Some(_)) => 587,
            (None, false, None) => 25,
        };
        let tls = tls(wrapped, uri.query(), login.is_some())?;
        if tls == Tls::Never && login.is_some() && !is_loopback(&host) {
            return Err(misconfigured(format!(
                "the password for the mail server {host} would travel in the clear: leave `tls=none` out, or leave user and \
                 password out"
            )));
        }
        Ok(Self { host, port, tls, login })
    }

    /// Whether a password may be sent without TLS.
    pub(super) fn trusts_the_wire(&self) -> bool {
        is_loopback(&self.host)
    }
}

impl Login {
    fn parse(user_info: &str) -> Option<Self> {
        let (user, password) = user_info.split_once(':')?;
        let decoded = |text| percent_decode_str(text).decode_utf8().ok();
        let (user, password) = (decoded(user)?, decoded(password)?);
        let usable = |text: &str| !text.is_empty() && !text.contains(['\0', '\r', '\n']);
        (usable(&user) && usable(&password))
            .then(|| Self { user: user.into_owned(), password: Secret::new(password) })
    }
}

fn tls(wrapped: bool, query: Option<&str>, has_login: bool) -> Result<Tls, Error> {
    let Some(query) = query.filter(|query| !query.is_empty()) else {
        return Ok(match (wrapped, has_login) {
            (true, _) => Tls::Wrapped,
            (false, true) => Tls::Required,
            (false, false) => Tls::Opportunistic,
        });
    };
    match (wrapped, query.strip_prefix("tls=")) {
        (true, Some("required")) => Ok(Tls::Wrapped),
        (true, Some("opportunistic" | "none")) => {
            Err(misconfigured("smtps:// is TLS from the first byte: leave `tls=` out, or write smtp://"))
        }
        (false, Some("required")) => Ok(Tls::Required),
        (false, Some("opportunistic")) => Ok(Tls::Opportunistic),
        (false, Some("none")) => Ok(Tls::Never),
        _ => Err(misconfigured(
            "after the `?` of the mail server's URL only `tls=required`, `tls=opportunistic` or `tls=none` may stand",
        )),
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

pub(super) fn misconfigured(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Misconfigured, Remedy::AskPerson, "mail", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<SmtpUrl, String> {
        SmtpUrl::parse(&Secret::new(url)).map_err(|error| error.chain())
    }

    #[test]
    fn a_url_says_where_and_how() {
        let cases = [
            ("smtp://localhost", "localhost", 25, Tls::Opportunistic, None),
            ("smtp://mail.example.com:2525?tls=required", "mail.example.com", 2525, Tls::Required, None),
            ("smtp://mail.example.com/?tls=none", "mail.example.com", 25, Tls::Never, None),
            ("smtp://u:p@mail.example.com", "mail.example.com", 587, Tls::Required, Some(("u", "p"))),
            (
                "smtp://u:p@mail.example.com?tls=opportunistic",
                "mail.example.com",
                587,
                Tls::Opportunistic,
                Some(("u", "p")),
            ),
            ("smtp://u:p@[::1]:26?tls=none", "::1", 26, Tls::Never, Some(("u", "p"))),
            (
                "smtps://a%40b.c:%C3%A4%3A%2F%23%25@mail.example.com",
                "mail.example.com",
                465,
                Tls::Wrapped,
                Some(("a@b.c", "ä:/#%")),
            ),
        ];
        for (url, host, port, tls, login) in cases {
            let found = read(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!((found.host.as_str(), found.port, found.tls), (host, port, tls), "{url}");
            let found = found.login.as_ref().map(|login| (login.user.as_str(), login.password.expose()));
            assert_eq!(found, login, "{url}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_without_showing_any_of_it() {
        let cases = [
            ("http://hunter2@host", "smtp://"),
            ("hunter2", "smtp://"),
            ("", "smtp://"),
            ("smtp://", "cannot be read"),
            ("smtp://user:hunter2/x@host", "percent-encoded"),
            ("smtp://user:12#hunter2@host", "percent-encoded"),
            ("smtp://user:12/hunter2@host", "percent-encoded"),
            ("smtp://user:12?hunter2@host", "tls=required"),
            ("smtp://hunter2@host", "percent-encoded"),
            ("smtp://:hunter2@host", "percent-encoded"),
            ("smtp://user:hunter2%0D%0A@host", "percent-encoded"),
            ("smtp://user:hunter2@host:99999", "cannot be read"),
            ("smtp://user:hunter2@host?tls=hunter2", "tls=required"),
            ("smtps://user:hunter2@host?tls=none", "first byte"),
            ("smtp://user:hunter2@host?tls=none", "in the clear"),
        ];
        for (url, part) in cases {
            let error = read(url).err().unwrap_or_else(|| panic!("{url} was taken"));
            assert!(error.contains(part) && !error.contains("hunter2"), "{url}: {error}");
        }
    }
}
