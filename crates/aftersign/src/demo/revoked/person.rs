//! The senders, and how they find their way through the pages that their browser shows.

use std::time::Duration;

use aftersign_sandbox::Sandbox;
use anyhow::{Context, bail};
use reqwest::Url;

use super::browser::{Browser, Page};
use super::html;
use super::secrets::Secrets;

/// Pages on one way: with the worst platform each may have to be opened a few times.
const PAGES_MAX: usize = 60;
/// How long a person looks at a page that says "try again", in real time: less than anybody would.
const LOOK: Duration = Duration::from_millis(200);

/// Somebody who sends from the account.
pub(super) struct Sender {
    /// The name by which the story calls them.
    pub(super) name: &'static str,
    /// The platform's id.
    pub(super) id: String,
    pub(super) email: String,
    pub(super) browser: Browser,
    /// Drafts at the platform, in the order in which they are sent.
    pub(super) drafts: Vec<String>,
}

/// Where a way through pages ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// Back at the platform, in the inbox.
    Inbox,
    /// At our page that says that the draft was sent.
    Sent,
    /// The person saw at the platform that the draft was sent, and closed the window.
    Closed,
    /// At our page that says that the access was taken.
    Connected,
}

/// What to do about a page.
enum Move {
    Arrived(End),
    Press(html::Form, usize),
    Follow(String),
    /// The page leads nowhere: once more from the beginning.
    Begin,
}

impl Sender {
    /// A sender whose browser knows nobody yet.
    pub(super) fn new(
        name: &'static str,
        id: String,
        email: String,
        inbox: Url,
        secrets: Secrets,
    ) -> anyhow::Result<Self> {
        Ok(Self { name, id, email, browser: Browser::new(inbox, secrets)?, drafts: Vec::new() })
    }

    /// Opens an address and does what each page asks for, until there is nothing more to do. `draft` is what it is about.
    ///
    /// # Errors
    /// If a page leaves no way on, or the way does not end.
    pub(super) async fn walk(
        &mut self,
        sandbox: &Sandbox,
        url: &str,
        draft: Option<&str>,
    ) -> anyhow::Result<End> {
        let mut page = self.browser.open(url).await.with_context(|| format!("{} cannot go on", self.name))?;
        for _ in 0..PAGES_MAX {
            let next = match self.decide(sandbox, &page, draft)? {
                Move::Arrived(end) => return Ok(end),
                Move::Press(form, button) => {
                    let button = form.buttons.get(button).context("a button is gone")?;
                    self.browser.press(&page, &form, button).await
                }
                Move::Follow(link) => {
                    tokio::time::sleep(LOOK).await;
                    self.browser.follow(&page, &link).await
                }
                Move::Begin => {
                    tokio::time::sleep(LOOK).await;
                    self.browser.open(url).await
                }
            };
            page = next.with_context(|| format!("{} cannot go on", self.name))?;
        }
        bail!("{} is stuck at the page “{}”", self.name, html::heading(&page.body))
    }

    fn decide(&self, sandbox: &Sandbox, page: &Page, draft: Option<&str>) -> anyhow::Result<Move> {
        if page.is_home {
            return Ok(Move::Arrived(End::Inbox));
        }
        let heading = html::heading(&page.body);
        let forms = html::forms(&page.body);
        // What somebody does who is told to look among their documents first.
        let is_sent = || {
            let ledger = sandbox.ledger();
            draft.and_then(|draft| ledger.draft(draft)).is_some_and(|record| record.sends_done > 0)
        };
        let press = |wanted: &dyn Fn(&html::Form, &html::Button) -> bool| {
            let found = forms.iter().find_map(|form| {
                let button = form.buttons.iter().position(|button| wanted(form, button))?;
                Some(Move::Press(form.clone(), button))
            });
            found.with_context(|| format!("{} does not find the button on the page “{heading}”", self.name))
        };
        match heading.as_str() {
            "You are connected" => Ok(Move::Arrived(End::Connected)),
            "Your draft was sent" => Ok(Move::Arrived(End::Sent)),
            "Log in" => press(&|form, _| form.fields.iter().any(|(_, value)| *value == self.id)),
            text if text.ends_with(" asks for access") => press(&|_, button| button.label == "Allow"),
            _ => match (html::link(&page.body), forms.is_empty()) {
                (Some(link), _) => Ok(Move::Follow(link)),
                // Before anything is sent once more, a person looks at the platform.
                _ if is_sent() => Ok(Move::Arrived(End::Closed)),
                (None, false) => press(&|_, _| true),
                (None, true) => Ok(Move::Begin),
            },
        }
    }
}
