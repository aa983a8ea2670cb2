//! `aftersign demo --scenario revoked`: a sender takes our access back, and gives it again.
//!
//! Three people send from one account, and nothing opens it but what they granted. They press NEXT on their drafts, consent
//! once, and what they sent is archived. Then one of them revokes: her transfers wait, one e-mail reaches her, its link is
//! followed, and everything is archived after all. People and platforms act over HTTP; judged is by the sandbox's ledger, by
//! the mail that arrived, by the bytes in the archive, and by a search for every secret in whatever is left behind.

mod browser;
mod html;
mod letter;
mod person;
mod secrets;
mod site;
mod tell;
mod verdict;
mod witness;

use std::sync::Arc;
use std::time::{Duration, Instant};

use aftersign_sandbox::{
    DraftSpec, EnvelopeScript, Ledger, MailSink, ReceivedMail, Sandbox, SandboxConfig, UserSpec,
};
use anyhow::{Context, bail};
use serde_json::Value;

use super::audit::{Archive, State};
use super::server::Server;
use super::stage::Stage;
use super::{AUDIT_EVERY, DemoArgs, TIME_SCALE, interrupted};
use person::{End, Sender};
use secrets::{Search, Secrets};
use site::{ACCOUNT, Site};
use tell::Teller;
use verdict::Verdict;
use witness::Witness;

/// Single drafts of Anna, of Ben and of Carla. More of Anna's come to wait than are worked on at once: if each of them asked
/// on its own, it would show.
const DRAFTS: [usize; 3] = [10, 4, 1];
/// Who gets an envelope of their own out of Carla's bulk.
const BULK: [&str; 3] = ["dora@example.org", "emil@example.org", "fay@example.org"];
/// How many of Anna's and of Ben's envelopes are completed before Anna revokes.
const COMPLETED_FIRST: usize = 2;
/// How long everything that is completed may take to be archived, in real time, with the worst platform.
const SETTLE_MAX: Duration = Duration::from_secs(90);
/// How long the mail may take, in real time: its window passes in a third of a second, the rest is for a busy machine.
const MAIL_MAX: Duration = Duration::from_secs(10);
/// How long is watched whether more mails or questions follow, in real time: six hours of the server, so two dozen windows for
/// another mail, and longer than the queue of mail is ever left alone. Much less than the day after which the admins are told.
const WATCH: Duration = Duration::from_secs(6);

/// How often it is looked whether something has happened.
const POLL: Duration = Duration::from_millis(100);

/// Plays the scenario. `Ok(true)` if everything was as it should be.
pub(super) async fn run(args: DemoArgs) -> anyhow::Result<bool> {
    let began = Instant::now();
    let stage = Stage::set(&args)?;
    if let Some(file) = &args.reveal
        && std::path::absolute(file)?.starts_with(stage.dir())
    {
        bail!(
            "--reveal must name a file outside of {}, which is searched for secrets",
            stage.dir().display()
        );
    }
    let archive = Arc::new(Archive::new(stage.archive()));
    let witness_of_removals = Arc::clone(&archive);
    let sandbox = Sandbox::start(SandboxConfig {
        seed: args.seed,
        faults: args.faults,
        time_scale: TIME_SCALE,
        disposal_witness: Some(Arc::new(move |envelope| witness_of_removals.missing(envelope))),
        ..SandboxConfig::default()
    })
    .await
    .context("cannot start the sandbox")?;
    let sink = MailSink::start().context("cannot start the receiver of e-mail")?;
    let secrets = Secrets::default();
    let site = Site::new();
    let witness = Witness::start(site.token_url(&sandbox), secrets.clone()).await?;
    site.open(&sandbox, &stage);
    site.write_config(&stage, &sandbox, &witness, &sink)?;
    site.tell(&stage, &secrets)?;
    let senders = senders(&sandbox, &site, &secrets)?;
    let server = Server::start(&stage).await?;

    let teller = Teller::new(args.json);
    let verdict = Verdict::new(&args);
    let mut story = Story { stage, sandbox, sink, secrets, teller, archive, senders, verdict };
    let played = tokio::select! {
        played = story.play() => played,
        () = interrupted() => Err(anyhow::anyhow!("it was interrupted")),
    };
    story.verdict.note_failure(played);
    let clean = story.end(&args, server, began).await?;
    drop(witness);
    Ok(clean)
}

