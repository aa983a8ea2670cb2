//! What is checked of those whose senders can consent.

use aftersign_core::grant::{Departure, Grant, GrantKind, OauthApp, ReturnAnswer};
use aftersign_core::platform::{Access, Call, Credential, Next, Platform};
use aftersign_core::secret::Secret;
use aftersign_core::{Error, ErrorKind, Remedy};
use http::header::AUTHORIZATION;
use proptest::prelude::{any, prop, proptest};

use crate::conformance::forget;
use crate::form::encoded;
use crate::specimens::{Consent, Specimen};
use crate::testing::{access, answer, app, nonces, now, play, result};

/// Queries of which some are nearly a way back.
const NEARLY_A_RETURN: &str = "((code|state|error|error_description|oauth_token|oauth_verifier|denied|)=(true|[a-z0-9]{0,4}|%[0-9A-F]{0,2}|.{0,5})&?){0,5}";

/// A grant as it would be in the vault.
fn kept() -> Grant {
    Grant {
        kind: GrantKind::Consent,
        credential: Credential::default().with("access_token", Secret::new("t0ken")),
        refresh_token: Some(Secret::new("r3fresh-t0ken")),
        renew_at: None,
    }
}

/// Every reader of a grant's answers.
pub(crate) fn readers(platform: &dyn Platform, access: &Access) -> Vec<Call<()>> {
    let (app, nonces) = (app(), nonces());
    let (state, code) = (&nonces.state, Secret::new("c0de"));
    let mut readers = vec![forget(platform.finish_grant(access, &app, state, &code, &nonces.verifier))];
    readers.extend(platform.renew_grant(access, &app, &kept()).map(forget));
    if let Next::Then(call) = platform.begin_grant(access, &app, &nonces).unwrap() {
        readers.push(forget(Ok(call)));
    }
    readers
}

impl Specimen {
    fn consent(&self) -> &Consent {
        self.consent.as_ref().expect("who offers consent has a specimen of it")
    }

    /// An access without secrets, as it is when a sender is asked.
    fn bare(&self) -> Access {
        access(self.adapter.platform).with_credential(Credential::default())
    }

    /// Where a browser is sent, and all that was sent until then.
    fn depart(&self, app: &OauthApp) -> (Departure, Vec<String>) {
        let mut said = Vec::new();
        let mut answers = self.consent().departure.clone().into_iter();
        let mut next = self.adapter.platform.begin_grant(&self.bare(), app, &nonces()).unwrap();
        loop {
            let call = match next {
                Next::Done(departure) => return (departure, said),
                Next::Then(call) => call,
            };
            let (_, request, read) = call.into_parts();
            said.push(request.uri().to_string());
            said.extend(request.headers().get(AUTHORIZATION).map(|it| it.to_str().unwrap().to_owned()));
            next = read(answers.next().unwrap(), now()).unwrap();
        }
    }

    fn finish(&self, app: &OauthApp, status: u16, body: &'static str) -> Result<Grant, Error> {
        let (departure, _) = self.depart(app);
        let code = Secret::new("c0de");
        let (state, keep) = (&departure.state, &departure.keep);
        result(
            self.adapter.platform.finish_grant(&self.bare(), app, state, &code, keep),
            [answer(status, body)],
        )
    }
}

