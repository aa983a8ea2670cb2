//! Which draft a callback claims to be about, before anything of it is believed.
//!
//! Drafts that our page sends get callback URLs with their own id in the query, and a secret of that draft in the place of
//! the path secret (see [`draft_secret`](aftersign_core::callback::draft_secret)).

use percent_encoding::percent_decode_str;

use crate::limits::DRAFT_BYTES_MAX;

/// The query parameter that names the draft.
const DRAFT: &str = "draft";

/// The draft that a query begins with, which is where our marks have it and where adapters read it first; one that follows
/// anything else could differ from what they read. `None` if there is none, or it is empty, too long or no text.
pub(crate) fn claimed_draft(query: &str) -> Option<String> {
    let (name, value) = query.split('&').next()?.split_once('=')?;
    if name != DRAFT {
        return None;
    }
    if value.is_empty() || value.len() > DRAFT_BYTES_MAX {
        return None;
    }
    percent_decode_str(value).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_must_begin_with_its_draft() {
        let long = "a".repeat(DRAFT_BYTES_MAX);
        for (query, draft) in [
            ("draft=d-1", Some("d-1")),
            ("draft=d%2D1&draft=d-2", Some("d-1")),
            ("a=b&draft=d-1", None),
            ("draftId=d-2&draft=d-1", None),
            ("amp;draft=d-2&draft=d-1", None),
            ("Draft=d-1", None),
            (&format!("draft={long}"), Some(long.as_str())),
            (&format!("draft={long}a"), None),
            ("", None),
            ("draft", None),
            ("draft=&draft=d-1", None),
            ("draft=%ff", None),
            ("draftId=d-1&xdraft=d-1", None),
        ] {
            assert_eq!(claimed_draft(query).as_deref(), draft, "{query}");
        }
    }
}
