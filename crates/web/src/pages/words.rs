//! What people read: what happened, what it means for their documents, what to do next.
//!
//! The reader is a sender in the business, who knows the platform and perhaps not us. In every text `{p}` stands for the
//! platform's name and `{x}` for what the page is about.

use aftersign_core::consent::Trouble;
use http::StatusCode;

use super::refused::Refused;

/// The words of one page, and how it is counted and answered.
pub(super) struct Words {
    /// The word under which it is counted.
    pub(super) outcome: &'static str,
    /// Its status.
    pub(super) status: StatusCode,
    /// Its title and heading.
    pub(super) title: &'static str,
    /// Its paragraphs.
    pub(super) text: &'static [&'static str],
    /// What is on the button or link that leads on, if there is one.
    pub(super) next: &'static str,
}

const NO_SUCH_PAGE: Words = Words {
    outcome: "no_such_page",
    status: StatusCode::NOT_FOUND,
    title: "There is no such page",
    text: &[
        "The link is wrong, or what it led to is no longer offered.",
        "Check the link, or ask the people who run Aftersign in your organisation for the right one.",
    ],
    next: "Try again",
};
const BAD_PARAMETERS: Words = Words {
    outcome: "bad_parameters",
    status: StatusCode::BAD_REQUEST,
    title: "This link is not complete",
    text: &[
        "You were sent here by a link that does not say what it must: {x}.",
        "Nothing was sent. Your draft is still among your drafts at {p}.",
        "Please show this page to the people who run Aftersign in your organisation: the link is set up wrongly.",
    ],
    next: "Try again",
};
const UNKNOWN_RETURN: Words = Words {
    outcome: "unknown_return",
    status: StatusCode::FORBIDDEN,
    title: "We cannot tell where this visit began",
    text: &[
        "You come back from {p}, but it took too long, it began in another browser, or this way back was used already.",
        "This visit changed nothing.",
        "If you were about to send a draft, look among your documents at {p}, and press NEXT there again if it is still a \
         draft.",
        "Else begin again here, and stay in one browser until you are done.",
    ],
    next: "Begin again",
};
const LINK_EXPIRED: Words = Words {
    outcome: "link_expired",
    status: StatusCode::GONE,
    title: "This link no longer works",
    text: &[
        "The links in our e-mails work for a limited time. This one is too old, or a part of it was lost on its way.",
        "Your documents wait for you; nothing is lost. Use the link in our newest e-mail.",
    ],
    next: "Give access without the link",
};
const DECLINED: Words = Words {
    outcome: "declined",
    status: StatusCode::FORBIDDEN,
    title: "You did not give access",
    text: &[
        "You said no at {p}, so nothing was changed.",
        "Without your access we can neither send a draft for you nor file the documents that you sent.",
    ],
    next: "Go back and give access",
};
const CONSENT_FAILED: Words = Words {
    outcome: "consent_failed",
    status: StatusCode::BAD_GATEWAY,
    title: "{p} did not give us access",
    text: &[
        "Nothing was changed. {p} gives this reason:",
        "Try again. If it stays so, show this page to the people who run Aftersign in your organisation.",
    ],
    next: "Try again",
};
const SOMEBODY_ELSE: Words = Words {
    outcome: "somebody_else",
    status: StatusCode::FORBIDDEN,
    title: "You are signed in as somebody else",
    text: &[
        "By what {p} says, this browser belongs to another user than the one whom this page is about.",
        "Nothing was sent and nothing was saved.",
        "Sign out at {p}, sign in as the right user, and try again.",
    ],
    next: "Try again",
};
const DRAFT_NOT_VISIBLE: Words = Words {
    outcome: "draft_not_visible",
    status: StatusCode::NOT_FOUND,
    title: "We do not find this draft",
    text: &[
        "{p} shows you no such draft: it was sent already, was deleted, or belongs to somebody else.",
        "This visit sent nothing. Look among your documents at {p}.",
    ],
    next: "Look again",
};
const SEND_REFUSED: Words = Words {
    outcome: "send_refused",
    status: StatusCode::CONFLICT,
    title: "{p} did not send the draft",
    text: &[
        "It was not sent, and is still among your drafts. {p} gives this reason:",
        "Open the draft at {p}, mend what it says, and send it again.",
    ],
    next: "Try to send it again",
};
const SEND_UNCLEAR: Words = Words {
    outcome: "send_unclear",
    status: StatusCode::BAD_GATEWAY,
    title: "We do not know yet whether the draft was sent",
    text: &[
        "We asked {p} to send it and got no clear answer. We are looking for it.",
        "Please do not send it once more before you have looked among your documents at {p}.",
    ],
    next: "Look again",
};
const KEY_REFUSED: Words = Words {
    outcome: "key_refused",
    status: StatusCode::FORBIDDEN,
    title: "{p} does not accept this key",
    text: &[
        "The key was not saved. Perhaps a part of it is missing, or it was withdrawn.",
        "Copy it at {p} once more, the whole of it.",
    ],
    next: "Type it in again",
};
const NOT_WELCOME: Words = Words {
    outcome: "not_welcome",
    status: StatusCode::FORBIDDEN,
    title: "This account does not take your access",
    text: &[
        "It takes access only from certain people, and from one user of {p} for each address. Nothing was saved.",
        "If you should be one of them, ask the people who run Aftersign in your organisation.",
    ],
    next: "Try again",
};
const PLATFORM_SILENT: Words = Words {
    outcome: "platform_silent",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "{p} does not answer",
    text: &["Nothing was done, and nothing is lost.", "Try again in a few minutes."],
    next: "Try again",
};
const OUR_FAULT: Words = Words {
    outcome: "our_fault",
    status: StatusCode::INTERNAL_SERVER_ERROR,
    title: "Something is wrong on our side",
    text: &[
        "We could not finish what you asked for.",
        "The people who run Aftersign in your organisation find the reason in its log. Tell them when it happened.",
    ],
    next: "Try again",
};

