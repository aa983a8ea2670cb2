//! The queue is emptied through a mail server that has its moods, and nothing is lost on the way.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aftersign_core::Timestamp;
use aftersign_core::backoff::Pace;
use aftersign_core::mail::{Mail, Mailer};
use aftersign_core::seams::Clock;
use aftersign_core::secret::Secret;
use aftersign_core::task::{TaskDraft, TaskKind};
use aftersign_core::{Error, ErrorKind, Remedy};
use aftersign_store::{MailPolicy, News, NewsSource, PageRequest, Post, Projection, ToldTask};
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::post::{FakePost, about_access};
use super::server::{Server, fine, header, part};
use crate::mail::limits::{MAIL_LEASE, MAIL_SHUTDOWN_WAIT};
use crate::mail::{MailDesk, MailMetrics, Postman, SmtpConfig, SmtpMailer, Templates};
use crate::testing::{DAY, FakePlatform, FakeTransport, World};

const LINK: &str = "https://sign.example.com/consent/hr/renew?link=sealed";

/// A clock that is set.
struct Watch(Mutex<Timestamp>);

impl Watch {
    fn new() -> Self {
        Self(Mutex::new(Timestamp::UNIX_EPOCH))
    }

    fn set(&self, at: Timestamp) {
        *self.0.lock().unwrap() = at;
    }
}

