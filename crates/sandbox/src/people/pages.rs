//! What a person's browser sees at a platform: a log-in page without a password, and the page that asks for consent. Plain
//! HTML with forms, no script, so that an HTTP client can be the browser.

use http::{Method, StatusCode};

use super::{Form, People, User};
use crate::config::Vendor;
use crate::exchange::{Answer, Inbound};
use crate::world::World;

const HTML: &str = "text/html; charset=utf-8";

/// What an application asks a person for.
pub(crate) struct Wish<'a> {
    pub(crate) vendor: Vendor,
    pub(crate) account_id: &'a str,
    pub(crate) client_id: &'a str,
    /// Whether a consent given before is enough.
    pub(crate) remembers: bool,
}

/// How far the person is.
pub(crate) enum Gate {
    /// The browser has to see this first.
    Page(Answer),
    /// This user agrees.
    Allowed(String),
    Denied,
}

/// The cookie of a browser in which the user is signed in, as `name=value`.
pub(crate) fn cookie(user: &User) -> String {
    format!("{}={}", cookie_name(user.vendor), user.session)
}

fn cookie_name(vendor: Vendor) -> String {
    format!("sandbox-{}", vendor.platform())
}

/// Leads a person through log-in and consent; the pages post to the URL at which they are shown.
pub(crate) fn gate(world: &World, inbound: &Inbound, wish: &Wish<'_>) -> Gate {
    let posted = match inbound.method {
        Method::GET => None,
        Method::POST => Some(inbound.form().unwrap_or_default()),
        _ => return Gate::Page(Answer::empty(StatusCode::METHOD_NOT_ALLOWED)),
    };
    let field =
        |name: &str| posted.as_ref()?.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    world.change(|s| {
        let people = &mut s.people;
        if let Some(chosen) = field("user") {
            return Gate::Page(log_in(people, inbound, wish, chosen));
        }
        let Some(user) = signed_in(people, inbound, wish) else {
            return Gate::Page(log_in_page(people, inbound, wish));
        };
        if posted.is_none() {
            let known = people.user(&user).and_then(|user| user.consented_to.as_deref());
            if wish.remembers && known == Some(wish.client_id) {
                return Gate::Allowed(user);
            }
            return Gate::Page(consent_page(people, inbound, wish, &user));
        }
        let token = field("form_token").unwrap_or_default();
        if !people.close_form(token, &user, &inbound.target) {
            let why = "This form was not made here, or it was used already. Start again in the application.";
            return Gate::Page(refusal(StatusCode::FORBIDDEN, why));
        }
        people.decide(&user, wish.client_id, field("decision") == Some("allow"))
    })
}

fn log_in(people: &People, inbound: &Inbound, wish: &Wish<'_>, chosen: &str) -> Answer {
    let Some(user) = people.of_account(wish.account_id).find(|user| user.id == chosen) else {
        return refusal(StatusCode::BAD_REQUEST, "There is no such user.");
    };
    // The cookie stays below the platform's path: ports do not keep cookies apart.
    let place = inbound.path.first().map_or("", String::as_str);
    Answer::empty(StatusCode::SEE_OTHER)
        .with_header("location", inbound.target.as_str())
        .with_header("set-cookie", format!("{}; Path=/{place}; HttpOnly; SameSite=Lax", cookie(user)))
        .with_header("cache-control", "no-store")
}

/// The user of this account whom the browser's cookie names.
fn signed_in(people: &People, inbound: &Inbound, wish: &Wish<'_>) -> Option<String> {
    let cookies = inbound.header("cookie")?;
    let wanted = cookie_name(wish.vendor);
    let mut sessions = cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, session) = sessions.find(|(name, _)| *name == wanted)?;
    let found = people.of_account(wish.account_id).find(|user| user.session == session);
    found.map(|user| user.id.clone())
}

fn log_in_page(people: &People, inbound: &Inbound, wish: &Wish<'_>) -> Answer {
    let action = escape(&inbound.target);
    let mut body = String::from("<h1>Log in</h1>\n");
    for user in people.of_account(wish.account_id) {
        body.push_str(&format!(
            "<form method=\"post\" action=\"{action}\"><input type=\"hidden\" name=\"user\" value=\"{}\">\
             <button type=\"submit\">Continue as {}</button></form>\n",
            escape(&user.id),
            escape(&user.email),
        ));
    }
    page(StatusCode::OK, "Log in", &body)
}

fn consent_page(people: &mut People, inbound: &Inbound, wish: &Wish<'_>, id: &str) -> Answer {
    let token = people.open_form(id, &inbound.target);
    let email = people.user(id).map_or("", |user| user.email.as_str());
    let body = format!(
        "<h1>{app} asks for access</h1>\n<p>{app} wants to act for {email}.</p>\n\
         <form method=\"post\" action=\"{action}\"><input type=\"hidden\" name=\"form_token\" value=\"{token}\">\
         <button type=\"submit\" name=\"decision\" value=\"allow\">Allow</button>\
         <button type=\"submit\" name=\"decision\" value=\"deny\">Deny</button></form>\n",
        app = escape(wish.client_id),
        email = escape(email),
        action = escape(&inbound.target),
    );
    page(StatusCode::OK, "Allow access", &body)
}

/// Why a person cannot go on; the browser is never sent anywhere.
pub(crate) fn refusal(status: StatusCode, why: &str) -> Answer {
    page(
        status,
        "Access cannot be given",
        &format!("<h1>Access cannot be given</h1>\n<p>{}</p>\n", escape(why)),
    )
}

fn page(status: StatusCode, title: &str, body: &str) -> Answer {
    let text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body>\n{body}</body></html>\n"
    );
    Answer::page(status, HTML, text)
        .with_header("cache-control", "no-store")
        .with_header("content-security-policy", "default-src 'none'; frame-ancestors 'none'")
}

fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, letter| {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
        escaped
    })
}

impl People {
    /// The token of a consent page for this request.
    fn open_form(&mut self, user: &str, target: &str) -> String {
        let token = self.draw().hex(32);
        if self.forms.len() >= super::FORMS_MAX {
            self.forms.pop_front();
        }
        self.forms.push_back(Form { token: token.clone(), user: user.to_owned(), target: target.to_owned() });
        if let Some(user) = self.user_mut(user) {
            user.consents_shown += 1;
        }
        token
    }

    /// `false` unless the page with this token was shown to this user for this request.
    fn close_form(&mut self, token: &str, user: &str, target: &str) -> bool {
        let fits = |form: &Form| form.token == token && form.user == user && form.target == target;
        let found = self.forms.iter().position(fits);
        found.and_then(|position| self.forms.remove(position)).is_some()
    }

    fn decide(&mut self, id: &str, client_id: &str, allowed: bool) -> Gate {
        let Some(user) = self.user_mut(id) else { return Gate::Denied };
        if !allowed {
            user.consents_denied += 1;
            return Gate::Denied;
        }
        user.consents_allowed += 1;
        user.consented_to = Some(client_id.to_owned());
        Gate::Allowed(id.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_that_is_shown_can_become_markup() {
        assert_eq!(escape("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
    }
}
