//! What is judged in the end, in numbers and in words. Each deviation is one line that says what was expected.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aftersign_engine::limits::GRANT_REFUSED_QUIET;
use aftersign_sandbox::{DeletedBy, FaultProfile, Ledger, ReceivedMail};
use serde_json::{Value, json};

use super::letter;
use super::person::Sender;
use super::secrets::{ACCESS_TOKEN, Search, Secrets};
use super::{is_about_access, site};
use crate::demo::audit::{self, Archive, is_due};
use crate::demo::stage::Stage;
use crate::demo::{DemoArgs, TIME_SCALE};

/// What a deviation begins with that tells of a secret.
const NO_SECRET: &str = "no secret should be found";
/// Consent pages that Anna, Ben and Carla may see.
const CONSENTS: [u64; 3] = [2, 1, 1];

/// Everything that is known of how it went.
pub(super) struct Verdict {
    seed: u64,
    faults: FaultProfile,
    /// Transfers that waited for Anna.
    pub(super) parked: usize,
    revoked_asked: u64,
    revoked_for: Duration,
    envelopes: [usize; 4],
    consents: Vec<(String, u64)>,
    drafts: [u64; 3],
    mails: Vec<(String, String)>,
    asked_twice: u64,
    archive: audit::Verdict,
    tasks: [usize; 2],
    journal: String,
    searched: (u64, u64),
    secrets: usize,
    secrets_found: BTreeSet<String>,
    deviations: Vec<String>,
}

/// Transfers of an account that are worked on at once: none of them knows yet what another is about to hear.
const WORKERS: u64 = 4;
/// Time between two sweeps, in seconds of the server; each asks once with every grant.
const SWEEP_EVERY_SECONDS: f64 = 6.0 * 3600.0;

impl Verdict {
    /// A verdict on nothing yet.
    pub(super) fn new(args: &DemoArgs) -> Self {
        Self {
            seed: args.seed,
            faults: args.faults,
            parked: 0,
            revoked_asked: 0,
            revoked_for: Duration::ZERO,
            envelopes: [0; 4],
            consents: Vec::new(),
            drafts: [0; 3],
            mails: Vec::new(),
            asked_twice: 0,
            archive: audit::Verdict::default(),
            tasks: [0; 2],
            journal: "not verified".to_owned(),
            searched: (0, 0),
            secrets: 0,
            secrets_found: BTreeSet::new(),
            deviations: Vec::new(),
        }
    }

    /// Whether platform and network do what they should: then nobody need be asked for anything twice.
    pub(super) fn is_faultless(&self) -> bool {
        self.faults == FaultProfile::Off
    }