/// Anna, Ben and Carla with their drafts.
fn senders(sandbox: &Sandbox, site: &Site, secrets: &Secrets) -> anyhow::Result<Vec<Sender>> {
    let mut senders = Vec::new();
    for (name, drafts) in ["Anna", "Ben", "Carla"].into_iter().zip(DRAFTS) {
        let email = format!("{}@example.com", name.to_lowercase());
        let user = UserSpec { email: email.clone(), name: format!("{name} Sender") };
        let id = sandbox.add_user(ACCOUNT, user);
        let draft = |title: String, recipients: &[&str]| {
            let script = EnvelopeScript { hold: true, ..EnvelopeScript::default() };
            let bulk_recipients = recipients.iter().map(|email| (*email).to_owned()).collect();
            sandbox.create_draft(&id, DraftSpec { name: title, metadata: None, script, bulk_recipients })
        };
        let bulk = (name == "Carla").then(|| draft("Carla's bulk".to_owned(), &BULK));
        let singles = (1..=drafts).map(|number| draft(format!("{name}'s contract {number}"), &[]));
        let drafts: Vec<String> = bulk.into_iter().chain(singles).collect();
        drafts.iter().for_each(|draft| site.tell_draft(draft, secrets));
        let browser_home = site.inbox(sandbox)?;
        senders
            .push(Sender { drafts, ..Sender::new(name, id.clone(), email, browser_home, secrets.clone())? });
    }
    Ok(senders)
}

/// The scenario under way.
struct Story {
    stage: Stage,
    sandbox: Sandbox,
    sink: MailSink,
    secrets: Secrets,
    teller: Teller,
    archive: Arc<Archive>,
    senders: Vec<Sender>,
    verdict: Verdict,
}

impl Story {
    async fn play(&mut self) -> anyhow::Result<()> {
        self.send_drafts().await?;
        let [anna, ben, carla] = self.envelopes();
        let (anna_first, anna_later) = anna.split_at(COMPLETED_FIRST.min(anna.len()));
        let (ben_first, ben_later) = ben.split_at(COMPLETED_FIRST.min(ben.len()));
        let first = [anna_first, ben_first, &carla].concat();
        self.complete(&first);
        self.settle("what was completed first is archived and removed at the platform").await?;
        self.teller.say(&format!("{} envelopes are completed and lie in the archive.", first.len()));

        let anna_id = self.senders[0].id.clone();
        self.sandbox.revoke(&anna_id);
        let revoked = Instant::now();
        self.teller
            .say("Anna takes the access back at the platform. More of what she and Ben sent is completed.");
        self.complete(&[anna_later, ben_later].concat());
        self.parked(anna_later.len(), first.len() + ben_later.len()).await?;
        let mail = self.one_mail().await?;
        self.watch().await?;
        self.renew(&mail, revoked).await?;
        self.settle("everything is archived and removed at the platform").await?;
        self.tasks_settle().await
    }

    /// Everybody presses NEXT on each of their drafts; in turns, as people do.
    async fn send_drafts(&mut self) -> anyhow::Result<()> {
        let most = self.senders.iter().map(|sender| sender.drafts.len()).max().unwrap_or(0);
        for number in 0..most {
            for sender in 0..self.senders.len() {
                self.send_draft(sender, number).await?;
                self.look();
            }
        }
        Ok(())
    }

