//! Which draft a callback claims to be about, before anything of it is believed.
//!
//! Drafts that our page sends get callback URLs with their own id in the query, and a secret of that draft in the place of
//! the path secret (see [`draft_secret`](aftersign_core::callback::draft_secret)).

use percent_encoding::percent_decode_str;

use crate::limits::DRAFT_BYTES_MAX;

/// The query parameter that names the draft.
const DRAFT: &str = "draft";

/// The draft that a query names: the first one, whatever the case of the parameter's name. `None` if there is none, or it is
/// empty, too long or no text.
pub(crate) fn claimed_draft(query: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.eq_ignore_ascii_case(DRAFT).then_some(value)
    })?;
    if value.is_empty() || value.len() > DRAFT_BYTES_MAX {
        return None;
    }
    percent_decode_str(value).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_draft_of_a_query_counts_and_nothing_that_is_none() {
        let long = "a".repeat(DRAFT_BYTES_MAX);
        for (query, draft) in [
            ("draft=d-1", Some("d-1")),
            ("a=b&Draft=d%2D1&draft=d-2", Some("d-1")),
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
