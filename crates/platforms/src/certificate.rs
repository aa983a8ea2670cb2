//! What each adapter does, with what confidence, and which checks it passed: the source of `docs/platforms.md`.
//!
//! The document is made of the adapters' own values, so that it cannot say anything else than the code does. A test
//! compares it with the file. The conformance suite runs the checks by the same list, which is why every line can say
//! "passed": where one fails, the build does.

use std::fmt::{self, Write};

use aftersign_core::envelope::{Envelope, EnvelopeStatus, Extension};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{Capabilities, CredentialShape, OptionSpec, Platform};

use crate::{dropbox_sign, esignanywhere, onespan, scrive};

/// How sure we are of a fact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Confidence {
    /// The vendor's documents, description or software development kits say so.
    Stated,
    /// Public integrations rely on it.
    SeenInIntegrations,
    /// It was seen in a recorded request or answer.
    Observed,
    /// Nobody says so; the choice is ours.
    NotVerified,
}

impl Confidence {
    /// The words in the document.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stated => "stated by the vendor",
            Self::SeenInIntegrations => "seen in public integrations",
            Self::Observed => "observed",
            Self::NotVerified => "not verified",
        }
    }
}

/// One thing that an adapter does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fact {
    /// What it is about, in a few words.
    pub what: &'static str,
    /// How it is done.
    pub how: &'static str,
    /// How sure we are that the platform agrees.
    pub confidence: Confidence,
}

/// What a platform's callbacks bear besides the path secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Vouched {
    /// Nothing.
    Nothing,
    /// A key in the open, which vouches for the sender and not for the body.
    Key,
    /// A signature over the body.
    Signature,
}

/// An adapter with what its trait values do not say.
pub(crate) struct Adapter {
    pub(crate) platform: &'static dyn Platform,
    pub(crate) vouched: Vouched,
    facts: &'static [Fact],
}

/// All of them, in the order of [`all`](crate::all).
pub(crate) static ADAPTERS: [Adapter; 4] = [
    Adapter {
        platform: &dropbox_sign::DropboxSign,
        vouched: Vouched::Signature,
        facts: dropbox_sign::facts::FACTS,
    },
    Adapter {
        platform: &esignanywhere::ESignAnyWhere,
        vouched: Vouched::Nothing,
        facts: esignanywhere::facts::FACTS,
    },
    Adapter { platform: &onespan::OneSpan, vouched: Vouched::Key, facts: onespan::facts::FACTS },
    Adapter { platform: &scrive::Scrive, vouched: Vouched::Nothing, facts: scrive::facts::FACTS },
];

/// Whether an adapter is capable of one thing.
type Capability = fn(&Capabilities) -> bool;