    async fn send_draft(&mut self, sender: usize, number: usize) -> anyhow::Result<()> {
        let Some(sender) = self.senders.get_mut(sender) else { return Ok(()) };
        let Some(draft) = sender.drafts.get(number).cloned() else { return Ok(()) };
        let before = shown(&self.sandbox.ledger(), &sender.id);
        let end = sender.walk(&self.sandbox, &self.sandbox.before_send_url(&draft), Some(&draft)).await?;
        let ledger = self.sandbox.ledger();
        let record = ledger.draft(&draft).context("the sandbox lost a draft")?;
        let asked = shown(&ledger, &sender.id) - before;
        let (name, number) = (sender.name, number + 1);
        let end = match end {
            End::Inbox => "is back in the inbox",
            End::Sent | End::Closed => "sees that it was sent",
            End::Connected => bail!("{name} came back from consent, and draft {number} was forgotten"),
        };
        let how = if asked > 0 { "consents at the platform" } else { "is not asked again" };
        let became = match record.envelopes.len() {
            1 => "one envelope".to_owned(),
            count => format!("a bulk of {count} envelopes"),
        };
        self.teller.say(&format!("{name} presses NEXT on draft {number}, {how} and {end}: {became}."));
        self.verdict.expect(asked == u64::from(number == 1), || {
            format!("{name} should see one consent page with the first draft and none later: with draft {number} it was {asked}")
        });
        let (done, asked) = (record.sends_done, record.sends_asked);
        let is_once = done == 1 && (asked == 1 || !self.verdict.is_faultless());
        self.verdict.expect(is_once, || {
            format!("draft {number} of {name} should be sent once: it was asked for {asked} times and sent {done} times")
        });
        Ok(())
    }

    /// The envelopes that each sender's drafts became.
    fn envelopes(&self) -> [Vec<String>; 3] {
        let ledger = self.sandbox.ledger();
        let of = |sender: &Sender| {
            let drafts = sender.drafts.iter().filter_map(|draft| ledger.draft(draft));
            drafts.flat_map(|record| record.envelopes.clone()).collect()
        };
        let mut all = self.senders.iter().map(of);
        [(); 3].map(|()| all.next().unwrap_or_default())
    }

    /// The signers of these envelopes sign.
    fn complete(&self, envelopes: &[String]) {
        envelopes.iter().for_each(|id| self.sandbox.complete(id));
    }

    /// Waits until everything that is completed is archived and removed.
    async fn settle(&self, what: &str) -> anyhow::Result<()> {
        self.until(SETTLE_MAX, what, async || Ok(self.look().is_complete())).await
    }

    /// Waits until what others sent is archived and what Anna sent waits for her, in one task.
    async fn parked(&mut self, parked: usize, archived: usize) -> anyhow::Result<()> {
        let what = format!("{parked} transfers wait for Anna, and {archived} envelopes are archived");
        let (anna, archived) = (self.senders[0].email.clone(), u64::try_from(archived)?);
        let faultless = self.verdict.is_faultless();
        self.until(SETTLE_MAX, &what, async || {
            let waiting = self.waiting_for(&anna).await?;
            // A lost callback is made up for by a sweep, and no sweep sees what Anna sent before she gives access again.
            let all = waiting == parked || !faultless && waiting > 0 && self.sandbox.pending_callbacks() == 0;
            Ok(all && self.look().archived >= archived)
        })
        .await?;
        let parked = self.waiting_for(&anna).await?;
        self.teller.say(&format!(
            "{parked} transfers of Anna's wait for her. Ben's and Carla's {archived} are not held up.",
            archived = self.look().archived - u64::try_from(COMPLETED_FIRST)?,
        ));
        let state = self.look();
        self.verdict.parked = parked;
        self.verdict.expect(state.archived == archived, || {
            format!("{archived} envelopes should be archived while Anna's wait, and {} are", state.archived)
        });
        let tasks: Vec<Value> = self.tasks("--open").await?.into_iter().filter(is_about_access).collect();
        let for_anna = tasks.iter().filter(|task| task["for"] == *anna).count();
        self.verdict.expect(tasks.len() == 1 && for_anna == 1, || {
            format!(
                "one open task about access should be there, for Anna: {} are, {for_anna} of them hers",
                tasks.len()
            )
        });
        Ok(())
    }

    /// The mail that tells Anna.
    async fn one_mail(&mut self) -> anyhow::Result<ReceivedMail> {
        self.until(MAIL_MAX, "an e-mail arrives", async || Ok(!self.mails_with_link().is_empty())).await?;
        let mail = self.mails_with_link().into_iter().next().context("the mail is gone")?;
        self.teller.say(&format!(
            "An e-mail reaches {}: “{}”.",
            mail.to.join(", "),
            letter::subject(&mail.data)
        ));
        Ok(mail)
    }

