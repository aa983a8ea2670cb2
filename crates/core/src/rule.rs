//! Rules: which envelopes go where, under which path, and when they are removed at the platform.

use std::fmt;
use std::time::Duration;

use crate::envelope::{Envelope, EnvelopeStatus};
use crate::ids::{AccountId, DestinationId};
use crate::names::{safe_file_name, safe_key};

/// When an archived envelope is removed at the platform.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DisposePolicy {
    /// Never.
    Never,
    /// As soon as everything is archived and verified.
    AfterTransfer,
    /// So many days after that.
    AfterDays(u32),
    /// When, besides, the platform has extended the seals of what was signed and the extended files are archived too.
    AfterExtension,
}

impl DisposePolicy {
    /// Reads `never`, `after-transfer`, `after-days:N` or `after-extension`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("after-days:").map(str::parse)) {
            ("never", _) => Ok(Self::Never),
            ("after-transfer", _) => Ok(Self::AfterTransfer),
            ("after-extension", _) => Ok(Self::AfterExtension),
            (_, Some(Ok(days))) => Ok(Self::AfterDays(days)),
            _ => Err(format!(
                "`{text}` is none of `never`, `after-transfer`, `after-days:N`, `after-extension`"
            )),
        }
    }

    /// How long after archiving at least; `None` for never.
    pub fn delay(self) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::AfterTransfer | Self::AfterExtension => Some(Duration::ZERO),
            Self::AfterDays(days) => Some(Duration::from_secs(u64::from(days) * 24 * 60 * 60)),
        }
    }
}

impl fmt::Display for DisposePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::AfterTransfer => f.write_str("after-transfer"),
            Self::AfterExtension => f.write_str("after-extension"),
            Self::AfterDays(days) => write!(f, "after-days:{days}"),
        }
    }
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// An account id, or `*` for all.
    pub account: String,
    /// The statuses it takes.
    pub when: Vec<EnvelopeStatus>,
    /// Where the artifacts go; all of them are required.
    pub deliver_to: Vec<DestinationId>,
    /// Under which folder.
    pub path: PathTemplate,
    /// What happens at the platform afterwards; `None`: what is safe at that platform
    /// ([`Platform::default_dispose`](crate::platform::Platform::default_dispose)).
    pub dispose: Option<DisposePolicy>,
}

/// What a rule decided for one envelope; kept with its transfer so that later edits of the rules do not move
/// what is half archived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Where the artifacts go; all of them are required.
    pub deliver_to: Vec<DestinationId>,
    /// The folder, made of safe components joined by `/`.
    pub folder: String,
    /// What happens at the platform afterwards.
    pub dispose: DisposePolicy,
}

/// What the first matching rule says about an envelope; `None` if no rule wants it. `safe` is what happens at the
/// platform where the rule says nothing about it.
pub fn plan(
    rules: &[Rule],
    platform: &str,
    account: &AccountId,
    envelope: &Envelope,
    safe: DisposePolicy,
) -> Option<Plan> {
    let rule = rules.iter().find(|rule| {
        (rule.account == "*" || rule.account == account.as_str()) && rule.when.contains(&envelope.status)
    })?;
    Some(Plan {
        deliver_to: rule.deliver_to.clone(),
        folder: rule.path.folder(platform, account, envelope),
        dispose: rule.dispose.unwrap_or(safe),
    })
}

/// A folder path with placeholders, such as `{platform}/{account}/{completed_at:%Y/%m}/{envelope_id}`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathTemplate {
    source: String,
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Text(String),
    Platform,
    Account,
    EnvelopeId,
    Name,
    Sender,
    Status,
    CompletedAt(String),
}

/// The placeholders, for error messages.
const PLACEHOLDERS: &str =
    "{platform}, {account}, {envelope_id}, {name}, {sender}, {status}, {completed_at:FORMAT}";

impl PathTemplate {
    /// Reads a template. It must be relative, must not climb, and must name `{envelope_id}`: two envelopes of
    /// one name would share a folder.
    pub fn parse(source: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = source;
        while let Some(open) = rest.find('{') {
            push_text(&mut parts, &rest[..open]);
            let close =
                rest[open..].find('}').ok_or_else(|| format!("`{source}` has a `{{` without its `}}`"))?;
            parts.push(placeholder(&rest[open + 1..open + close])?);
            rest = &rest[open + close + 1..];
        }
        if rest.contains('}') {
            return Err(format!("`{source}` has a `}}` without its `{{`"));
        }
        push_text(&mut parts, rest);
        let climbs = source.split('/').any(|component| component == ".." || component == ".");
        if source.starts_with('/') || source.contains('\\') || climbs {
            return Err(format!("`{source}` must be a relative path without `.`, `..` and `\\`"));
        }
        if !parts.contains(&Part::EnvelopeId) {
            return Err(format!(
                "`{source}` must contain {{envelope_id}}: two envelopes would share one folder"
            ));
        }
        Ok(Self { source: source.into(), parts })
    }