pub(crate) fn a_consent_page_is_told_what_it_must_know_once(of: &Specimen) {
    let own_place =
        OauthApp { authorize_url: Some("https://id.example.com/ask?realm=a%20b".into()), ..app() };
    for app in [app(), own_place] {
        let (departure, mut said) = of.depart(&app);
        let configured = app.authorize_url.as_deref().unwrap_or("https://");
        assert!(departure.url.starts_with(configured), "{}", departure.url);
        let state = encoded(departure.state.expose()).to_string();
        assert_eq!(departure.url.matches(&state).count(), 1, "{}", departure.url);
        for secret in [app.client_secret.expose(), &encoded(app.client_secret.expose()).to_string()] {
            assert!(!departure.url.contains(secret));
        }
        said.push(departure.url.clone());
        let said = said.join(" ");
        for once in [app.client_id.clone(), encoded(&app.redirect_uri).to_string()] {
            assert_eq!(said.matches(&once).count(), 1, "{once} in {said}");
        }
    }
    let no_name = OauthApp { client_id: " ".into(), ..app() };
    let nowhere = OauthApp { authorize_url: Some("not a url".into()), ..app() };
    let nobodys_back = OauthApp { redirect_uri: "/back".into(), ..app() };
    for wrong in [no_name, nowhere, nobodys_back] {
        let error = of.platform().begin_grant(&of.bare(), &wrong, &nonces()).err().unwrap();
        assert_eq!((error.kind(), error.remedy()), (ErrorKind::Misconfigured, Remedy::AskPerson), "{error}");
    }
}

pub(crate) fn a_way_back_is_read_and_never_guessed(of: &Specimen) {
    let (platform, consent) = (of.platform(), of.consent());
    let granted = platform.read_return(consent.granted).unwrap();
    assert_eq!(granted.state.expose(), "st-1");
    assert!(matches!(granted.answer, ReturnAnswer::Granted(code) if code.expose() == "c0de-1"));
    let denied = platform.read_return(consent.denied).unwrap();
    assert!(matches!(denied.answer, ReturnAnswer::Denied) && denied.state.expose() == "st-1");
    for query in [consent.granted, consent.denied] {
        let pairs: Vec<&str> = query.split('&').collect();
        for (at, pair) in pairs.iter().enumerate().filter(|(_, pair)| !pair.starts_with('=')) {
            assert!(platform.read_return(&format!("{query}&{pair}")).is_none(), "{pair} twice");
            let without: Vec<&str> = [&pairs[..at], &pairs[at + 1..]].concat();
            assert!(platform.read_return(&without.join("&")).is_none(), "without {pair}");
            let empty = query.replace(pair, pair.split_inclusive('=').next().unwrap());
            assert!(platform.read_return(&empty).is_none(), "{empty}");
        }
        let oversize = format!("{query}&x={}", "x".repeat(64 * 1024));
        assert!(platform.read_return(&oversize).is_none());
        assert!(platform.read_return(&format!("{query}{}", "&x".repeat(1_000))).is_none());
    }
    for forged in
        ["", "=", "&&&", "code", "state=s", "oauth_token=t", "denied=true", "error=access_denied", "c=1"]
    {
        assert!(platform.read_return(forged).is_none(), "{forged}");
    }
    proptest!(|(query in NEARLY_A_RETURN, bytes in prop::collection::vec(any::<u8>(), 0..300))| {
        for query in [query, String::from_utf8_lossy(&bytes).into_owned()] {
            if let Some(read) = platform.read_return(&query) {
                assert!(!read.state.is_empty());
                if let ReturnAnswer::Failed(reason) = read.answer {
                    assert!(!reason.is_empty() && !reason.contains(['<', '>', '&', '"', '\n']));
                }
            }
        }
    });
}

pub(crate) fn an_exchange_that_fails_says_whose_turn_it_is(of: &Specimen) {
    for (status, body) in [
        (200, "<!DOCTYPE html><html>"),
        (200, ""),
        (200, "[]"),
        (200, "{"),
        (200, "{\"access_token\":\"\"}"),
        (200, "{\"access_token\":\"a b\"}"),
        (200, "oauth_token=&oauth_token_secret="),
        (302, ""),
        (401, "<html>"),
        (429, ""),
        (500, "{}"),
        (503, ""),
    ] {
        let error = of.finish(&app(), status, body).unwrap_err();
        assert!(matches!(error.remedy(), Remedy::Retry(_)), "{status} {body}: {error}");
    }
    let (status, body) = of.consent().lapsed;
    let lapsed = of.finish(&app(), status, body).unwrap_err();
    assert_eq!((lapsed.kind(), lapsed.remedy()), (ErrorKind::AccessRefused, Remedy::RenewAccess), "{lapsed}");
    let (status, body) = of.consent().wrong_app;
    let access = of.bare();
    let error = match of.platform().begin_grant(&access, &app(), &nonces()).unwrap() {
        Next::Then(call) => play(call, [answer(status, body)]).0.map(|_| ()).unwrap_err(),
        Next::Done(_) => of.finish(&app(), status, body).unwrap_err(),
    };
    assert_eq!((error.kind(), error.remedy()), (ErrorKind::Misconfigured, Remedy::AskPerson), "{error}");
    assert!(error.to_string().contains("client_secret"), "which keys are wrong: {error}");
}