impl Clock for Watch {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// A mailer by a function of the try's number.
struct Moody<F>(AtomicU32, F);

#[async_trait]
impl<F: Fn(u32) -> Result<(), Error> + Send + Sync> Mailer for Moody<F> {
    async fn send(&self, _: &Mail) -> Result<(), Error> {
        (self.1)(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }

    async fn probe(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn moody(mood: impl Fn(u32) -> Result<(), Error> + Send + Sync + 'static) -> Arc<dyn Mailer> {
    Arc::new(Moody(AtomicU32::new(0), mood))
}

fn down() -> Result<(), Error> {
    Err(Error::new(ErrorKind::Unreachable, Remedy::Retry(None), "connect", "nobody is there"))
}

fn to(server: &Server) -> Arc<dyn Mailer> {
    let config =
        SmtpConfig { url: Secret::new(server.url()), from: "aftersign@example.com".into(), ca_file: None };
    Arc::new(SmtpMailer::new(config).unwrap())
}

fn policy() -> MailPolicy {
    MailPolicy {
        admins: vec!["Ops@example.com".into()],
        settle: Duration::from_secs(60),
        settle_longest: Duration::from_secs(600),
        every: Duration::from_secs(3600),
        escalate_every: DAY,
        due_after: 2 * DAY,
    }
}

fn desk(mailer: Arc<dyn Mailer>) -> MailDesk {
    MailDesk {
        mailer,
        templates: Templates::load(None).unwrap(),
        policy: policy(),
        public_url: "https://sign.example.com".into(),
        metrics: MailMetrics::default(),
    }
}

/// One round at this pace. Gives how long nothing else is due.
async fn round_at(
    post: &FakePost,
    desk: &MailDesk,
    clock: &Watch,
    pace: Pace,
    stop: &CancellationToken,
) -> Duration {
    let pace = || pace;
    let link = |_: &ToldTask| Some(LINK.to_owned());
    Postman { post, desk, clock, pace: &pace, link: &link }.round(stop).await.unwrap()
}

async fn round(post: &FakePost, desk: &MailDesk, clock: &Watch) -> Duration {
    round_at(post, desk, clock, Pace::real(7), &CancellationToken::new()).await
}

fn counted(desk: &MailDesk) -> [u64; 3] {
    let MailMetrics { sent, failed, dropped } = &desk.metrics;
    [sent.get(), failed.get(), dropped.get()]
}

#[tokio::test]
async fn a_sender_and_an_admin_each_get_their_mail() {
    let server = Server::fine().await;
    let (desk, clock) = (desk(to(&server)), Watch::new());
    let post = FakePost::with([about_access(1, "anna@example.com"), about_access(2, "ops@example.com")]);
    round(&post, &desk, &clock).await;
    assert_eq!(post.told(), ["sent", "sent"]);
    let taken = server.taken();
    let texts: Vec<_> = taken.iter().map(|message| part(message, "text/plain")).collect();
    assert_eq!(header(&taken[0], "To"), "anna@example.com");
    assert_eq!(texts[0].matches(LINK).count(), 1, "{}", texts[0]);
    assert_eq!(header(&taken[1], "To"), "ops@example.com");
    assert!(
        !taken[1].contains("renew") && texts[1].contains("Asked to act: anna@example.com"),
        "{}",
        texts[1]
    );
    assert!(texts[1].contains("tasks list") && !texts[0].contains("tasks list"));
    assert_eq!(counted(&desk), [2, 0, 0]);
}

#[tokio::test]
async fn what_is_refused_for_now_is_sent_later_as_the_same_mail() {
    let mut busy = 1;
    let mood = move |said: &str| {
        let is_refused = said == "." && std::mem::take(&mut busy) == 1;
        Some(if is_refused { "451 4.3.0 busy".into() } else { fine(said) })
    };
    let server = Server::start(mood).await;
    let (desk, clock) = (desk(to(&server)), Watch::new());
    let mail = about_access(1, "anna@example.com");
    let id = mail.row.id;
    let post = FakePost::with([mail]);
    let wait = round(&post, &desk, &clock).await;
    assert!(post.told.lock().unwrap()[0].2.contains("451 4.3.0 busy"));
    assert_eq!(post.told(), ["later"]);
    let due = post.due().unwrap();
    assert!(due > clock.now() && due <= clock.now() + Duration::from_secs(5), "{due}");
    assert!(wait <= Duration::from_secs(5), "{wait:?}");
    clock.set(due);
    round(&post, &desk, &clock).await;
    assert_eq!(post.told(), ["sent"]);
    assert_eq!(header(&server.taken()[0], "Message-ID"), format!("<{id}@example.com>"));
    assert_eq!(counted(&desk), [1, 1, 0]);
}

#[tokio::test]
async fn what_is_refused_for_good_is_given_up_and_holds_nobody_up() {
    let mood = |said: &str| {
        Some(if said.contains("<gone@") { "550 5.1.1 no such mailbox".into() } else { fine(said) })
    };
    let server = Server::start(mood).await;
    let (desk, clock) = (desk(to(&server)), Watch::new());
    let post = FakePost::with([about_access(1, "gone@example.com"), about_access(2, "anna@example.com")]);
    round(&post, &desk, &clock).await;
    assert!(post.told.lock().unwrap()[0].2.contains("550 5.1.1 no such mailbox"));
    assert_eq!(post.told(), ["dropped", "sent"]);
    assert_eq!(counted(&desk), [1, 1, 1]);
}

/// Tries a mail as its waits say until `until` says that it is enough. Gives how long that took.
async fn tried(post: &FakePost, desk: &MailDesk, seed: u64) -> Duration {
    let (clock, stop) = (Watch::new(), CancellationToken::new());
    for number in 0.. {
        let Some(due) = post.due() else { break };
        clock.set(due);
        round_at(post, desk, &clock, Pace::real(seed + number), &stop).await;
    }
    (clock.now() - Timestamp::UNIX_EPOCH).try_into().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_mail_server_that_never_comes_back_costs_the_mail_after_about_five_days() {
    for seed in [1, 1_000, 1_000_000] {
        let desk = desk(moody(|_| down()));
        let post = FakePost::with([about_access(1, "anna@example.com")]);
        let horizon = tried(&post, &desk, seed).await;
        assert!(horizon > DAY * 9 / 2 && horizon < DAY * 11 / 2, "{horizon:?}");
        let told = post.told();
        assert_eq!(told.iter().filter(|word| **word == "dropped").count(), 1);
        assert_eq!(told.last(), Some(&"dropped"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_mail_server_that_is_down_for_four_days_loses_nothing() {
    let clock = Arc::new(Watch::new());
    let seen = Arc::clone(&clock);
    let up_at = Timestamp::UNIX_EPOCH + 4 * DAY;
    let desk = desk(moody(move |_| if seen.now() < up_at { down() } else { Ok(()) }));
    let post = FakePost::with((0..5).map(|number| about_access(number, "anna@example.com")));
    let stop = CancellationToken::new();
    let mut number = 0;
    while post.told.lock().unwrap().iter().filter(|(word, ..)| *word == "sent").count() < 5 {
        number += 1;
        clock.set(post.due().unwrap());
        round_at(&post, &desk, &clock, Pace::real(number), &stop).await;
    }
    assert!(!post.told().contains(&"dropped"));
    assert!(clock.now() <= up_at + Duration::from_secs(60 * 60), "{}", clock.now());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_recorded_at_once_is_not_sent_twice() {
    let desk = desk(moody(|number| if number == 1 { Ok(()) } else { panic!("sent again") }));
    let post = FakePost::with([about_access(1, "anna@example.com")]);
    *post.faults.lock().unwrap() = 3;
    round(&post, &desk, &Watch::new()).await;
    assert_eq!(post.told(), ["sent"]);
}

#[tokio::test(start_paused = true)]
async fn a_sending_that_breaks_off_is_tried_again() {
    let desk = desk(moody(|number| if number == 1 { panic!("broken") } else { Ok(()) }));
    let post = FakePost::with([about_access(1, "anna@example.com")]);
    let clock = Watch::new();
    round(&post, &desk, &clock).await;
    assert_eq!(post.told(), ["later"]);
    clock.set(post.due().unwrap());
    round(&post, &desk, &clock).await;
    assert_eq!(post.told(), ["sent"]);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_the_mail_under_way_end_and_waits_no_longer_than_that() {
    let server = Server::start(|said| (said != ".").then(|| fine(said))).await;
    let (desk, clock, stop) = (desk(to(&server)), Watch::new(), CancellationToken::new());
    let post = FakePost::with([about_access(1, "anna@example.com"), about_access(2, "berta@example.com")]);
    stop.cancel();
    let began = tokio::time::Instant::now();
    round_at(&post, &desk, &clock, Pace::real(7), &stop).await;
    assert_eq!(post.told(), [""; 0], "nothing is begun after a shutdown");
    let stop = CancellationToken::new();
    let later = stop.clone();
    let stopping = async move {
        tokio::task::yield_now().await;
        later.cancel();
    };
    tokio::join!(round_at(&post, &desk, &clock, Pace::real(7), &stop), stopping);
    assert_eq!(began.elapsed().as_secs(), MAIL_SHUTDOWN_WAIT.as_secs());
    assert_eq!(post.told(), ["later"]);
    assert!(post.due().unwrap() < clock.now() + MAIL_LEASE, "it does not wait for the lease");
}

/// Gives each mail away.
struct Outbox(tokio::sync::mpsc::UnboundedSender<Mail>);

#[async_trait]
impl Mailer for Outbox {
    async fn send(&self, mail: &Mail) -> Result<(), Error> {
        self.0.send(mail.clone()).unwrap();
        Ok(())
    }

    async fn probe(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[tokio::test]
async fn a_task_in_the_store_becomes_a_mail_and_is_told_once() {
    let world = World::new(FakePlatform::default(), FakeTransport::new(|_| (200, String::new())));
    let (sender, mut outbox) = tokio::sync::mpsc::unbounded_channel();
    let at_once = MailPolicy {
        settle: Duration::ZERO,
        settle_longest: Duration::ZERO,
        every: Duration::ZERO,
        ..policy()
    };
    let desk = Arc::new(MailDesk { policy: at_once, ..desk(Arc::new(Outbox(sender))) });
    let stop = CancellationToken::new();
    let running = tokio::spawn(Arc::clone(&world.engine).run_mail(desk, stop.clone()));
    for what in ["The first.", "The second."] {
        let account = &world.account.access.account;
        let kind = if what == "The first." { TaskKind::SweepFailed } else { TaskKind::Quarantined };
        let news = News {
            source: NewsSource::Watch,
            account: account.clone(),
            platform: "fake".into(),
            notifications: Vec::new(),
            open_tasks: vec![TaskDraft::for_account(kind, account, what.into(), "Mend it.")],
            close_tasks: Vec::new(),
        };
        world.store.announce(vec![news], world.clock.now(), Pace::real(1)).await.unwrap();
        let mail = outbox.recv().await.unwrap();
        assert_eq!(mail.to, "ops@example.com");
        assert!(mail.subject.starts_with("Aftersign: 1 task waits (hr: 1 "), "{}", mail.subject);
        assert!(mail.text.contains(what), "{}", mail.text);
        world.clock.pass(Duration::from_secs(1));
    }
    stop.cancel();
    running.await.unwrap();
    let page = PageRequest { cursor: None, limit: 10 };
    let mails = world.store.mails(&page).await.unwrap().rows;
    assert_eq!(mails.iter().filter(|row| row.sent_at.is_some() && row.tries == 1).count(), 2, "{mails:?}");
}

#[tokio::test]
async fn a_rehearsals_pace_divides_the_policys_waits() {
    let (desk, post) = (desk(moody(|_| Ok(()))), FakePost::default());
    let pace = Pace { time_scale: 60.0, seed: 0 };
    round_at(&post, &desk, &Watch::new(), pace, &CancellationToken::new()).await;
    let expected = MailPolicy {
        admins: policy().admins,
        settle: Duration::from_secs(1),
        settle_longest: Duration::from_secs(10),
        every: Duration::from_secs(60),
        escalate_every: DAY / 60,
        due_after: DAY / 30,
    };
    assert_eq!(post.policy.lock().unwrap().clone(), Some(expected));
}
