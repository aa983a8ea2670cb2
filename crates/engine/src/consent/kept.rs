//! What is sealed while a browser is away, and what it carries sealed: texts that only we write and only we read.

use aftersign_core::Timestamp;
use aftersign_core::consent::Errand;
use aftersign_core::ids::{AccountId, SenderId};
use aftersign_core::secret::Secret;

/// Stands between two fields; what browsers bring is refused if it holds control characters.
const BORDER: char = '\u{1f}';

/// The fields in one text, whose room does not grow: what was copied on the way would not be zeroed.
fn joined(fields: &[&str]) -> Secret {
    let room = fields.iter().map(|field| field.len() + BORDER.len_utf8()).sum();
    let mut text = String::with_capacity(room);
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            text.push(BORDER);
        }
        text.push_str(field);
    }
    Secret::new(text)
}

/// What is remembered of a consent until the browser comes back.
#[derive(Debug)]
pub(super) struct Kept {
    /// Why it came.
    pub(super) errand: Errand,
    /// What the exchange needs besides.
    pub(super) keep: Secret,
}

impl Kept {
    pub(super) fn to_secret(&self) -> Secret {
        let keep = self.keep.expose();
        match &self.errand {
            Errand::Connect => joined(&["connect", keep]),
            Errand::Renew(link) => joined(&["renew", link, keep]),
            Errand::BeforeSend { draft, user, organization, confirmed } => {
                let word = if *confirmed { "send" } else { "before" };
                joined(&[word, draft, user, organization, keep])
            }
        }
    }

    pub(super) fn read(text: &Secret) -> Option<Self> {
        let fields: Vec<&str> = text.expose().split(BORDER).collect();
        let (errand, keep) = match *fields.as_slice() {
            ["connect", keep] => (Errand::Connect, keep),
            ["renew", link, keep] => (Errand::Renew(link.into()), keep),
            [word @ ("before" | "send"), draft, user, organization, keep] => {
                let errand = Errand::BeforeSend {
                    draft: draft.into(),
                    user: user.into(),
                    organization: organization.into(),
                    confirmed: word == "send",
                };
                (errand, keep)
            }
            _ => return None,
        };
        Some(Self { errand, keep: Secret::new(keep) })
    }
}

/// Who somebody is, until when: the content of a session and of an e-mail's link.
#[derive(Debug)]
pub(super) struct Pass {
    /// At which account.
    pub(super) account: AccountId,
    /// Who.
    pub(super) sender: SenderId,
    /// Their id at the platform, if it is known.
    pub(super) user_id: Option<String>,
    /// Until when.
    pub(super) expires_at: Timestamp,
}

impl Pass {
    pub(super) fn to_secret(&self) -> Secret {
        let expires_at = self.expires_at.as_second().to_string();
        let user_id = self.user_id.as_deref().unwrap_or_default();
        joined(&[self.account.as_str(), self.sender.as_str(), user_id, &expires_at])
    }

    pub(super) fn read(text: &Secret) -> Option<Self> {
        let fields: Vec<&str> = text.expose().split(BORDER).collect();
        let [account, sender, user_id, expires_at] = *fields.as_slice() else { return None };
        Some(Self {
            account: AccountId::new(account),
            sender: SenderId::new(sender)?,
            user_id: (!user_id.is_empty()).then(|| user_id.into()),
            expires_at: Timestamp::from_second(expires_at.parse().ok()?).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_as_it_was() {
        let errands = [
            Errand::Connect,
            Errand::Renew("link".into()),
            Errand::BeforeSend {
                draft: "d".into(),
                user: "u".into(),
                organization: String::new(),
                confirmed: true,
            },
        ];
        for errand in errands {
            let kept = Kept { errand: errand.clone(), keep: Secret::new("verifier") };
            let read = Kept::read(&kept.to_secret()).unwrap();
            assert_eq!((read.errand, read.keep.expose()), (errand, "verifier"));
        }
        assert!(Kept::read(&Secret::new("connect")).is_none());
    }

    #[test]
    fn a_pass_says_who_and_until_when() {
        let pass = Pass {
            account: AccountId::new("hr"),
            sender: SenderId::new("anna@example.com").unwrap(),
            user_id: Some("u".into()),
            expires_at: Timestamp::from_second(7).unwrap(),
        };
        let read = Pass::read(&pass.to_secret()).unwrap();
        assert_eq!((read.account, read.sender, read.user_id), (pass.account, pass.sender, pass.user_id));
        assert_eq!(read.expires_at, pass.expires_at);
        assert!(Pass::read(&Secret::new("hr\u{1f}\u{1f}u\u{1f}7")).is_none());
    }
}