    /// Notes a deviation unless `holds`.
    pub(super) fn expect(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            let what = what();
            if !self.deviations.contains(&what) {
                self.deviations.push(what);
            }
        }
    }

    /// Notes what kept the story, or the look at it, from going on.
    pub(super) fn note_failure(&mut self, went: anyhow::Result<()>) {
        if let Err(error) = went {
            self.deviations.push(format!("{error:#}"));
        }
    }

    /// Takes in how often the dead token was asked with while it was dead.
    pub(super) fn note_revoked(&mut self, asked: u64, revoked_for: Duration) {
        (self.revoked_asked, self.revoked_for) = (asked, revoked_for);
        let max = self.questions_max();
        self.expect((1..=max).contains(&asked), || {
            format!("a dead token should be asked with 1 to {max} times in this time, whatever waits for it: it was {asked} times")
        });
    }

    /// How often a dead token may be asked with: whenever its quiet time is over, by what is worked on at once and by nothing
    /// more, whatever waits; and once by each sweep.
    fn questions_max(&self) -> u64 {
        let seconds = self.revoked_for.as_secs_f64() * TIME_SCALE;
        let quiet = GRANT_REFUSED_QUIET.as_secs_f64();
        (whole(seconds / quiet) + 1) * WORKERS + whole(seconds / SWEEP_EVERY_SECONDS)
    }

    /// Takes in the tasks: one about access may have been there, and is settled.
    pub(super) fn note_tasks(&mut self, open: &[Value], settled: &[Value]) {
        self.tasks = [open.len(), settled.len()];
        let about_access = open.iter().chain(settled).filter(|task| is_about_access(task)).count();
        self.asked_twice += count(about_access.saturating_sub(1));
    }

    /// Takes in what `journal verify` says.
    pub(super) fn note_journal(&mut self, verified: &Value) {
        self.journal = match &verified["intact"] {
            Value::Bool(true) => "intact".to_owned(),
            _ => format!("broken: {}", verified["reason"].as_str().unwrap_or("nobody knows why")),
        };
    }

    /// Judges by the ledger, the archive and the mail that arrived.
    pub(super) fn judge(
        &mut self,
        ledger: &Ledger,
        archive: &Archive,
        senders: &[Sender],
        mails: &[ReceivedMail],
    ) {
        let due = || ledger.envelopes.iter().filter(|envelope| is_due(envelope));
        let removed = due().filter(|envelope| {
            envelope.deleted.as_ref().is_some_and(|deletion| deletion.by == DeletedBy::Client)
        });
        self.envelopes = [
            ledger.envelopes.len(),
            due().count(),
            due().filter(|envelope| archive.missing(envelope) == 0).count(),
            removed.count(),
        ];
        self.drafts = [
            count(ledger.drafts.len()),
            ledger.drafts.iter().map(|draft| draft.sends_done).sum(),
            ledger.drafts.iter().map(|draft| draft.sends_asked).sum(),
        ];
        for (sender, expected) in senders.iter().zip(CONSENTS) {
            let Some(user) = ledger.user(&sender.id) else { continue };
            self.consents.push((sender.name.to_lowercase(), user.consents_allowed));
            self.asked_twice += user.consents_shown.saturating_sub(expected);
        }
        self.archive = archive.judge(ledger);
        let subject = |mail: &ReceivedMail| letter::subject(&mail.data);
        self.mails = mails.iter().map(|mail| (mail.to.join(", "), subject(mail))).collect();
        let about_access = mails
            .iter()
            .filter(|mail| letter::text(&mail.data).is_ok_and(|text| text.contains("/renew?link=")))
            .count();
        self.asked_twice += count(about_access.saturating_sub(1));
        self.compare(senders, about_access);
    }

    fn compare(&mut self, senders: &[Sender], about_access: usize) {
        let [created, completed, archived, removed] = self.envelopes;
        self.expect(created > 0 && [completed, archived, removed] == [created; 3], || {
            format!("all {created} envelopes should be completed, archived and removed: {completed}, {archived} and {removed} are")
        });
        let [drafts, sent, asked] = self.drafts;
        self.expect(drafts == sent && asked >= sent, || {
            format!("{drafts} drafts should be sent once each: {sent} sendings took effect, {asked} were asked for")
        });
        let found = self.archive.clone();
        self.expect(found.lost == 0, || format!("no envelope should be lost: {} are", found.lost));
        self.expect(found.duplicates == 0, || {
            format!("no file should lie in the archive twice: {} do", found.duplicates)
        });
        self.expect(found.strays == 0, || {
            format!("no stray file should lie in the archive: {} do", found.strays)
        });
        self.expect(found.premature_disposals == 0, || {
            format!(
                "nothing should be removed before it is archived: {} envelopes were",
                found.premature_disposals
            )
        });
        self.expect(found.verified == found.delivered, || {
            format!(
                "every archived file should be listed with its digest: {} of {} are",
                found.verified, found.delivered
            )
        });
        let expected: Vec<(String, u64)> =
            senders.iter().zip(CONSENTS).map(|(sender, times)| (sender.name.to_lowercase(), times)).collect();
        let consents = self.consents.clone();
        self.expect(consents == expected, || {
            format!("consents should be {expected:?}, and are {consents:?}")
        });
        let anna = senders.first().map_or("", |sender| sender.email.as_str()).to_owned();
        // With faults, people may rightly be asked about other things too.
        let is_alone = matches!(self.mails.as_slice(), [(to, _)] if *to == anna) || !self.is_faultless();
        let mails = self.mails.clone();
        self.expect(about_access == 1 && is_alone, || {
            format!("one e-mail should have gone out, to {anna}, with a link: {mails:?} did, {about_access} of them with one")
        });
        let twice = self.asked_twice;
        self.expect(twice == 0, || {
            format!("nobody should be asked for access twice: it happened {twice} times")
        });
        let [open, _] = self.tasks;
        self.expect(open == 0, || format!("no task should be open in the end: {open} are"));
        let journal = self.journal.clone();
        self.expect(journal == "intact", || format!("the journal should be intact, and is {journal}"));
    }

    /// Takes in a search, which must have found in the config file what stands there.
    pub(super) fn note_search(
        &mut self,
        search: &Search,
        in_config: &BTreeSet<(&'static str, &'static str)>,
        secrets: &Secrets,
        ledger: &Ledger,
    ) {
        self.searched = search.extent();
        self.secrets = secrets.all().len();
        self.secrets_found.extend(search.found());
        let sees = ["client secret", "path secret"].iter().all(|kind| in_config.contains(&(*kind, "plain")));
        self.expect(sees, || {
            "the search should find in the config file the secrets that stand there".to_owned()
        });
        let issued: u64 = ledger.users.iter().map(|user| user.tokens_issued).sum();
        let known = count(secrets.count(ACCESS_TOKEN));
        // An answer that never arrives holds a token that nobody got.
        self.expect(known == issued || !self.is_faultless() && known < issued, || {
            format!("every token should be searched for: {issued} were given out, {known} are known")
        });
        let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let found = self.secrets_found.clone();
        for (secret, place) in found.iter().filter_map(|found| found.split_once(" in ")) {
            places.entry(secret).or_default().push(place);
        }
        self.deviations.retain(|line| !line.starts_with(NO_SECRET));
        for (secret, places) in places {
            let more = match places.len() {
                0 | 1 => String::new(),
                count => format!(" and {} more places", count - 1),
            };
            let first = places.first().copied().unwrap_or_default();
            self.deviations.push(format!("{NO_SECRET}: {secret} is in {first}{more}"));
        }
    }

    /// Whether there is no deviation.
    pub(super) fn is_clean(&self) -> bool {
        self.deviations.is_empty()
    }

    /// The deviations, a line each.
    pub(super) fn deviations(&self) -> Vec<String> {
        self.deviations.clone()
    }

    /// The result as one JSON object on one line.
    pub(super) fn json(&self, elapsed: Duration) -> String {
        let [created, completed, archived, removed] = self.envelopes;
        let [drafts, sent, asked] = self.drafts;
        let [open, settled] = self.tasks;
        let consents: serde_json::Map<String, Value> =
            self.consents.iter().map(|(name, times)| (name.clone(), json!(times))).collect();
        let mails: Vec<Value> =
            self.mails.iter().map(|(to, subject)| json!({ "to": to, "subject": subject })).collect();
        json!({
            "scenario": "revoked",
            "seed": self.seed,
            "faults": self.faults.to_string(),
            "envelopes": { "created": created, "completed": completed, "archived": archived, "disposed": removed },
            "parked": self.parked,
            "revoked_token": {
                "asked": self.revoked_asked,
                "asked_max": self.questions_max(),
                "seconds": tenths(self.revoked_for),
            },
            "mails": mails,
            "consents": consents,
            "drafts": { "created": drafts, "sent": sent, "asked": asked },
            "archived": archived,
            "lost": self.archive.lost,
            "asked_twice": self.asked_twice,
            "duplicates": self.archive.duplicates,
            "premature_disposals": self.archive.premature_disposals,
            "strays": self.archive.strays,
            "secrets": { "known": self.secrets, "files": self.searched.0, "bytes": self.searched.1 },
            "secrets_found": self.secrets_found,
            "tasks_open": open,
            "tasks_settled": settled,
            "journal": self.journal,
            "deviations": self.deviations,
            "seconds": tenths(elapsed),
        })
        .to_string()
    }

    /// The summary for people.
    pub(super) fn text(&self, stage: &Stage, elapsed: Duration) -> String {
        let [created, _, archived, removed] = self.envelopes;
        let [_, sent, asked] = self.drafts;
        let (files, bytes) = self.searched;
        let end = if self.is_clean() {
            "Nothing was lost, and nobody was asked twice."
        } else {
            "Not all is as it should be; see above."
        };
        format!(
            "\n{sent} drafts were sent ({asked} times asked for), {archived} of {created} envelopes are archived and {removed} \
             removed at the platform.\n{mails} e-mail, {parked} transfers waited, the dead token was asked with {dead} times.\n\
             {secrets} secrets were searched for in {files} files ({bytes} bytes): {found} found. The journal is {journal}.\n\n\
             \u{20} {end}   in {seconds:.1} s\n\n\
             The archive:   {}\nThe config:    {}\nThe ledger:    {}\nThe backup:    {}\nThe log:       {}\n\
             The pages:     {}/consent/{account}\nThe metrics:   {}/metrics\n\
             Look around:   aftersign --config {} transfers list\n",
            stage.archive().display(),
            stage.config().display(),
            stage.ledger().display(),
            stage.backup().display(),
            stage.log().display(),
            stage.public_url(),
            stage.admin_url(),
            stage.config().display(),
            account = site::ACCOUNT,
            mails = self.mails.len(),
            parked = self.parked,
            dead = self.revoked_asked,
            secrets = self.secrets,
            found = if self.secrets_found.is_empty() {
                "none was".to_owned()
            } else {
                format!("{} were", self.secrets_found.len())
            },
            journal = self.journal,
            seconds = elapsed.as_secs_f64(),
        )
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn tenths(span: Duration) -> f64 {
    (span.as_secs_f64() * 10.0).round() / 10.0
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of what fits a demo's time"
)]
fn whole(number: f64) -> u64 {
    number.ceil().max(0.0) as u64
}