    /// Waits for what should not come: another mail, another task, question after question with the dead token.
    async fn watch(&mut self) -> anyhow::Result<()> {
        let parked = self.verdict.parked;
        let before = Instant::now();
        while before.elapsed() < WATCH {
            self.look();
            tokio::time::sleep(AUDIT_EVERY).await;
        }
        let anna = self.senders[0].email.clone();
        let waiting = self.waiting_for(&anna).await?;
        self.verdict.expect(waiting >= parked, || {
            format!("{parked} transfers should go on waiting for Anna, and {waiting} do")
        });
        let hours = WATCH.as_secs_f64() * TIME_SCALE / 3600.0;
        let mails = self.sink.messages().len();
        self.teller
            .say(&format!("For {hours:.0} hours of the server nothing more comes: {mails} e-mail in all."));
        Ok(())
    }

    /// Anna follows the link of the mail.
    async fn renew(&mut self, mail: &ReceivedMail, revoked: Instant) -> anyhow::Result<()> {
        let text = letter::text(&mail.data)?;
        let link = letter::link(&text, &self.renewal_root()).context("the mail has no link in its text")?;
        let anna = self.senders.first_mut().context("Anna is gone")?;
        let before = shown(&self.sandbox.ledger(), &anna.id);
        let asked = asked_when_revoked(&self.sandbox.ledger(), &anna.id);
        self.verdict.note_revoked(asked, revoked.elapsed());
        let end = anna.walk(&self.sandbox, link, None).await?;
        let asked_again = shown(&self.sandbox.ledger(), &anna.id) - before;
        self.verdict.expect(end == End::Connected && asked_again == 1, || {
            format!(
                "Anna should consent once and be told that she is connected: {asked_again} pages, {end:?}"
            )
        });
        self.teller.say(&format!(
            "The dead token was asked with {asked} times meanwhile. Anna follows the link, consents once and is connected."
        ));
        Ok(())
    }

    /// Waits until nobody has anything left to do.
    async fn tasks_settle(&mut self) -> anyhow::Result<()> {
        self.until(SETTLE_MAX, "all tasks are settled", async || Ok(self.tasks("--open").await?.is_empty()))
            .await?;
        self.teller
            .say("Everything is archived and removed at the platform, and nobody has anything left to do.");
        Ok(())
    }

    /// Judges, searches, and tells the result.
    async fn end(mut self, args: &DemoArgs, server: Server, began: Instant) -> anyhow::Result<bool> {
        let asked = self.ask_server().await;
        self.verdict.note_failure(asked);
        let mails = self.sink.messages();
        let ledger = self.sandbox.ledger();
        self.stage.write_ledger(&ledger)?;
        self.verdict.judge(&ledger, &self.archive, &self.senders, &mails);
        // Once beside the running server, whose write-ahead log has not been folded in, and once after it.
        self.search(&ledger, &mails)?;
        let server = if args.once || !self.verdict.is_clean() {
            server.stop().await;
            self.search(&ledger, &mails)?;
            None
        } else {
            Some(server)
        };
        if let Some(file) = &args.reveal {
            self.secrets.reveal(file)?;
        }
        self.teller.finish();
        self.verdict.deviations().iter().for_each(|line| self.teller.complain(line));
        if args.json {
            self.teller.result(&self.verdict.json(began.elapsed()));
        } else {
            self.teller.say(&self.verdict.text(&self.stage, began.elapsed()));
        }
        if let Some(server) = server {
            self.teller.say("\nStill serving. Ctrl-C ends the demo.");
            interrupted().await;
            server.stop().await;
        }
        self.sandbox.stop().await;
        Ok(self.verdict.is_clean())
    }

