//! The consent pages: where a sender's browser meets the desk.
//!
//! A page asks the desk, and shows what it says. It believes nothing of a request and shows nothing of it; where a browser
//! goes is the desk's word alone. Whatever only looks (a scanner of e-mail with HEAD, a browser that fetches ahead) gets its
//! answer without the desk.

mod ask;
mod cookie;
mod form;
mod guard;
mod metrics;
mod place;
mod refused;
mod route;
mod view;
mod words;

use std::collections::HashMap;
use std::sync::Arc;

use aftersign_core::consent::{ConsentDesk, Errand, Scene, Trouble, Turn};
use aftersign_core::digest::Digest;
use aftersign_core::ids::AccountId;
use aftersign_core::seams::Entropy;
use aftersign_core::secret::Secret;
use axum::body::HttpBody;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;
use tracing::error;

use self::ask::Stop;
use self::cookie::Cookies;
use self::metrics::PagesMetrics;
use self::place::Place;
use self::refused::Refused;
use self::route::{Page, Route, Visit};
use self::view::{Answer, Extras, Painter, Refresh, Shown, Ways, with_header};
use crate::limits::{ASSET_CACHED_SECONDS, DESK_CALLS_MAX, REFRESH_SECONDS};

/// The one stylesheet.
const STYLE: &str = include_str!("../../assets/consent.css");
/// Digits of its digest in its name: enough that no two texts meet.
const STYLE_DIGITS: usize = 16;

/// How the pages are set up.
#[derive(Clone, Debug)]
pub struct PagesConfig {
    /// The URL under which browsers reach us: http or https, a host, perhaps a path, no slash at the end. Requests come
    /// without that path.
    pub public_url: String,
    /// The accounts that have pages.
    pub accounts: Vec<PageAccount>,
}

/// One account as its pages show it.
#[derive(Clone, Debug)]
pub struct PageAccount {
    /// Its id.
    pub id: AccountId,
    /// Its platform's name for people.
    pub platform: &'static str,
    /// What the administrator sets at the platform so that browsers come here before sending; shown where parameters are
    /// missing. `None` where the platform has no such thing.
    pub before_send: Option<BeforeSendUrl>,
}

/// What to set where so that browsers come here before a draft is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BeforeSendUrl {
    /// Where the platform wants it: the name of a setting.
    pub place: &'static str,
    /// The URL with the platform's placeholders for draft, user and organisation.
    pub url: String,
}

/// The consent pages. They have no listener of their own: [`Pages::answer`] answers what others receive.
pub struct Pages {
    desk: Arc<dyn ConsentDesk>,
    entropy: Arc<dyn Entropy>,
    place: Place,
    accounts: HashMap<String, PageAccount>,
    style_name: String,
    style_path: String,
    calls: Arc<Semaphore>,
    metrics: PagesMetrics,
}

impl Pages {
    /// Pages in front of this desk; `entropy` makes the keys of browsers.
    pub fn new(desk: Arc<dyn ConsentDesk>, entropy: Arc<dyn Entropy>, config: PagesConfig) -> Self {
        let place = Place::new(&config.public_url);
        let digest = Digest::of(STYLE.as_bytes()).to_string();
        let style_name = format!("{}.css", digest.chars().take(STYLE_DIGITS).collect::<String>());
        let style_path = place.asset(&style_name);
        let accounts = config.accounts.into_iter();
        Self {
            desk,
            entropy,
            place,
            accounts: accounts.map(|account| (account.id.as_str().to_owned(), account)).collect(),
            style_name,
            style_path,
            calls: Arc::new(Semaphore::new(DESK_CALLS_MAX)),
            metrics: PagesMetrics::default(),
        }
    }

    /// Registers `aftersign_consent_pages_total`.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// Answers one request, whatever its path: 404 as the front door answers it if it is none of ours. Takes at most
    /// [`FORM_TIMEOUT`](crate::limits::FORM_TIMEOUT) for the body and [`DESK_TIMEOUT`](crate::limits::DESK_TIMEOUT) for the
    /// desk. What the desk began goes on if this is dropped. Must run within a tokio runtime.
    pub async fn answer<B: HttpBody>(&self, request: Request<B>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let (account, page) = match Route::read(path) {
            Some(Route::Asset(name)) => return self.asset(name, &head.method),
            Some(Route::Page(id, page)) => (self.accounts.get(&*id), page),
            None => match self.desk.account_of_return(path) {
                Some(id) => (self.accounts.get(id.as_str()), Page::Return),
                None => return not_found(),
            },
        };
        let shown = match account {
            Some(account) => self.visit(account, page, head, body).await,
            None => self.painter(None).notice(words::of_trouble(&Trouble::NoSuchPage), Extras::default()),
        };
        self.metrics.count(page.as_str(), shown.outcome);
        shown.answer
    }

