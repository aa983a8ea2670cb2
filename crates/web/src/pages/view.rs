//! From words to HTML. Askama escapes everything that is put in.

use std::fmt::Display;

use askama::Template;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use tracing::error;

use super::form::LINK;
use super::place::Place;
use super::words::Words;
use super::{BeforeSendUrl, PageAccount, guard};
use crate::limits::RETRY_AFTER_SECONDS;

/// A whole response.
pub(super) type Answer = Response<Full<Bytes>>;

/// An answer and the word under which it is counted.
pub(super) struct Shown {
    pub(super) answer: Answer,
    pub(super) outcome: &'static str,
    /// Whether it is a page with a form.
    pub(super) has_form: bool,
}

/// What leads on from a page.
pub(super) struct Next {
    pub(super) label: String,
    pub(super) url: String,
    /// What the button sends; a plain link if empty.
    pub(super) fields: Vec<(&'static str, String)>,
}

/// What a page does by itself after a while.
pub(super) struct Refresh {
    pub(super) seconds: u32,
    pub(super) url: String,
}

/// What a notice has beside its words.
#[derive(Default)]
pub(super) struct Extras<'a> {
    /// What the page is about.
    pub(super) x: Option<&'a str>,
    /// What the platform said.
    pub(super) quote: Option<&'a str>,
    pub(super) paste: Option<&'a BeforeSendUrl>,
    pub(super) refresh: Option<Refresh>,
    /// Where it leads, and what the button sends; the label is the words'.
    pub(super) next: Option<(String, Vec<(&'static str, String)>)>,
}

/// What stands around every page.
struct Frame<'a> {
    title: String,
    style: &'a str,
    platform: &'a str,
    signature: Option<String>,
}

#[derive(Template)]
#[template(path = "consent/notice.html")]
struct Notice<'a> {
    frame: Frame<'a>,
    text: Vec<String>,
    quote: Option<&'a str>,
    paste: Option<&'a BeforeSendUrl>,
    refresh: Option<Refresh>,
    next: Option<Next>,
}

#[derive(Template)]
#[template(path = "consent/offer.html")]
struct Offer<'a> {
    frame: Frame<'a>,
    text: Vec<String>,
    depart: Option<Next>,
    key_url: String,
    fields: Vec<Field>,
    /// Name and value of what the key's form sends along.
    link: Option<(&'static str, &'a str)>,
}

/// How a sender can connect.
pub(super) struct Ways<'a> {
    /// Where the button for a consent leads; `None` if there is no consent.
    pub(super) depart: Option<String>,
    /// Where a typed key is sent.
    pub(super) key_url: String,
    /// The fields of a key; empty if none can be typed in.
    pub(super) fields: &'a [&'static str],
    /// The link by which the sender came.
    pub(super) link: Option<&'a str>,
}

/// One field of a key.
struct Field {
    id: String,
    name: &'static str,
    label: String,
}

/// Makes pages for one account, or for nobody in particular.
#[derive(Clone, Copy)]
pub(super) struct Painter<'a> {
    pub(super) place: &'a Place,
    /// The stylesheet's path, for browsers.
    pub(super) style: &'a str,
    pub(super) account: Option<&'a PageAccount>,
}

impl Painter<'_> {
    /// A page that says something.
    pub(super) fn notice(self, words: &'static Words, extras: Extras<'_>) -> Shown {
        let fill = |text: &str| self.fill(text, extras.x);
        let next = extras.next.map(|(url, fields)| Next { label: fill(words.next), url, fields });
        let has_form = next.as_ref().is_some_and(|next| !next.fields.is_empty());
        let page = Notice {
            frame: self.frame(words),
            text: words.text.iter().copied().map(fill).collect(),
            quote: extras.quote.filter(|quote| !quote.is_empty()),
            paste: extras.paste,
            refresh: extras.refresh,
            next,
        };
        self.page(words, &page, has_form)
    }

    /// The page that offers to connect in these ways.
    pub(super) fn offer(self, words: &'static Words, ways: Ways<'_>) -> Shown {
        let label = self.fill(words.next, None);
        let page = Offer {
            frame: self.frame(words),
            text: words.text.iter().map(|text| self.fill(text, None)).collect(),
            depart: ways.depart.map(|url| Next { label, url, fields: Vec::new() }),
            key_url: ways.key_url,
            fields: ways
                .fields
                .iter()
                .map(|name| Field { id: format!("key-{name}"), name, label: label_of(name) })
                .collect(),
            link: ways.link.map(|link| (LINK, link)),
        };
        self.page(words, &page, true)
    }

    /// Away to `target`, which is an address that a browser may be sent to.
    pub(super) fn redirect(self, outcome: &'static str, target: HeaderValue) -> Shown {
        let mut answer = Response::new(Full::new(Bytes::new()));
        *answer.status_mut() = StatusCode::SEE_OTHER;
        answer.headers_mut().insert(header::LOCATION, target);
        guard::dress(answer.headers_mut(), self.place, false);
        Shown { answer, outcome, has_form: false }
    }

    /// A short answer for what is no person.
    pub(super) fn plain(self, outcome: &'static str, status: StatusCode, text: &'static str) -> Shown {
        let mut answer = plain(status, text);
        guard::dress(answer.headers_mut(), self.place, false);
        Shown { answer, outcome, has_form: false }
    }

    fn page(self, words: &'static Words, page: &impl Template, has_form: bool) -> Shown {
        let html = match page.render() {
            Ok(html) => html,
            Err(failure) => {
                error!(page = words.outcome, error = %failure, "a page could not be written");
                return self.plain("our_fault", StatusCode::INTERNAL_SERVER_ERROR, "internal error\n");
            }
        };
        let mut answer = Response::new(Full::new(Bytes::from(html)));
        *answer.status_mut() = words.status;
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        answer.headers_mut().insert(header::CONTENT_TYPE, html);
        guard::dress(answer.headers_mut(), self.place, has_form);
        if words.status == StatusCode::SERVICE_UNAVAILABLE {
            with_header(&mut answer, header::RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        Shown { answer, outcome: words.outcome, has_form }
    }

    fn frame(&self, words: &Words) -> Frame<'_> {
        let signature =
            self.account.map(|account| format!("Aftersign, account {} at {}", account.id, account.platform));
        Frame { title: self.fill(words.title, None), style: self.style, platform: self.platform(), signature }
    }

    /// What a page is about comes last: it may look like a placeholder.
    fn fill(&self, text: &str, x: Option<&str>) -> String {
        let text = text.replace("{p}", self.platform());
        match x {
            Some(x) => text.replace("{x}", x),
            None => text,
        }
    }

    fn platform(&self) -> &str {
        self.account.map_or("the platform", |account| account.platform)
    }
}

/// A short answer, as the front door gives them.
pub(super) fn plain(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *answer.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// Puts a number, or what is written like one, into a header.
pub(super) fn with_header(answer: &mut Answer, name: header::HeaderName, value: impl Display) {
    if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
        answer.headers_mut().insert(name, value);
    }
}

/// A field's name for people: `api_key` is "API key".
fn label_of(name: &str) -> String {
    let words = name.split('_').enumerate().map(|(at, word)| match word {
        "api" | "id" => word.to_uppercase(),
        _ if at == 0 => {
            let mut rest = word.chars();
            rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
        }
        _ => word.to_owned(),
    });
    words.collect::<Vec<String>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_for_people() {
        for (name, label) in
            [("api_key", "API key"), ("client_id", "Client ID"), ("access_secret", "Access secret"), ("", "")]
        {
            assert_eq!(label_of(name), label);
        }
    }
}