pub(crate) fn a_grant_opens_the_api_and_shows_no_secret(of: &Specimen) {
    let (platform, consent) = (of.platform(), of.consent());
    let app = app();
    let grant = of.finish(&app, 200, consent.token).unwrap();
    assert_eq!(grant.kind, GrantKind::Consent);
    let (departure, _) = of.depart(&app);
    let back = platform.read_return(consent.granted);
    let shown = format!("{grant:?} {departure:?} {back:?} {app:?} {:?}", nonces());
    for secret in ["t0ken", "s3cret", "c0de", "st-1", "dBjftJeZ4"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    let key = platform.key_fields().iter().map(|name| ((*name).to_owned(), Secret::new("typed-k3y")));
    let key =
        Grant { kind: GrantKind::Key, credential: Credential::new(key), refresh_token: None, renew_at: None };
    let own = access(platform);
    for grant in [grant, key] {
        let granted = platform.granted(&own, Some(&app), &grant);
        assert_eq!(granted.base_url, own.base_url);
        let call = platform.whoami(&granted).unwrap();
        let sent: Vec<_> = call.request.headers().values().filter(|value| value.is_sensitive()).collect();
        assert_eq!(sent.len(), 1);
        let account = platform.whoami(&own).unwrap().request;
        let is_known = |value| account.headers().values().any(|known| known == value);
        assert!(!is_known(sent[0]), "the account's own secret is not sent");
        let identity = play(call, [answer(200, consent.whoami)]).0.unwrap();
        assert_eq!(identity.email.as_deref(), Some("sender@example.com"));
        assert_eq!(identity.sender().unwrap().as_str(), "sender@example.com");
    }
}

pub(crate) fn a_grant_is_renewed_where_it_can_be(of: &Specimen) {
    let platform = of.platform();
    let renew = |grant: &Grant, body: &'static str| {
        platform.renew_grant(&of.bare(), &app(), grant).map(|call| result(call, [answer(200, body)]))
    };
    let endless = Grant { refresh_token: None, ..kept() };
    assert!(renew(&endless, "").is_none());
    let renewed = renew(&kept(), r#"{"access_token":"next","expires_in":3600}"#);
    assert_eq!(renewed.is_some(), of.consent().renews);
    let Some(renewed) = renewed else { return };
    let renewed = renewed.unwrap();
    assert_eq!(renewed.refresh_token.as_ref().unwrap().expose(), "r3fresh-t0ken", "the old one stays good");
    assert!(renewed.renew_at.unwrap() > now());
    assert!(renewed.credential.fields().any(|(_, secret)| secret.expose() == "next"));
    let replaced =
        r#"{"access_token":"next","token_type":"BEARER","refresh_token":"other","expires_in":"60"}"#;
    assert_eq!(renew(&kept(), replaced).unwrap().unwrap().refresh_token.unwrap().expose(), "other");
    let revoked = r#"{"error":"invalid_grant","error_description":"r3fresh-t0ken is revoked"}"#;
    let error = renew(&kept(), revoked).unwrap().unwrap_err();
    assert_eq!((error.kind(), error.remedy()), (ErrorKind::AccessRefused, Remedy::RenewAccess));
    assert!(!error.chain().contains("r3fresh"), "{error}");
}