    /// A visit to one of an account's pages.
    async fn visit<B: HttpBody>(&self, account: &PageAccount, page: Page, head: Parts, body: B) -> Shown {
        let painter = self.painter(Some(account));
        let Some(visit) = page.visit(&head.method) else {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            let mut shown = painter.plain("method_not_allowed", status, "method not allowed\n");
            with_header(&mut shown.answer, header::ALLOW, page.allowed());
            return shown;
        };
        if visit == Visit::Head {
            return painter.plain("probed", StatusCode::OK, "");
        }
        if guard::is_prefetch(&head.headers) {
            return painter.plain("prefetch", StatusCode::SERVICE_UNAVAILABLE, "not fetched ahead\n");
        }
        let cookies = Cookies { secure: self.place.secure };
        let browser = cookies.read(&account.id, &head.headers, &*self.entropy);
        if visit == Visit::Post {
            if !guard::is_ours(&head.headers, &self.place) {
                return self.refuse(account, Refused::CrossSite, None);
            }
            if browser.is_err() {
                return self.refuse(account, Refused::NoCookie, None);
            }
        }
        let ask = match ask::read(page, visit, &head, body).await {
            Ok(ask) => ask,
            Err(Stop::Refused(refused)) => return self.refuse(account, refused, None),
            Err(Stop::Trouble(trouble)) => return self.trouble(account, &trouble, None),
        };
        let is_new = browser.is_err();
        let errand = ask.errand().cloned();
        let browser = browser.unwrap_or_else(|new| new);
        let key = browser.key.clone();
        let turn = match ask.put(&self.desk, &self.calls, &account.id, browser).await {
            Ok(turn) => turn,
            Err(refused) => return self.refuse(account, refused, errand.as_ref()),
        };
        self.show(account, visit, turn, (key, is_new))
    }

    /// What the desk says, with what the browser shall remember. Its key is set anew, with all of its time, where a consent
    /// begins and on pages with a form, so that it does not end before the browser is back.
    fn show(&self, account: &PageAccount, visit: Visit, turn: Turn, (key, is_new): (Secret, bool)) -> Shown {
        let cookies = Cookies { secure: self.place.secure };
        let departs = matches!(turn.scene, Scene::Depart(_));
        let mut shown = self.scene(account, visit, turn.scene);
        let key = (is_new || departs || shown.has_form).then(|| cookies.set_browser(&key));
        let session = turn.session.map(|(session, lasts)| cookies.set_session(&account.id, &session, lasts));
        for cookie in [key, session].into_iter().flatten() {
            match cookie {
                Some(cookie) => drop(shown.answer.headers_mut().append(header::SET_COOKIE, cookie)),
                None => error!(account = %account.id, "a session cannot be a cookie's value and was not set"),
            }
        }
        shown
    }

    fn scene(&self, account: &PageAccount, visit: Visit, scene: Scene) -> Shown {
        let painter = self.painter(Some(account));
        let page = |name| self.place.page(&account.id, name);
        match scene {
            Scene::Depart(url) => self.lead_out(account, visit, "depart", &url),
            Scene::Inbox(url) => self.lead_out(account, visit, "inbox", &url),
            Scene::Offer { consent: false, fields: [], link: _ } => {
                self.trouble(account, &Trouble::NoSuchPage, None)
            }
            Scene::Offer { consent, fields, link } => {
                let depart = consent.then(|| page("/depart"));
                let ways = Ways { depart, key_url: page("/key"), fields, link: link.as_deref() };
                painter.offer(&words::OFFER, ways)
            }
            Scene::Connected { name } => {
                painter.notice(&words::CONNECTED, Extras { x: Some(&name), ..Extras::default() })
            }
            Scene::Sent { envelopes: 0 } => painter.notice(&words::SENT_UNSEEN, Extras::default()),
            Scene::Sent { envelopes } => {
                let x =
                    if envelopes == 1 { "1 envelope".to_owned() } else { format!("{envelopes} envelopes") };
                painter.notice(&words::SENT, Extras { x: Some(&x), ..Extras::default() })
            }
            Scene::Sending(errand) => {
                let url = self.place.errand(&account.id, &errand);
                let refresh = Some(Refresh { seconds: REFRESH_SECONDS, url: url.clone() });
                let next = Some((url, Vec::new()));
                painter.notice(&words::SENDING, Extras { refresh, next, ..Extras::default() })
            }
            Scene::SendAgain { name, errand } => {
                let x = name.map_or_else(|| "your draft".to_owned(), |name| format!("the draft “{name}”"));
                let next = Some(self.again(account, &errand));
                painter.notice(&words::SEND_AGAIN, Extras { x: Some(&x), next, ..Extras::default() })
            }
            Scene::Trouble { trouble, again } => self.trouble(account, &trouble, again.as_ref()),
        }
    }

