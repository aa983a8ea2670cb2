//! The search language of `signature_request/list`, as far as sweeps use it: terms joined by `AND`, groups joined by `OR`.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use crate::ledger::Outcome;
use crate::world::Envelope;

/// A parsed query: any group matches if all of its terms do.
#[derive(Debug, PartialEq)]
pub(super) struct Query {
    groups: Vec<Vec<Term>>,
}

#[derive(Debug, PartialEq)]
enum Term {
    Anything,
    From(String),
    To(String),
    Title(String),
    Metadata(String),
    Complete(bool),
    Declined(bool),
    TestMode(bool),
    Created { from: Option<Timestamp>, to: Option<Timestamp>, inclusive: bool },
}

impl Query {
    /// `None` if a term is not understood.
    pub(super) fn parse(text: &str) -> Option<Query> {
        let groups = text
            .split(" OR ")
            .map(|group| group.split(" AND ").map(|term| Term::parse(term.trim())).collect())
            .collect::<Option<Vec<Vec<Term>>>>()?;
        Some(Query { groups })
    }

    pub(super) fn matches(&self, envelope: &Envelope) -> bool {
        self.groups.iter().any(|group| group.iter().all(|term| term.matches(envelope)))
    }
}

impl Term {
    fn parse(text: &str) -> Option<Term> {
        if text.is_empty() || text == "*" {
            return Some(Term::Anything);
        }
        let Some((field, value)) = text.split_once(':') else {
            return Some(Term::Title(text.to_lowercase()));
        };
        let value = value.trim().trim_matches('"');
        match field {
            "from" => Some(Term::From(value.to_lowercase())),
            "to" => Some(Term::To(value.to_lowercase())),
            "title" | "subject" => Some(Term::Title(value.to_lowercase())),
            "metadata" => Some(Term::Metadata(value.to_owned())),
            "complete" => value.parse().ok().map(Term::Complete),
            "declined" => value.parse().ok().map(Term::Declined),
            "test_mode" => value.parse().ok().map(Term::TestMode),
            "created" => Term::created(value),
            _ => None,
        }
    }

    fn created(value: &str) -> Option<Term> {
        let inclusive = value.starts_with('[');
        let inner = value
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .or_else(|| value.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')))?;
        let (from, to) = inner.split_once(" TO ")?;
        Some(Term::Created { from: point(from.trim(), false)?, to: point(to.trim(), true)?, inclusive })
    }

    fn matches(&self, envelope: &Envelope) -> bool {
        match self {
            Term::Anything => true,
            // Everything in an account was sent from it.
            Term::From(who) => who == "me" || envelope.script.sender.to_lowercase() == *who,
            Term::To(who) => envelope.signers.iter().any(|signer| signer.email.to_lowercase() == *who),
            Term::Title(part) => envelope.script.name.to_lowercase().contains(part.as_str()),
            Term::Metadata(part) => envelope.script.metadata.contains(part.as_str()),
            Term::Complete(wanted) => (envelope.visible_outcome() == Outcome::Completed) == *wanted,
            Term::Declined(wanted) => (envelope.visible_outcome() == Outcome::Declined) == *wanted,
            Term::TestMode(wanted) => envelope.script.test_mode == *wanted,
            Term::Created { from, to, inclusive } => {
                let at = envelope.created_at;
                let after = from.is_none_or(|from| at > from || (*inclusive && at == from));
                after && to.is_none_or(|to| at < to || (*inclusive && at == to))
            }
        }
    }
}

/// A date, with or without a time, as UTC; `Some(None)` for an open end.
fn point(text: &str, is_end: bool) -> Option<Option<Timestamp>> {
    if text == "*" {
        return Some(None);
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(Some(timestamp));
    }
    let moment = match text.parse::<Date>() {
        Ok(date) if text.len() == 10 => date.to_datetime(if is_end { Time::MAX } else { Time::MIN }),
        _ => text.replacen(' ', "T", 1).parse::<DateTime>().ok()?,
    };
    TimeZone::UTC.to_timestamp(moment).ok().map(Some)
}

#[cfg(test)]
mod tests {
    use super::{Query, Term};

    #[test]
    fn the_recommended_sweep_is_understood_and_an_unknown_field_is_not() {
        let query = Query::parse("from:me AND complete:true AND created:[2026-11-01 TO 2026-11-30]").unwrap();
        assert_eq!(query.groups[0].len(), 3);
        assert!(matches!(query.groups[0][2], Term::Created { inclusive: true, .. }));
        assert!(Query::parse("created:{2026-11-01T10:00:00 TO *}").is_some());
        assert!(Query::parse("updated:[2026-11-01 TO 2026-11-30]").is_none());
    }
}