    /// The folder for an envelope: every component is safe, whatever the platform's texts contain.
    pub fn folder(&self, platform: &str, account: &AccountId, envelope: &Envelope) -> String {
        let at = envelope.completed_at.or(envelope.created_at);
        let text = |value: &Option<String>| safe_file_name(value.as_deref().unwrap_or("unknown"));
        let mut path = String::new();
        for part in &self.parts {
            match part {
                Part::Text(literal) => path.push_str(literal),
                Part::Platform => path.push_str(&safe_file_name(platform)),
                Part::Account => path.push_str(&safe_key(account.as_str())),
                Part::EnvelopeId => path.push_str(&safe_key(envelope.id.as_str())),
                Part::Name => path.push_str(&text(&envelope.name)),
                Part::Sender => path.push_str(&text(&envelope.sender)),
                Part::Status => path.push_str(envelope.status.as_str()),
                Part::CompletedAt(format) => match at {
                    Some(at) => path.push_str(&at.strftime(format).to_string()),
                    None => path.push_str("undated"),
                },
            }
        }
        let components = path.split('/').filter(|component| !component.is_empty());
        components.map(safe_file_name).collect::<Vec<_>>().join("/")
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Text(text.into()));
    }
}

fn placeholder(text: &str) -> Result<Part, String> {
    let (name, format) = text.split_once(':').map_or((text, None), |(name, format)| (name, Some(format)));
    match (name, format) {
        ("platform", None) => Ok(Part::Platform),
        ("account", None) => Ok(Part::Account),
        ("envelope_id", None) => Ok(Part::EnvelopeId),
        ("name", None) => Ok(Part::Name),
        ("sender", None) => Ok(Part::Sender),
        ("status", None) => Ok(Part::Status),
        ("completed_at", format) => {
            let format = format.unwrap_or("%Y-%m-%d");
            let mut check = String::new();
            let probe = jiff::fmt::strtime::BrokenDownTime::from(
                &jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC),
            );
            probe
                .format(format, &mut check)
                .map_err(|error| format!("`{{{text}}}` is no date format: {error}"))?;
            Ok(Part::CompletedAt(format.into()))
        }
        _ => Err(format!("`{{{text}}}` is none of {PLACEHOLDERS}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::EnvelopeId;

    fn envelope(id: &str, name: &str) -> Envelope {
        Envelope {
            name: Some(name.into()),
            sender: Some("anna@example.com".into()),
            completed_at: Some("2026-11-22T23:30:00Z".parse().unwrap()),
            ..Envelope::new(EnvelopeId::new(id), EnvelopeStatus::Completed, "Completed")
        }
    }

    fn folder(template: &str, id: &str, name: &str) -> String {
        PathTemplate::parse(template).unwrap().folder("p", &AccountId::new("hr"), &envelope(id, name))
    }

    #[test]
    fn a_folder_is_made_of_safe_components_only() {
        assert_eq!(
            folder("{platform}/{account}/{completed_at:%Y/%m}/{envelope_id}", "e1", "x"),
            "p/hr/2026/11/e1"
        );
        assert_eq!(folder("{name}/{envelope_id}", "e1", "../../etc"), "_.._etc/e1");
        let hostile = folder("{envelope_id}", "../../../root", "x");
        assert!(!hostile.contains('/') && !hostile.starts_with('.'), "{hostile}");
        assert_ne!(folder("{envelope_id}", "a/b", "x"), folder("{envelope_id}", "a_b", "x"));
    }

    #[test]
    fn wrong_templates_are_refused_with_the_reason() {
        for (template, reason) in [
            ("/abs/{envelope_id}", "relative"),
            ("a/../{envelope_id}", "relative"),
            ("{name}", "{envelope_id}"),
            ("{nmae}/{envelope_id}", "none of"),
            ("{envelope_id", "without"),
            ("{envelope_id}}", "without"),
            ("{completed_at:%!}/{envelope_id}", "date format"),
        ] {
            let error = PathTemplate::parse(template).unwrap_err();
            assert!(error.contains(reason), "{template}: {error}");
        }
    }

    #[test]
    fn the_first_matching_rule_wins() {
        let rule = |account: &str, dispose| Rule {
            account: account.into(),
            when: vec![EnvelopeStatus::Completed],
            deliver_to: vec![DestinationId::new("archive")],
            path: PathTemplate::parse("{envelope_id}").unwrap(),
            dispose,
        };
        let rules = [rule("hr", Some(DisposePolicy::AfterDays(30))), rule("*", None)];
        let plan = |account: &str, envelope: &Envelope| {
            plan(&rules, "p", &AccountId::new(account), envelope, DisposePolicy::AfterExtension)
        };
        let plan_for = |account: &str| plan(account, &envelope("e", "n"));
        assert_eq!(plan_for("hr").unwrap().dispose, DisposePolicy::AfterDays(30));
        assert_eq!(plan_for("it").unwrap().dispose, DisposePolicy::AfterExtension, "what is safe there");
        let declined = Envelope { status: EnvelopeStatus::Declined, ..envelope("e", "n") };
        assert_eq!(plan("hr", &declined), None);
    }
}