    /// Away from us: by a redirect after a GET, by a page after a form (see [`guard`]).
    fn lead_out(&self, account: &PageAccount, visit: Visit, outcome: &'static str, url: &str) -> Shown {
        let painter = self.painter(Some(account));
        let Some(target) = guard::leads_out(url) else {
            error!(account = %account.id, "a browser was to be sent to what is no http or https URL");
            return self.trouble(account, &Trouble::OurFault, None);
        };
        if visit == Visit::Get {
            return painter.redirect(outcome, target);
        }
        let refresh = Some(Refresh { seconds: 0, url: url.to_owned() });
        let next = Some((url.to_owned(), Vec::new()));
        let shown = painter.notice(&words::LEADING_OUT, Extras { refresh, next, ..Extras::default() });
        Shown { outcome, ..shown }
    }

    fn trouble(&self, account: &PageAccount, trouble: &Trouble, again: Option<&Errand>) -> Shown {
        let (x, paste) = match trouble {
            Trouble::BadParameters(what) => (Some(*what), account.before_send.as_ref()),
            _ => (None, None),
        };
        // Nothing of such a visit is known, so it can only begin anew.
        let anew = matches!(trouble, Trouble::UnknownReturn).then_some(&Errand::Connect);
        let next = again.or(anew).map(|errand| self.again(account, errand));
        let extras = Extras { x, quote: words::quote(trouble), paste, next, refresh: None };
        self.painter(Some(account)).notice(words::of_trouble(trouble), extras)
    }

    /// What was not taken; it leads to the errand that was asked for (unconfirmed), or to the account's page. A way back that
    /// takes long leads nowhere: a second consent must not begin while a draft is being sent.
    fn refuse(&self, account: &PageAccount, refused: Refused, errand: Option<&Errand>) -> Shown {
        let url = self.place.errand(&account.id, errand.unwrap_or(&Errand::Connect));
        let next = (refused != Refused::ReturnSlow).then_some((url, Vec::new()));
        self.painter(Some(account)).notice(words::of_refused(refused), Extras { next, ..Extras::default() })
    }

    /// Where an errand is asked for once more, and what a button must send for it: what was confirmed needs a person's hand.
    fn again(&self, account: &PageAccount, errand: &Errand) -> (String, Vec<(&'static str, String)>) {
        match errand {
            Errand::BeforeSend { draft, user, organization, confirmed: true } => {
                let fields =
                    vec![("draft", draft.clone()), ("user", user.clone()), ("org", organization.clone())];
                (self.place.page(&account.id, "/before-send"), fields)
            }
            _ => (self.place.errand(&account.id, errand), Vec::new()),
        }
    }

    fn asset(&self, name: &str, method: &Method) -> Answer {
        if name != self.style_name || !matches!(*method, Method::GET | Method::HEAD) {
            return not_found();
        }
        let mut answer = Response::new(Full::new(Bytes::from_static(STYLE.as_bytes())));
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        guard::insist_on_https(headers, &self.place);
        let cached = format!("public, max-age={ASSET_CACHED_SECONDS}, immutable");
        with_header(&mut answer, header::CACHE_CONTROL, cached);
        answer
    }

    fn painter<'a>(&'a self, account: Option<&'a PageAccount>) -> Painter<'a> {
        Painter { place: &self.place, style: &self.style_path, account }
    }
}

/// To everything that is none of ours, to the byte as the front door answers it.
fn not_found() -> Answer {
    view::plain(StatusCode::NOT_FOUND, "not found\n")
}