    /// Asks the server's own commands: what is open and settled, and whether the journal is intact. Makes a backup.
    async fn ask_server(&mut self) -> anyhow::Result<()> {
        let mut open = self.tasks("--open").await?;
        if !self.verdict.is_faultless() {
            // Sweeps go on, and on a bad platform one may have failed since everything was settled.
            open.retain(|task| task["kind"] != "sweep_failed");
        }
        self.verdict.note_tasks(&open, &self.tasks("--settled").await?);
        self.verdict.note_journal(&site::asked(&self.stage, &["journal", "verify", "--json"]).await?);
        site::command(&self.stage, &["backup", &self.stage.backup().display().to_string()]).await.map(drop)
    }

    /// Searches every file of the demo, and every word that was told, for every secret.
    fn search(&mut self, ledger: &Ledger, mails: &[ReceivedMail]) -> anyhow::Result<()> {
        let result = [self.verdict.json(Duration::ZERO), self.verdict.text(&self.stage, Duration::ZERO)];
        let told = [self.teller.told(), result.concat()].concat();
        let mut search = Search::new(&self.secrets)?;
        search.look_below(self.stage.dir(), &site::spared(&self.stage))?;
        search.look_into("what the demo printed", told.as_bytes());
        let in_config = search.within(&std::fs::read(self.stage.config())?);
        self.verdict.note_search(&search, &in_config, &self.secrets, ledger);
        for mail in mails {
            let in_mail = search.within(letter::text(&mail.data)?.as_bytes());
            let strangers = in_mail.iter().filter(|(kind, _)| *kind != browser::LINK).count();
            self.verdict.expect(strangers == 0, || "an e-mail should hold no secret but its link".to_owned());
        }
        Ok(())
    }

    /// Where everything stands by the ledger and the archive; moves the counters.
    fn look(&self) -> State {
        let ledger = self.sandbox.ledger();
        let state = tokio::task::block_in_place(|| self.archive.state(&ledger));
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let sent = ledger.drafts.iter().filter(|draft| draft.sends_done > 0).count();
        self.teller.show((count(sent), count(ledger.drafts.len())), count(ledger.envelopes.len()), &state);
        state
    }

    /// Transfers that wait until this sender gives access again.
    async fn waiting_for(&self, email: &str) -> anyhow::Result<usize> {
        let list = site::asked(&self.stage, &["transfers", "list", "--limit", "500", "--json"]).await?;
        let rows = list["transfers"].as_array().map_or(&[][..], Vec::as_slice);
        let waits = |row: &&Value| row["parked"] == "access_needed" && row["waits_for"] == *email;
        Ok(rows.iter().filter(waits).count())
    }

    /// Tasks, `--open` or `--settled`.
    async fn tasks(&self, which: &str) -> anyhow::Result<Vec<Value>> {
        let list = site::asked(&self.stage, &["tasks", "list", which, "--limit", "500", "--json"]).await?;
        Ok(list["tasks"].as_array().cloned().unwrap_or_default())
    }

    /// What the links begin with by which access is given again.
    fn renewal_root(&self) -> String {
        format!("{}/consent/{ACCOUNT}/renew?link=", self.stage.public_url())
    }

    /// Mails by which access can be given again.
    fn mails_with_link(&self) -> Vec<ReceivedMail> {
        let root = self.renewal_root();
        let has_link = |mail: &ReceivedMail| {
            letter::text(&mail.data).is_ok_and(|text| letter::link(&text, &root).is_some())
        };
        self.sink.messages().into_iter().filter(has_link).collect()
    }

    /// Waits until something has happened; an error says what did not.
    async fn until(
        &self,
        max: Duration,
        what: &str,
        mut happened: impl AsyncFnMut() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        while !happened().await? {
            if began.elapsed() > max {
                bail!("expected that {what}; it did not come to that within {} seconds", max.as_secs());
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

/// Whether a task is about access that was refused.
fn is_about_access(task: &Value) -> bool {
    task["kind"] == "access_refused"
}

/// How often the platform showed this user its consent page.
fn shown(ledger: &Ledger, user: &str) -> u64 {
    ledger.user(user).map_or(0, |record| record.consents_shown)
}

/// How often a token of this user was used after it was revoked.
fn asked_when_revoked(ledger: &Ledger, user: &str) -> u64 {
    ledger.user(user).map_or(0, |record| record.asked_with_revoked_token)
}
