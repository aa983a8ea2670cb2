//! The filters and the order of `documents/list`: JSON texts in the query. All filters must match.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::Value;

use super::json::{folder_id, tags, user_id};
use super::paper::Paper;
use crate::world::{Account, World};

/// The statuses that may be asked for.
const STATUSES: [&str; 8] = [
    "preparation",
    "pending",
    "closed",
    "canceled",
    "timedout",
    "rejected",
    "document_error",
    "awaiting_start",
];

/// One condition.
#[derive(Debug, PartialEq)]
pub(super) enum Filter {
    Status(Vec<String>),
    /// Both ends are included.
    Mtime {
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    },
    Tag {
        name: String,
        value: String,
    },
    Author(String),
    UserCanSign,
    Text(String),
    Folder(String),
    InTrash(bool),
    OfFlow(bool),
    /// Matches all documents, or none: there are no templates and no pads here, and everything is the user's own.
    Always(bool),
}

impl Filter {
    /// `None` if it is malformed or not known.
    pub(super) fn parse_all(text: &str) -> Option<Vec<Filter>> {
        if text.is_empty() {
            return Some(Vec::new());
        }
        let all: Vec<Value> = serde_json::from_str(text).ok()?;
        all.iter().map(Filter::parse).collect()
    }

    fn parse(filter: &Value) -> Option<Filter> {
        let text = |name: &str| filter[name].as_str().map(str::to_owned);
        let time = |name: &str| match &filter[name] {
            Value::Null => Some(None),
            value => value.as_str()?.parse::<Timestamp>().ok().map(Some),
        };
        Some(match filter["filter_by"].as_str()? {
            "status" => {
                let wanted = filter["statuses"].as_array()?.iter();
                let wanted = wanted.map(|status| status.as_str().filter(|status| STATUSES.contains(status)));
                Filter::Status(wanted.map(|status| status.map(str::to_owned)).collect::<Option<_>>()?)
            }
            "mtime" => Filter::Mtime { from: time("start_time")?, to: time("end_time")? },
            "tag" => Filter::Tag { name: text("name")?, value: text("value")? },
            "author" => Filter::Author(text("user_id")?),
            "user_can_sign" => text("user_id").map(|_| Filter::UserCanSign)?,
            "text" => Filter::Text(text("text")?.to_lowercase()),
            "folder_id" => Filter::Folder(text("folder_id")?),
            "is_in_trash" => Filter::InTrash(true),
            "is_not_in_trash" => Filter::InTrash(false),
            "is_part_of_a_flow" => Filter::OfFlow(true),
            "is_not_part_of_a_flow" => Filter::OfFlow(false),
            "is_author" | "is_not_template" => Filter::Always(true),
            "is_template" | "is_signable_on_pad" => Filter::Always(false),
            _ => return None,
        })
    }