/// The words of a trouble.
pub(super) fn of_trouble(trouble: &Trouble) -> &'static Words {
    match trouble {
        Trouble::NoSuchPage => &NO_SUCH_PAGE,
        Trouble::BadParameters(_) => &BAD_PARAMETERS,
        Trouble::UnknownReturn => &UNKNOWN_RETURN,
        Trouble::LinkExpired => &LINK_EXPIRED,
        Trouble::Declined => &DECLINED,
        Trouble::ConsentFailed(_) => &CONSENT_FAILED,
        Trouble::SomebodyElse => &SOMEBODY_ELSE,
        Trouble::DraftNotVisible => &DRAFT_NOT_VISIBLE,
        Trouble::SendRefused(_) => &SEND_REFUSED,
        Trouble::SendUnclear => &SEND_UNCLEAR,
        Trouble::KeyRefused => &KEY_REFUSED,
        Trouble::NotWelcome => &NOT_WELCOME,
        Trouble::Busy => &BUSY,
        Trouble::PlatformSilent => &PLATFORM_SILENT,
        Trouble::OurFault => &OUR_FAULT,
    }
}

/// What the platform says about a trouble, in its own words.
pub(super) fn quote(trouble: &Trouble) -> Option<&str> {
    match trouble {
        Trouble::ConsentFailed(reason) | Trouble::SendRefused(reason) => Some(reason),
        _ => None,
    }
}

pub(super) const OFFER: Words = Words {
    outcome: "offer",
    status: StatusCode::OK,
    title: "Connect your account at {p}",
    text: &[
        "When everybody has signed a document that you sent, Aftersign files it, with its evidence, in the archive of your \
         organisation.",
        "For this it needs your access at {p}. You can withdraw it there at any time.",
    ],
    next: "Give access at {p}",
};
pub(super) const CONNECTED: Words = Words {
    outcome: "connected",
    status: StatusCode::OK,
    title: "You are connected",
    text: &[
        "Aftersign now has the access of {x} at {p}, and keeps it sealed.",
        "Documents that waited for it go on by themselves. You can close this window.",
    ],
    next: "",
};
pub(super) const SENT: Words = Words {
    outcome: "sent",
    status: StatusCode::OK,
    title: "Your draft was sent",
    text: &[
        "It went out at {p} as {x}.",
        "Once it is signed, it is filed by itself. You can close this window.",
    ],
    next: "",
};
/// Where nothing is known of what became of the draft.
pub(super) const SENT_UNSEEN: Words = Words {
    outcome: "sent_unseen",
    status: StatusCode::OK,
    title: "This is no draft any more",
    text: &[
        "By what {p} says, it seems to have been sent. We do not see yet what became of it.",
        "Look among your documents at {p}. Once it is signed, it is filed by itself.",
    ],
    next: "",
};
pub(super) const SENDING: Words = Words {
    outcome: "sending",
    status: StatusCode::OK,
    title: "Your draft is being sent",
    text: &[
        "Another visit of yours is sending it at this moment, and it is sent once only.",
        "This takes a few seconds. If this page stays as it is, look among your documents at {p}.",
    ],
    next: "Look now",
};
pub(super) const SEND_AGAIN: Words = Words {
    outcome: "send_again",
    status: StatusCode::OK,
    title: "Please look before we send this draft",
    text: &[
        "We asked {p} earlier to send {x} and got no clear answer. The draft is still there, so it was probably not sent.",
        "Look among your documents at {p} first. If it is there, close this window.",
        "If it is not there, send it now.",
    ],
    next: "It is not there: send it",
};
/// After a form, a page leads out instead of a redirect.
pub(super) const LEADING_OUT: Words = Words {
    outcome: "leading_out",
    status: StatusCode::OK,
    title: "On to {p}",
    text: &["You go on at {p}. If nothing happens, use the link."],
    next: "Go on at {p}",
};