/// What an adapter must have for a check to apply to it.
#[derive(Clone, Copy)]
pub(crate) enum Needs {
    /// Nothing: it applies to all.
    Nothing,
    /// Callbacks that bear at least this.
    Vouched(&'static str, Vouched),
    /// A capability, by its name.
    Capability(&'static str, Capability),
}

/// One check of the certification.
pub(crate) struct Check {
    /// The fact that holds, which is the test's name too.
    pub(crate) name: &'static str,
    /// What is done to find that out.
    about: &'static str,
    needs: Needs,
}

impl Check {
    const fn all(name: &'static str, about: &'static str) -> Self {
        Self { name, about, needs: Needs::Nothing }
    }

    const fn of(name: &'static str, about: &'static str, needs: Needs) -> Self {
        Self { name, about, needs }
    }

    /// What the adapter lacks for it; `None` if it applies.
    pub(crate) fn missing(&self, adapter: &Adapter) -> Option<&'static str> {
        let (name, is_there) = match self.needs {
            Needs::Nothing => return None,
            Needs::Vouched(name, least) => (name, adapter.vouched >= least),
            Needs::Capability(name, of) => (name, of(&adapter.platform.capabilities())),
        };
        (!is_there).then_some(name)
    }
}

/// The certification of an adapter.
pub(crate) const CHECKS: &[Check] = &[
    Check::all(
        "a_genuine_callback_is_let_in_understood_and_answered",
        "A recorded callback is let in, names its envelope, means an end, and gets the platform's exact answer.",
    ),
    Check::of(
        "a_forged_callback_is_refused",
        "Another key, no key and an empty one are refused.",
        Needs::Vouched("callback key", Vouched::Key),
    ),
    Check::of(
        "an_altered_callback_is_refused",
        "A body that is not the one that was signed is refused.",
        Needs::Vouched("signed body", Vouched::Signature),
    ),
    Check::all(
        "a_malformed_callback_is_quarantined_and_answered",
        "What cannot be understood is kept with the reason, never acted on, and answered like any other.",
    ),
    Check::all(
        "an_unknown_kind_is_noted_and_wakes_softly",
        "A kind from the future is answered and makes us ask the platform, no more.",
    ),
    Check::all(
        "a_repeat_is_known_by_its_key",
        "A callback that comes again has the same idempotency key; the callbacks of one story have different ones.",
    ),
    Check::all(
        "order_and_repetition_do_not_matter",
        "The callbacks of one envelope, in any order and number, end in the same status and the same open concerns.",
    ),
    Check::all(
        "an_early_callback_waits_for_the_platform",
        "While the platform's own answer is not final, nothing is final, and asking for files waits.",
    ),
    Check::all(
        "pages_that_are_not_the_apis_are_errors_that_try_again",
        "Pages of proxies, empty, cut and unreadable answers say nothing about an envelope and are tried again.",
    ),
    Check::all(
        "every_reader_outlives_every_answer",
        "Every reader is given every status with bodies of every shape.",
    ),
    Check::all(
        "an_id_never_leaves_its_place_in_a_url",
        "Hostile ids of envelopes, files and senders are refused or encoded.",
    ),
    Check::all(
        "a_hostile_file_name_stays_in_its_folder",
        "File names that climb, lie or are endless become one safe name.",
    ),
    Check::all(
        "a_credential_or_base_url_that_cannot_be_used_asks_a_person",
        "An empty credential and a base URL that is none are said to be so, before anything is sent.",
    ),
    Check::all("a_secret_is_never_shown", "No call shows a credential, a token or a callback's secret."),
    Check::all(
        "every_way_of_being_let_in_works",
        "Every shape of credential opens the API, by itself or by the token that it is exchanged for.",
    ),
    Check::all(
        "options_have_defaults_and_refuse_other_words",
        "An unset option is its default; a word that is no choice is refused with the choices.",
    ),
    Check::all(
        "only_what_is_offered_can_be_called",
        "What a capability promises can be asked for, and what none promises is refused.",
    ),
    Check::all(
        "the_default_disposal_does_no_harm",
        "Without a rule nothing is removed, or only what loses nothing by it.",
    ),
    Check::all(
        "a_large_body_is_judged_quickly",
        "Bodies of 10 MiB, some made to be slow, are judged in time.",
    ),
    Check::all(
        "whatever_comes_in_is_judged_without_a_panic",
        "Any bytes are given to all that reads what strangers send.",
    ),
    Check::of(
        "the_registered_callback_is_read",
        "The registered URL is read back, and its absence is told apart.",
        Needs::Capability("registered_callback", |can| can.registered_callback),
    ),
    Check::of(
        "a_registration_is_read_back",
        "After registering, what the platform kept is told, not what was sent.",
        Needs::Capability("register_callback", |can| can.register_callback),
    ),
    Check::of(
        "an_imported_callback_is_the_one_that_was_not_delivered",
        "A callback out of a person's text has the key and the meaning of the one that the platform sent.",
        Needs::Capability("import_callbacks", |can| can.import_callbacks),
    ),
    Check::of(
        "retention_is_told_for_final_statuses",
        "The platform's own removals are told in days of final statuses, never as zero.",
        Needs::Capability("retention", |can| can.retention),
    ),
    Check::of(
        "senders_are_listed_to_the_end",
        "The account's senders are listed page by page, and a call in one's name differs from the account's own.",
        Needs::Capability("per_sender", |can| can.per_sender),
    ),
    Check::of(
        "an_extension_is_seen_by_its_revision",
        "An extended seal changes the revision and is no longer awaited.",
        Needs::Capability("extends_seals", |can| can.extends_seals),
    ),
    Check::of(
        "a_consent_page_is_told_what_it_must_know_once",
        "State, application and way back are each said once and exactly, and no secret stands in the URL.",
        Needs::Capability("code_grant", |can| can.code_grant),
    ),
    Check::of(
        "a_way_back_is_read_and_never_guessed",
        "Consent and refusal are read; without a state, with doubled parameters, oversize or in any other form it is none.",
        Needs::Capability("code_grant", |can| can.code_grant),
    ),
    Check::of(
        "an_exchange_that_fails_says_whose_turn_it_is",
        "Pages, empty and odd answers are tried again; a consent that lapsed asks its sender, a wrong application a person.",
        Needs::Capability("code_grant", |can| can.code_grant),
    ),
    Check::of(
        "a_grant_opens_the_api_and_shows_no_secret",
        "A consent and a typed key are access, the account's own secrets stay out of it, and nothing prints a secret.",
        Needs::Capability("code_grant", |can| can.code_grant),
    ),
    Check::of(
        "a_grant_is_renewed_where_it_can_be",
        "With a refresh token a grant is renewed and the token kept or replaced; without one nothing is asked.",
        Needs::Capability("code_grant", |can| can.code_grant),
    ),
    Check::of(
        "a_mark_bears_the_drafts_id_and_spares_the_customers_metadata",
        "The draft's id stands in every callback that follows, and metadata that is there stays.",
        Needs::Capability("before_send_redirect", |can| can.before_send_redirect),
    ),
    Check::of(
        "an_archived_record_of_a_marked_draft_holds_no_callback_url",
        "Callback URLs, ours and others', are taken out of the records that are archived; all else stays byte for byte.",
        Needs::Capability("before_send_redirect", |can| can.before_send_redirect),
    ),
    Check::of(
        "a_refusal_of_a_draft_repeats_no_callback_url",
        "A refusal that quotes a callback's URL, whole or in part, is told without the platform's words.",
        Needs::Capability("before_send_redirect", |can| can.before_send_redirect),
    ),
    Check::of(
        "an_unclear_answer_to_sending_never_means_not_sent",
        "Only the platform's own refusal means that a draft was not sent.",
        Needs::Capability("before_send_redirect", |can| can.before_send_redirect),
    ),
    Check::of(
        "a_draft_that_was_perhaps_sent_is_found_again",
        "It is told whether the draft still stands, what it became, or that neither can be seen.",
        Needs::Capability("before_send_redirect", |can| can.before_send_redirect),
    ),
];

/// The document, in Markdown.
pub fn document() -> String {
    let mut text = String::new();
    write(&mut text).expect("a String takes every write");
    text
}

fn write(out: &mut String) -> fmt::Result {
    out.push_str(INTRODUCTION);
    write_capabilities(out)?;
    write_checks(out)?;
    for adapter in &ADAPTERS {
        write_adapter(out, adapter)?;
    }
    Ok(())
}

const INTRODUCTION: &str = "\
# Platforms

This document is generated from the code by `aftersign_platforms::certificate`; renew it with `AFTERSIGN_RENEW=1 \
cargo nextest run -p aftersign-platforms the_document_is_what_the_code_says`.
It says what each adapter can do, which checks it passed, and how sure we are that the platform agrees.
The checks play recorded callbacks and documented answers; nothing is asked of a live account.
More about a platform is in its adapter's `README.md`.

";

/// The capabilities by their names.
const CAPABILITIES: [(&str, Capability); 10] = [
    ("envelopes can be removed", |can| can.dispose),
    ("changes can be listed", |can| can.list_changes),
    ("the registered callback can be read", |can| can.registered_callback),
    ("it can be registered by a call", |can| can.register_callback),
    ("undelivered callbacks can be imported", |can| can.import_callbacks),
    ("seals are extended", |can| can.extends_seals),
    ("the platform's own removals are told", |can| can.retention),
    ("calls in a sender's name", |can| can.per_sender),
    ("senders can consent", |can| can.code_grant),
    ("a page of ours before sending", |can| can.before_send_redirect),
];

fn write_capabilities(out: &mut String) -> fmt::Result {
    out.push_str("## Capabilities\n\n");
    write_row(out, "capability", ADAPTERS.iter().map(|adapter| adapter.platform.name()))?;
    write_rule(out)?;
    for (name, of) in CAPABILITIES {
        let word = |adapter: &Adapter| if of(&adapter.platform.capabilities()) { "yes" } else { "no" };
        write_row(out, name, ADAPTERS.iter().map(word))?;
    }
    out.push('\n');
    Ok(())
}

fn write_checks(out: &mut String) -> fmt::Result {
    out.push_str(
        "## Certification\n\nEvery adapter passes one suite (`crates/platforms/src/conformance.rs`).\n\n",
    );
    for check in CHECKS {
        writeln!(out, "- `{}`: {}", check.name, check.about)?;
    }
    out.push('\n');
    write_row(out, "check", ADAPTERS.iter().map(|adapter| adapter.platform.name()))?;
    write_rule(out)?;
    for check in CHECKS {
        let result = |adapter| match check.missing(adapter) {
            None => "passed".to_owned(),
            Some(missing) => format!("not applicable: {missing}"),
        };
        write_row(out, &format!("`{}`", check.name), ADAPTERS.iter().map(result))?;
    }
    out.push('\n');
    Ok(())
}

fn write_rule(out: &mut String) -> fmt::Result {
    writeln!(out, "|---|{}", "---|".repeat(ADAPTERS.len()))
}

fn write_row(out: &mut String, first: &str, cells: impl Iterator<Item = impl fmt::Display>) -> fmt::Result {
    write!(out, "| {first} |")?;
    for cell in cells {
        write!(out, " {cell} |")?;
    }
    out.push('\n');
    Ok(())
}

fn write_adapter(out: &mut String, adapter: &Adapter) -> fmt::Result {
    let platform = adapter.platform;
    writeln!(out, "## {}\n", platform.name())?;
    let base_url =
        platform.default_base_url().unwrap_or("none: every customer or region has a host of its own");
    writeln!(out, "- Base URL by default: {base_url}")?;
    let shapes: Vec<_> = platform.credential_shapes().iter().map(shape).collect();
    writeln!(out, "- Credential: {}", shapes.join(" or "))?;
    let vouched = match adapter.vouched {
        Vouched::Nothing => "the path secret alone, and HTTP Basic where it is configured",
        Vouched::Key => "the path secret and a key in the open",
        Vouched::Signature => "the path secret and a signature over the body",
    };
    writeln!(out, "- Callbacks are known by: {vouched}")?;
    let events = platform.wanted_events();
    if !events.is_empty() {
        writeln!(out, "- Events registered: {}", events.join(", "))?;
        writeln!(out, "- Besides, where the instance knows them: {}", platform.optional_events().join(", "))?;
    }
    let quota = platform.quota();
    writeln!(
        out,
        "- Own limits: {} calls and {} downloads a minute, {} at once",
        quota.calls_per_minute, quota.downloads_per_minute, quota.concurrency
    )?;
    writeln!(out, "- Largest callback: {} KiB", platform.body_bytes_max() / 1024)?;
    write_default_disposal(out, platform)?;
    write_options(out, platform.options())?;
    out.push_str("| what | how | confidence |\n|---|---|---|\n");
    for fact in adapter.facts {
        writeln!(out, "| {} | {} | {} |", fact.what, fact.how, fact.confidence.as_str())?;
    }
    out.push('\n');
    Ok(())
}

fn write_default_disposal(out: &mut String, platform: &dyn Platform) -> fmt::Result {
    let policy = |extension| {
        let completed = Envelope::new(EnvelopeId::new("1"), EnvelopeStatus::Completed, "completed");
        platform.default_dispose(&Envelope { extension, ..completed })
    };
    let plain = policy(Extension::NotAwaited);
    write!(out, "- Removal of a completed envelope if no rule says otherwise: {plain}")?;
    if platform.capabilities().extends_seals {
        write!(out, "; where its seal is extended: {}", policy(Extension::Awaited))?;
    }
    out.push_str("\n\n");
    Ok(())
}

fn shape(shape: &CredentialShape) -> String {
    let field = |name: &&str| match shape.choice {
        Some((chosen, values)) if chosen == *name => {
            let values: Vec<_> = values.iter().map(|value| format!("\"{value}\"")).collect();
            format!("{name} = {}", values.join(" or "))
        }
        _ => (*name).to_owned(),
    };
    format!("`{{ {} }}`", shape.fields.iter().map(field).collect::<Vec<_>>().join(", "))
}

fn write_options(out: &mut String, options: &[OptionSpec]) -> fmt::Result {
    if options.is_empty() {
        return Ok(());
    }
    out.push_str("| option | values | default | about |\n|---|---|---|---|\n");
    for option in options {
        let values = if option.values.is_empty() { "any text".to_owned() } else { option.values.join(", ") };
        let default = if option.default.is_empty() { "none" } else { option.default };
        writeln!(out, "| `{}` | {values} | {default} | {} |", option.name, option.about)?;
    }
    out.push('\n');
    Ok(())
}