    pub(super) fn matches(&self, world: &World, account: &Account, paper: &Paper<'_>) -> bool {
        match self {
            Filter::Status(statuses) => statuses.iter().any(|status| status == paper.status()),
            Filter::Mtime { from, to } => {
                let at = paper.stamp().mtime;
                from.is_none_or(|from| at >= from) && to.is_none_or(|to| at <= to)
            }
            Filter::Tag { name, value } => tags(&paper.envelope.script.metadata)
                .iter()
                .any(|tag| tag["name"] == name.as_str() && tag["value"] == value.as_str()),
            Filter::Author(id) => *id == user_id(world, account, paper.envelope),
            // The signers here have no users, and the author only looks on.
            Filter::UserCanSign => false,
            Filter::Text(part) => {
                let signers = paper.envelope.signers.iter();
                let mut texts = signers.flat_map(|signer| [&signer.name, &signer.email]);
                paper.title().to_lowercase().contains(part)
                    || texts.any(|text| text.to_lowercase().contains(part))
            }
            Filter::Folder(id) => *id == folder_id(world, account),
            Filter::InTrash(wanted) => paper.envelope.scrive.trashed == *wanted,
            Filter::OfFlow(wanted) => paper.is_of_flow() == *wanted,
            Filter::Always(matches) => *matches,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Title,
    Status,
    Mtime,
    Author,
}

/// The order of a list.
#[derive(Debug, PartialEq)]
pub(super) struct Sorting {
    keys: Vec<(Key, bool)>,
}

impl Sorting {
    /// `None` if it is malformed. Without any, the newest come first.
    pub(super) fn parse(text: &str) -> Option<Sorting> {
        let all: Vec<Value> = if text.is_empty() { Vec::new() } else { serde_json::from_str(text).ok()? };
        if all.is_empty() {
            return Some(Sorting { keys: vec![(Key::Mtime, false)] });
        }
        let key = |value: &Value| {
            let key = match value["sort_by"].as_str()? {
                "title" => Key::Title,
                "status" => Key::Status,
                "mtime" => Key::Mtime,
                "author" => Key::Author,
                _ => return None,
            };
            match &value["order"] {
                Value::Null => Some((key, true)),
                order => match order.as_str()? {
                    "ascending" => Some((key, true)),
                    "descending" => Some((key, false)),
                    _ => None,
                },
            }
        };
        all.iter().map(key).collect::<Option<_>>().map(|keys| Sorting { keys })
    }

    pub(super) fn sort(&self, papers: &mut [Paper<'_>]) {
        papers.sort_by(|a, b| {
            self.keys.iter().fold(Ordering::Equal, |order, (key, ascending)| {
                order.then_with(|| {
                    let order = match key {
                        Key::Title => a.title().cmp(b.title()),
                        Key::Status => a.status().cmp(b.status()),
                        Key::Mtime => a.stamp().mtime.cmp(&b.stamp().mtime),
                        Key::Author => a.envelope.script.sender.cmp(&b.envelope.script.sender),
                    };
                    if *ascending { order } else { order.reverse() }
                })
            })
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Filter, Key, Sorting};

    #[test]
    fn the_recommended_sweep_is_understood_and_what_is_unknown_is_not() {
        let sweep = r#"[{"filter_by":"mtime","start_time":"2026-11-01T10:00:00.5Z"},{"filter_by":"is_author"},
            {"filter_by":"is_not_template"},{"filter_by":"is_not_in_trash"}]"#;
        let filters = Filter::parse_all(sweep).unwrap();
        assert_eq!(filters[1..], [Filter::Always(true), Filter::Always(true), Filter::InTrash(false)]);
        assert!(matches!(filters[0], Filter::Mtime { from: Some(_), to: None }));
        for broken in [
            r#"{"filter_by":"is_author"}"#,
            r#"[{"filter_by":"colour"}]"#,
            r#"[{"filter_by":"mtime","start_time":"yesterday"}]"#,
            r#"[{"filter_by":"status","statuses":["done"]}]"#,
            "[1]",
            "[",
        ] {
            assert_eq!(Filter::parse_all(broken), None, "{broken}");
        }
    }

    #[test]
    fn the_order_is_ascending_if_given_and_the_newest_first_if_not() {
        let keys = |text: &str| Sorting::parse(text).map(|sorting| sorting.keys);
        assert_eq!(keys(""), Some(vec![(Key::Mtime, false)]));
        assert_eq!(keys(r#"[{"sort_by":"mtime"}]"#), Some(vec![(Key::Mtime, true)]));
        let two = r#"[{"sort_by":"status","order":"descending"},{"sort_by":"title","order":"ascending"}]"#;
        assert_eq!(keys(two), Some(vec![(Key::Status, false), (Key::Title, true)]));
        assert_eq!(keys(r#"[{"sort_by":"size"}]"#), None);
        assert_eq!(keys(r#"[{"sort_by":"mtime","order":"up"}]"#), None);
    }
}