const CROSS_SITE: Words = Words {
    outcome: "cross_site",
    status: StatusCode::FORBIDDEN,
    title: "This did not come from our page",
    text: &[
        "Another website, or a very old browser, sent this. To protect you, nothing was done.",
        "Open the page here and use its button.",
    ],
    next: "Open the page",
};
const NO_COOKIE: Words = Words {
    outcome: "no_cookie",
    status: StatusCode::FORBIDDEN,
    title: "Your browser does not know this page any more",
    text: &[
        "The page was open for more than a day, or your browser keeps no cookies. Nothing was done.",
        "Allow cookies for this site if they are blocked, and open the page again.",
    ],
    next: "Open the page again",
};
const TOO_LARGE: Words = Words {
    outcome: "too_large",
    status: StatusCode::PAYLOAD_TOO_LARGE,
    title: "That was too much",
    text: &[
        "What you typed in is far longer than any key. Nothing was saved.",
        "Copy only the key and try again.",
    ],
    next: "Open the page again",
};
const NO_FORM: Words = Words {
    outcome: "no_form",
    status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
    title: "This is not what our page sends",
    text: &["Only the forms of our own pages are read here. Nothing was done."],
    next: "Open the page",
};
const BROKEN_FORM: Words = Words {
    outcome: "broken_form",
    status: StatusCode::BAD_REQUEST,
    title: "We could not read this",
    text: &["What your browser sent is broken. Nothing was done.", "Open the page again and try once more."],
    next: "Open the page again",
};
const TOO_SLOW: Words = Words {
    outcome: "too_slow",
    status: StatusCode::REQUEST_TIMEOUT,
    title: "This took too long",
    text: &[
        "Your browser did not finish what it sent. Nothing was done.",
        "Open the page again and try once more.",
    ],
    next: "Open the page again",
};
const BUSY: Words = Words {
    outcome: "busy",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "Too many visitors at once",
    text: &["We could not take care of you just now. Nothing was done.", "Try again in a minute."],
    next: "Try again",
};
const DESK_SLOW: Words = Words {
    outcome: "desk_slow",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "This takes longer than usual",
    text: &[
        "{p} has not answered us yet. What you asked for goes on without this page, and is done once only.",
        "Wait a minute and look again.",
    ],
    next: "Look again",
};
const RETURN_SLOW: Words = Words {
    outcome: "desk_slow",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: DESK_SLOW.title,
    text: &[
        "{p} has not answered us yet. What you asked for goes on without this page, and is done once only.",
        "Wait a minute, then look among your documents at {p}. You need not give access again.",
    ],
    next: "",
};

/// The words of what we did not take.
pub(super) fn of_refused(refused: Refused) -> &'static Words {
    match refused {
        Refused::CrossSite => &CROSS_SITE,
        Refused::NoCookie => &NO_COOKIE,
        Refused::TooLarge => &TOO_LARGE,
        Refused::NoForm => &NO_FORM,
        Refused::BrokenForm => &BROKEN_FORM,
        Refused::TooSlow => &TOO_SLOW,
        Refused::Busy => &BUSY,
        Refused::DeskSlow => &DESK_SLOW,
        Refused::ReturnSlow => &RETURN_SLOW,
    }
}
