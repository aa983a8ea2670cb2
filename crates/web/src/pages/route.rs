//! Reads `/consent/{account}[/{page}]` and `/consent/assets/{name}`.
//!
//! As with callbacks, one trailing slash is tolerated, because people paste, and nothing else. An account's id may be
//! percent-encoded; it is only ever compared with the ids that are configured.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

/// What a path leads to.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Route<'a> {
    /// A file that the pages need.
    Asset(&'a str),
    /// A page of the account with this id, as claimed.
    Page(Cow<'a, str>, Page),
}

/// The pages of an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Page {
    /// `/consent/{account}`.
    Connect,
    /// `/consent/{account}/before-send`.
    BeforeSend,
    /// `/consent/{account}/renew`.
    Renew,
    /// `/consent/{account}/depart`.
    Depart,
    /// `/consent/{account}/key`.
    Key,
    /// The way back, wherever it lies.
    Return,
}

/// What a browser wants of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Visit {
    /// To see it; nothing but the errand of the page is done.
    Get,
    /// To have it done: its form was sent.
    Post,
    /// To know whether it is there. Scanners of e-mail ask so, and must not use anything up.
    Head,
}

impl Page {
    /// The word under which it is counted.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::BeforeSend => "before_send",
            Self::Renew => "renew",
            Self::Depart => "depart",
            Self::Key => "key",
            Self::Return => "return",
        }
    }

    /// The methods that it allows, as `Allow` lists them.
    pub(super) fn allowed(self) -> &'static str {
        match self {
            Self::Connect | Self::Renew | Self::Return => "GET, HEAD",
            Self::BeforeSend => "GET, HEAD, POST",
            Self::Depart | Self::Key => "POST",
        }
    }

    /// What a method asks for; `None` if it is not allowed.
    pub(super) fn visit(self, method: &Method) -> Option<Visit> {
        let visit = match *method {
            Method::GET => Visit::Get,
            Method::HEAD => Visit::Head,
            Method::POST => Visit::Post,
            _ => return None,
        };
        self.allowed().split(", ").any(|allowed| allowed == method.as_str()).then_some(visit)
    }
}

impl<'a> Route<'a> {
    /// Reads a request's path. `None` if it is none of these; it may be a way back.
    pub(super) fn read(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix("/consent/")?;
        // By its ending, so that an account may be called `assets`.
        if let Some(name) = rest.strip_prefix("assets/").filter(|name| name.ends_with(".css")) {
            return Some(Self::Asset(name));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (account, page) = rest.split_once('/').map_or((rest, ""), |(account, page)| (account, page));
        let page = match page {
            "" if !rest.ends_with('/') => Page::Connect,
            "before-send" => Page::BeforeSend,
            "renew" => Page::Renew,
            "depart" => Page::Depart,
            "key" => Page::Key,
            _ => return None,
        };
        let account = percent_decode_str(account).decode_utf8().ok()?;
        (!account.is_empty()).then_some(Self::Page(account, page))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_and_everything_else_is_not() {
        let page = |id: &'static str, page| Some(Route::Page(id.into(), page));
        for (path, expected) in [
            ("/consent/hr", page("hr", Page::Connect)),
            ("/consent/hr/", page("hr", Page::Connect)),
            ("/consent/h%72/key", page("hr", Page::Key)),
            ("/consent/hr/before-send/", page("hr", Page::BeforeSend)),
            ("/consent/hr/renew", page("hr", Page::Renew)),
            ("/consent/..%2f/depart", page("../", Page::Depart)),
            ("/consent/assets/x.css", Some(Route::Asset("x.css"))),
            ("/consent/assets/x", None),
            ("/consent/assets/key", page("assets", Page::Key)),
            ("/consent/assets", page("assets", Page::Connect)),
            ("/consent", None),
            ("/consent/", None),
            ("/consent//", None),
            ("/consent//key", None),
            ("/consent/hr//", None),
            ("/consent/hr/key/x", None),
            ("/consent/hr/Key", None),
            ("/Consent/hr", None),
            ("/consent/%ff", None),
            ("//consent/hr", None),
        ] {
            assert_eq!(Route::read(path), expected, "{path}");
        }
    }

    #[test]
    fn each_page_takes_its_own_methods() {
        for (page, get, post) in [
            (Page::Connect, true, false),
            (Page::BeforeSend, true, true),
            (Page::Renew, true, false),
            (Page::Depart, false, true),
            (Page::Key, false, true),
            (Page::Return, true, false),
        ] {
            assert_eq!(page.visit(&Method::GET), get.then_some(Visit::Get), "{page:?}");
            assert_eq!(page.visit(&Method::HEAD), get.then_some(Visit::Head), "{page:?}");
            assert_eq!(page.visit(&Method::POST), post.then_some(Visit::Post), "{page:?}");
            assert_eq!(page.visit(&Method::PUT), None);
        }
    }
}
