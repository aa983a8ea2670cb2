//! Grants, tokens, consents, drafts.

use std::collections::BTreeSet;
use std::time::Duration;

use aftersign_core::callback::NotificationKind;
use aftersign_core::digest::Digest;
use aftersign_core::envelope::EnvelopeStatus;
use aftersign_core::error::{Error, ErrorKind, Remedy};
use aftersign_core::grant::{Grant, GrantKind, Holder};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::journal::Action;
use aftersign_core::platform::Credential;
use aftersign_core::secret::Secret;
use aftersign_core::task::{TaskDraft, TaskKind};
use aftersign_core::transfer::{Outcome, Phase};

use super::{Place, account, all, answer, at, hear, key, news, notification, pace, sender, worker};
use crate::limits::{ACCESS_RENEWALS_PER_COMMIT, CONSENTS_MAX};
use crate::{
    Attempt, DraftClaim, DraftState, NewConsent, NewGrant, NewsSource, OpenGrant, Purpose, Store, StoreError,
    TransferFilter,
};

const LEASE: Duration = Duration::from_secs(60);

fn grant(secret: &str) -> Grant {
    Grant {
        kind: GrantKind::Consent,
        credential: Credential::new([("access_token".into(), Secret::new(secret))]),
        refresh_token: Some(Secret::new(format!("refresh {secret}"))),
        renew_at: Some(at(3_600)),
    }
}

async fn give(store: &dyn Store, who: &str, secret: &str, second: i64) -> u64 {
    let new = NewGrant {
        account: account("hr"),
        sender: sender(who),
        user_id: Some(format!("id of {who}")),
        grant: grant(secret),
    };
    store.seal_grant(new, "sender", at(second)).await.unwrap()
}

async fn opened(store: &dyn Store, who: &str) -> Option<OpenGrant> {
    store.open_grant(&account("hr"), &sender(who)).await.unwrap()
}

async fn token_of(store: &dyn Store, who: &str) -> String {
    let opened = opened(store, who).await.unwrap();
    let token = opened.grant.credential.field("access_token").to_string();
    assert_eq!(opened.grant.refresh_token.unwrap().expose(), format!("refresh {token}"));
    token
}

/// And is gone when it is forgotten.
pub async fn a_grant_opens_for_its_sender_only(place: &dyn Place) {
    let store = place.open(vec![key("one", 1)]).await;
    let hr = account("hr");
    give(store.as_ref(), "Sam@Example.com", "first", 1).await;
    let first = opened(store.as_ref(), "sam@example.com").await.unwrap().row.version;
    give(store.as_ref(), "sam@example.com", "second", 2).await;
    give(store.as_ref(), "eve@example.com", "hers", 2).await;
    assert_eq!(token_of(store.as_ref(), "sam@example.com").await, "second");
    assert!(store.open_grant(&account("sales"), &sender("sam@example.com")).await.unwrap().is_none());

    let sam = opened(store.as_ref(), "sam@example.com").await.unwrap();
    assert!(sam.row.version > first);
    assert_eq!((sam.row.granted_at, sam.row.renew_at, sam.row.refused_at), (at(2), Some(at(3_600)), None));
    assert_eq!(
        (sam.row.kind, sam.grant.kind, sam.grant.renew_at),
        (GrantKind::Consent, GrantKind::Consent, Some(at(3_600)))
    );
    assert!(!format!("{sam:?}").contains("second"), "nothing prints a secret");
    assert_eq!(sam.row.user_id.as_deref(), Some("id of sam@example.com"));
    let listed = store.grants(None).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|row| row.sender.as_str()).collect();
    assert_eq!(listed, ["eve@example.com", "sam@example.com"]);
    assert!(store.grants(Some(&account("sales"))).await.unwrap().is_empty());

    assert!(store.forget_grant(&hr, &sender("sam@example.com"), "cli", at(3)).await.unwrap());
    assert!(!store.forget_grant(&hr, &sender("sam@example.com"), "cli", at(3)).await.unwrap());
    assert!(opened(store.as_ref(), "sam@example.com").await.is_none());
    assert_eq!(token_of(store.as_ref(), "eve@example.com").await, "hers");
    let changes = store.entries(Some(Action::VaultChanged), &all()).await.unwrap().rows;
    assert_eq!(changes.len(), 4);
    assert!(changes.iter().all(|row| row.entry.account == "hr"));
    assert!(changes.iter().all(|row| !format!("{:?}", row.entry).contains('@')), "the journal names nobody");
    store.close().await.unwrap();
}

/// A record is wrapped anew; the secret itself is not touched.
pub async fn keys_rotate_and_a_missing_key_is_named(place: &dyn Place) {
    let store = place.open(vec![key("old", 1)]).await;
    for who in ["a", "b", "c"] {
        give(store.as_ref(), who, who, 1).await;
    }
    store.begin_consent(consent("state", "browser", 900), at(1)).await.unwrap();
    assert_eq!(store.key_uses().await.unwrap(), [("old".into(), 4)]);
    store.close().await.unwrap();
    drop(store);

    let store = place.open(vec![key("new", 2)]).await;
    let missing = |result: Result<(), StoreError>| matches!(result, Err(StoreError::KeyMissing { key }) if key == "old");
    assert!(missing(store.open_grant(&account("hr"), &sender("a")).await.map(|_| ())));
    assert!(missing(take(store.as_ref(), "state", "browser", 2).await.map(|_| ())));
    assert!(missing(store.rekey(9, at(2)).await.map(|_| ())));
    store.close().await.unwrap();
    drop(store);

    let store = place.open(vec![key("new", 2), key("old", 1)]).await;
    assert_eq!(token_of(store.as_ref(), "a").await, "a");
    assert_eq!(store.rekey(2, at(2)).await.unwrap(), 2);
    assert_eq!(store.key_uses().await.unwrap(), [("new".into(), 2), ("old".into(), 2)]);
    assert_eq!(store.rekey(2, at(2)).await.unwrap(), 0);
    assert_eq!(store.rekey(2, at(2)).await.unwrap(), 0);
    store.close().await.unwrap();
    drop(store);

    let store = place.open(vec![key("new", 2)]).await;
    for who in ["a", "b", "c"] {
        assert_eq!(token_of(store.as_ref(), who).await, who);
    }
    let kept = take(store.as_ref(), "state", "browser", 2).await.unwrap();
    assert_eq!(kept.unwrap().expose(), "verifier of state");
    store.close().await.unwrap();
    drop(store);
    let store = place.open(vec![key("new", 3)]).await;
    let other = store.open_grant(&account("hr"), &sender("a")).await;
    assert!(matches!(other, Err(StoreError::Damaged { .. })), "another key of that id");
    store.close().await.unwrap();
    drop(store);
    let store = place.open(Vec::new()).await;
    let new = NewGrant { account: account("hr"), sender: sender("z"), user_id: None, grant: grant("z") };
    let refused = store.seal_grant(new, "sender", at(5)).await;
    assert!(matches!(refused, Err(StoreError::KeyMissing { .. })), "without keys nothing is sealed");
    assert_eq!(store.grants(None).await.unwrap().len(), 3);
    store.close().await.unwrap();
}

/// A refresh token that is used twice kills the grant at some platforms.
pub async fn a_grant_is_renewed_by_one_and_only_from_its_newest_version(place: &dyn Place) {
    let store = place.open(vec![key("one", 1)]).await;
    let (hr, sam) = (account("hr"), sender("sam"));
    give(store.as_ref(), "sam", "first", 1).await;
    let version = opened(store.as_ref(), "sam").await.unwrap().row.version;
    let claim = async |version, second| {
        store.claim_renewal(&hr, &sam, version, at(second + 60), at(second)).await.unwrap()
    };
    let both = tokio::join!(claim(version, 10), claim(version, 10));
    assert!(both.0 != both.1, "one of two has the right");
    assert!(!claim(version, 69).await);
    assert!(claim(version, 70).await, "whoever died with it is followed");
    assert!(!claim(version + 1, 200).await);
    let replace =
        async |version, secret| store.replace_grant(&hr, &sam, version, grant(secret), at(80)).await.unwrap();
    store.mark_grant(&hr, &sam, version, Some(at(75)), None).await.unwrap();
    assert_eq!(opened(store.as_ref(), "sam").await.unwrap().row.refused_at, Some(at(75)));
    assert!(replace(version, "second").await);
    assert!(!replace(version, "too late").await);
    assert_eq!(token_of(store.as_ref(), "sam").await, "second");
    let row = opened(store.as_ref(), "sam").await.unwrap().row;
    assert_eq!((row.refused_at, row.granted_at), (None, at(1)));
    store.mark_grant(&hr, &sam, version, Some(at(90)), None).await.unwrap();
    assert_eq!(
        opened(store.as_ref(), "sam").await.unwrap().row.refused_at,
        None,
        "a word about the one before"
    );
    assert!(claim(row.version, 71).await, "the next renewal is free");

    assert!(store.forget_grant(&hr, &sam, "cli", at(100)).await.unwrap());
    assert!(!replace(row.version, "of the forgotten one").await);
    give(store.as_ref(), "sam", "anew", 101).await;
    for old in 0..=row.version {
        assert!(!replace(old, "of the forgotten one").await);
    }
    assert_eq!(token_of(store.as_ref(), "sam").await, "anew");
    store.close().await.unwrap();
}

/// Parks the transfer of each envelope for the access of the holder at its side.
async fn park(store: &dyn Store, place: &dyn Place, waiting: &[(&str, Holder)]) {
    for (envelope, _) in waiting {
        hear(store, place, envelope, NotificationKind::Finished, 1).await;
    }
    for claimed in store.claim(&account("hr"), &worker("a"), 99, LEASE, at(1)).await.unwrap() {
        let id = claimed.transfer.envelope_id.to_string();
        let (_, holder) = waiting.iter().find(|(envelope, _)| *envelope == id).unwrap();
        let refused = Error::new(ErrorKind::AccessRefused, Remedy::RenewAccess, "ask", "401");
        let mut transfer = claimed.transfer;
        let change = transfer.apply(Outcome::Failed(refused.met_with(holder.clone())), at(1), &pace());
        store.record(&claimed.lease, transfer, change, None, false, at(1)).await.unwrap();
    }
}

fn three_holders() -> [(&'static str, Holder); 5] {
    let [anna, bob] = ["anna@example.com", "bob@example.com"].map(|who| Holder::Sender(sender(who)));
    [("a1", anna.clone()), ("a2", anna), ("b1", bob), ("own1", Holder::Account), ("own2", Holder::Account)]
}

async fn due(store: &dyn Store, second: i64) -> BTreeSet<String> {
    let claimed = store.claim(&account("hr"), &worker("a"), 99, LEASE, at(second)).await.unwrap();
    claimed.iter().map(|claimed| claimed.transfer.envelope_id.to_string()).collect()
}

async fn parked(store: &dyn Store) -> [u64; 3] {
    let hr = account("hr");
    let [anna, bob] = ["anna@example.com", "bob@example.com"].map(|who| Holder::Sender(sender(who)));
    [
        store.parked_for(&hr, &anna).await.unwrap(),
        store.parked_for(&hr, &bob).await.unwrap(),
        store.parked_for(&hr, &Holder::Account).await.unwrap(),
    ]
}

/// However many wait for the others.
pub async fn a_given_grant_settles_its_task_and_wakes_that_senders_transfers_only(place: &dyn Place) {
    let store = place.open(vec![key("one", 1)]).await;
    park(store.as_ref(), place, &three_holders()).await;
    assert_eq!(parked(store.as_ref()).await, [2, 1, 2]);
    assert_eq!(store.overview().await.unwrap().open_tasks, 3);
    assert!(due(store.as_ref(), 10).await.is_empty());
    assert_eq!(give(store.as_ref(), "Anna@example.com", "token", 10).await, 2);
    assert_eq!(parked(store.as_ref()).await, [0, 1, 2]);
    assert_eq!(due(store.as_ref(), 10).await, ["a1", "a2"].map(String::from).into());
    let open = store.tasks(Some(true), &all()).await.unwrap().rows;
    assert!(open.iter().all(|task| task.assignee != "anna@example.com"));
    assert_eq!(open.len(), 2);
    assert_eq!(give(store.as_ref(), "carl@example.com", "token", 11).await, 0);
    store.close().await.unwrap();
}

/// In as many commits as that takes.
pub async fn a_given_grant_wakes_more_than_one_commit_does(place: &dyn Place) {
    let store = place.open(vec![key("one", 1)]).await;
    let many = ACCESS_RENEWALS_PER_COMMIT + 1;
    let mut told = news(NewsSource::Watch, "hr", "e", NotificationKind::Finished);
    told.notifications =
        (0..many).map(|n| notification(&format!("e{n}"), NotificationKind::Finished)).collect();
    store.announce(vec![told], at(1), pace()).await.unwrap();
    let mut steps = tokio::task::JoinSet::new();
    for claimed in store.claim(&account("hr"), &worker("a"), many, LEASE, at(1)).await.unwrap() {
        let store = store.clone();
        steps.spawn(async move {
            let anna = Holder::Sender(sender("anna@example.com"));
            let refused = Error::new(ErrorKind::AccessRefused, Remedy::RenewAccess, "ask", "401");
            let mut transfer = claimed.transfer;
            let change = transfer.apply(Outcome::Failed(refused.met_with(anna)), at(1), &pace());
            store.record(&claimed.lease, transfer, change, None, false, at(1)).await.unwrap();
        });
    }
    steps.join_all().await;
    assert_eq!(parked(store.as_ref()).await, [many as u64, 0, 0]);
    assert_eq!(store.overview().await.unwrap().open_tasks, 1, "one task, however many wait");
    assert_eq!(give(store.as_ref(), "anna@example.com", "token", 2).await, many as u64);
    assert_eq!(parked(store.as_ref()).await, [0, 0, 0]);
    store.close().await.unwrap();
}

/// Whoever gave it woke only what no worker held; and the sender must not be asked for what they have just given.
pub async fn access_that_is_given_while_a_worker_finds_it_missing_parks_nothing(place: &dyn Place) {
    let store = place.open(vec![key("one", 1)]).await;
    hear(store.as_ref(), place, "e1", NotificationKind::Finished, 1).await;
    // The last one was given long before, and is refused all the same.
    for (given_at, parks) in [(150, false), (119, false), (5, true)] {
        let claimed = store.claim(&account("hr"), &worker("a"), 1, LEASE, at(10)).await.unwrap().remove(0);
        give(store.as_ref(), "anna@example.com", "fresh", given_at).await;
        let refused = Error::new(ErrorKind::AccessRefused, Remedy::RenewAccess, "ask", "401")
            .met_with(Holder::Sender(sender("anna@example.com")));
        let mut transfer = claimed.transfer;
        let change = transfer.apply(Outcome::Failed(refused), at(160), &pace());
        let attempt = Attempt {
            step: "ask".into(),
            subject: String::new(),
            started_at: at(120),
            duration_ms: 1,
            error: Some("401".into()),
        };
        let recorded =
            store.record(&claimed.lease, transfer, change, Some(attempt), false, at(160)).await.unwrap();
        assert_eq!((recorded.parked.is_some(), recorded.phase), (parks, Phase::Ask));
        let due = recorded.due_at.unwrap() == at(160);
        assert_eq!(due, !parks, "it asks again at once with what was given");
        let tasks = store.tasks(Some(true), &all()).await.unwrap().rows;
        assert_eq!(tasks.len(), usize::from(parks), "{tasks:?}");
        store.redrive(recorded.id, "test", at(10)).await.unwrap();
    }
    store.close().await.unwrap();
}

/// Found out by one transfer whose step succeeds.
pub async fn an_access_that_works_wakes_what_waits_for_it_and_nothing_else(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    park(store.as_ref(), place, &three_holders()).await;
    let probes = store.claim(&account("hr"), &worker("a"), 99, LEASE, at(2_000)).await.unwrap();
    let (mut probe, mut others) = (None, Vec::new());
    for claimed in probes {
        if claimed.transfer.envelope_id.as_str() == "a1" {
            probe = Some(claimed)
        } else {
            others.push(claimed)
        }
    }
    for claimed in others {
        let mut transfer = claimed.transfer;
        let holder = transfer.waits_for.clone();
        let change = transfer.apply(Outcome::StillRefused(holder), at(2_000), &pace());
        store.record(&claimed.lease, transfer, change, None, false, at(2_000)).await.unwrap();
    }
    assert_eq!(parked(store.as_ref()).await, [2, 1, 2]);
    let probe = probe.unwrap();
    let mut transfer = probe.transfer;
    let found = Outcome::Found(Box::new(answer("a1", EnvelopeStatus::Sent)), None);
    let change = transfer.apply(found, at(2_001), &pace());
    store.record(&probe.lease, transfer, change, None, false, at(2_001)).await.unwrap();
    assert_eq!(parked(store.as_ref()).await, [0, 1, 2]);
    assert!(due(store.as_ref(), 2_001).await.contains("a2"));
    store.close().await.unwrap();
}

/// Whatever is done to it.
pub async fn a_token_opens_for_its_purpose_with_a_key_of_the_ring_only(place: &dyn Place) {
    let store = place.open(vec![key("old", 1)]).await;
    let text = Secret::new("hr/anna@example.com");
    let token = store.seal_token(Purpose::RenewalLink, &text).unwrap();
    let token = token.expose();
    assert!(token.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)));
    assert_ne!(store.seal_token(Purpose::RenewalLink, &text).unwrap().expose(), token);
    let open = |store: &dyn Store, token: &str| {
        store.open_token(Purpose::RenewalLink, token).map(|text| text.expose().to_string())
    };
    assert_eq!(open(store.as_ref(), token).as_deref(), Some("hr/anna@example.com"));
    assert!(store.open_token(Purpose::Session, token).is_none(), "of another purpose");
    for cut in 0..token.len() {
        assert_eq!(open(store.as_ref(), &token[..cut]), None, "cut after {cut}");
        let other = if token.as_bytes()[cut] == b'A' { "B" } else { "A" };
        let altered = format!("{}{other}{}", &token[..cut], &token[cut + 1..]);
        assert_eq!(open(store.as_ref(), &altered), None, "altered at {cut}");
    }
    for foreign in [format!("{token}A"), format!("{token}=="), "ä".into(), "A".repeat(1_000_000)] {
        assert_eq!(open(store.as_ref(), &foreign), None);
    }
    let long = store.seal_token(Purpose::Session, &Secret::new("x".repeat(4_000)));
    assert!(long.unwrap_err().to_string().contains("too long"));
    store.close().await.unwrap();
    drop(store);
    let store = place.open(vec![key("new", 2), key("old", 1)]).await;
    assert_eq!(open(store.as_ref(), token).as_deref(), Some("hr/anna@example.com"));
    store.close().await.unwrap();
    drop(store);
    for ring in [vec![key("new", 2)], vec![key("old", 3)], Vec::new()] {
        let store = place.open(ring).await;
        assert_eq!(open(store.as_ref(), token), None);
        store.close().await.unwrap();
    }
}

fn consent(state: &str, browser: &str, until: i64) -> NewConsent {
    NewConsent {
        account: account("hr"),
        state: Digest::of(state.as_bytes()),
        browser: Digest::of(browser.as_bytes()),
        keep: Secret::new(format!("verifier of {state}")),
        expires_at: at(until),
    }
}

async fn take(
    store: &dyn Store,
    state: &str,
    browser: &str,
    second: i64,
) -> Result<Option<Secret>, StoreError> {
    let (state, browser) = (Digest::of(state.as_bytes()), Digest::of(browser.as_bytes()));
    store.take_consent(&account("hr"), state, browser, at(second)).await
}

/// Within its time, and also after a restart.
pub async fn a_consent_is_taken_once_by_the_browser_that_began_it(place: &dyn Place) {
    let store = place.open(vec![key("one", 1)]).await;
    for state in ["s1", "s2", "s3"] {
        store.begin_consent(consent(state, "anna's", 900), at(1)).await.unwrap();
    }
    assert!(take(store.as_ref(), "s1", "eve's", 2).await.unwrap().is_none(), "a wrong browser");
    assert!(take(store.as_ref(), "s9", "anna's", 2).await.unwrap().is_none(), "a state that nobody began");
    let (state, browser) = (Digest::of(b"s1"), Digest::of(b"anna's"));
    assert!(store.take_consent(&account("sales"), state, browser, at(2)).await.unwrap().is_none());
    store.close().await.unwrap();
    drop(store);
    let store = place.open(vec![key("one", 1)]).await;
    let both = tokio::join!(take(store.as_ref(), "s1", "anna's", 2), take(store.as_ref(), "s1", "anna's", 2));
    let taken: Vec<_> = [both.0, both.1].into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(taken.iter().map(Secret::expose).collect::<Vec<_>>(), ["verifier of s1"], "once");
    assert!(take(store.as_ref(), "s2", "anna's", 900).await.unwrap().is_none(), "it expired");
    store.begin_consent(consent("s4", "anna's", 1_900), at(900)).await.unwrap();
    assert_eq!(store.key_uses().await.unwrap(), [("one".into(), 1)], "what expired is forgotten");
    assert!(take(store.as_ref(), "s3", "anna's", 2).await.unwrap().is_none());
    store.rekey(9, at(1_900)).await.unwrap();
    assert_eq!(store.key_uses().await.unwrap(), [("one".into(), 0)], "nor does a rotation need its key");
    store.begin_consent(consent("s4", "anna's", 1_900), at(900)).await.unwrap();
    assert!(take(store.as_ref(), "s4", "anna's", 901).await.unwrap().is_some());
    store.close().await.unwrap();
}

/// And refuses nobody.
pub async fn a_flood_of_consents_puts_out_the_oldest(place: &dyn Place) {
    let store = place.open(vec![key("one", 1)]).await;
    for state in ["first", "second", "third"] {
        store.begin_consent(consent(state, "anna's", 900), at(1)).await.unwrap();
    }
    let mut flood = tokio::task::JoinSet::new();
    for n in 0..CONSENTS_MAX - 1 {
        let store = store.clone();
        flood.spawn(async move { store.begin_consent(consent(&n.to_string(), "eve's", 900), at(2)).await });
    }
    assert!(flood.join_all().await.iter().all(Result::is_ok));
    assert_eq!(store.key_uses().await.unwrap(), [("one".into(), CONSENTS_MAX as u64)]);
    assert!(take(store.as_ref(), "second", "anna's", 3).await.unwrap().is_none());
    assert!(take(store.as_ref(), "third", "anna's", 3).await.unwrap().is_some());
    store.begin_consent(consent("honest", "anna's", 900), at(3)).await.unwrap();
    assert!(take(store.as_ref(), "honest", "anna's", 4).await.unwrap().is_some());
    store.close().await.unwrap();
}

async fn claim_draft(store: &dyn Store, second: i64) -> DraftClaim {
    store.claim_draft(&account("hr"), "d1", LEASE, at(second)).await.unwrap()
}

/// The token of a claim that found the draft in `state`.
fn ours(claim: DraftClaim, state: DraftState) -> u64 {
    match claim {
        DraftClaim::Ours { token, state: found, .. } => {
            assert_eq!(found, state);
            token
        }
        DraftClaim::Busy => panic!("it should be ours"),
    }
}

/// Two clicks send once.
pub async fn a_draft_is_claimed_by_one_and_fenced(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let hr = account("hr");
    let two = tokio::join!(claim_draft(store.as_ref(), 1), claim_draft(store.as_ref(), 1));
    let (first, second) = if two.0 == DraftClaim::Busy { (two.1, two.0) } else { two };
    assert_eq!(second, DraftClaim::Busy);
    let first = ours(first, DraftState::Unsent);
    assert_eq!(claim_draft(store.as_ref(), 60).await, DraftClaim::Busy);
    let elsewhere = store.claim_draft(&account("sales"), "d1", LEASE, at(1)).await.unwrap();
    ours(elsewhere, DraftState::Unsent);

    let next = ours(claim_draft(store.as_ref(), 61).await, DraftState::Unsent);
    let lost = store.ask_draft(&hr, "d1", &sender("anna"), first, at(62)).await;
    assert!(matches!(lost, Err(StoreError::LeaseLost)), "who lost the lease must not ask");
    store.ask_draft(&hr, "d1", &sender("bob"), next, at(63)).await.unwrap();
    store.release_draft(&hr, "d1", first, true).await.unwrap();
    assert_eq!(claim_draft(store.as_ref(), 64).await, DraftClaim::Busy, "nor let it go");
    let unclear = store.unclear_drafts(at(0), at(99), 9).await.unwrap();
    assert_eq!(unclear.iter().map(|draft| draft.sender.as_str()).collect::<Vec<_>>(), ["bob"]);
    store.release_draft(&hr, "d1", next, true).await.unwrap();
    assert!(store.unclear_drafts(at(0), at(99), 9).await.unwrap().is_empty());
    let again = ours(claim_draft(store.as_ref(), 65).await, DraftState::Unsent);
    let unknown = store.ask_draft(&hr, "unknown", &sender("anna"), again, at(66)).await;
    assert!(matches!(unknown, Err(StoreError::LeaseLost)));
    store.close().await.unwrap();
}

/// A crash after the platform was asked is no second sending.
pub async fn a_draft_that_may_have_been_sent_stays_so_until_it_is_known(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let hr = account("hr");
    let token = ours(claim_draft(store.as_ref(), 1).await, DraftState::Unsent);
    store.ask_draft(&hr, "d1", &sender("anna"), token, at(2)).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let store = place.open(Vec::new()).await;
    let token = ours(claim_draft(store.as_ref(), 100).await, DraftState::Asked { first: at(2), last: at(2) });
    store.ask_draft(&hr, "d1", &sender("bob"), token, at(101)).await.unwrap();
    store.release_draft(&hr, "d1", token, false).await.unwrap();
    ours(claim_draft(store.as_ref(), 102).await, DraftState::Asked { first: at(2), last: at(101) });
    assert!(store.unclear_drafts(at(0), at(2), 9).await.unwrap().is_empty());
    let unclear = store.unclear_drafts(at(0), at(3), 9).await.unwrap();
    let unclear: Vec<_> =
        unclear.iter().map(|draft| (draft.draft.as_str(), draft.sender.as_str(), draft.asked_at)).collect();
    assert_eq!(unclear, [("d1", "anna", at(2))], "who asked first is who sends it");
    assert!(store.unclear_drafts(at(0), at(3), 0).await.unwrap().is_empty());
    assert!(store.unclear_drafts(at(3), at(9), 9).await.unwrap().is_empty(), "what is too old is given up");
    let claim = claim_draft(store.as_ref(), 900).await;
    let DraftClaim::Ours { asked_by, .. } = claim else { panic!("{claim:?}") };
    assert_eq!(asked_by, Some(sender("anna")));
    store.close().await.unwrap();
}

async fn drafts_in_journal(store: &dyn Store) -> Vec<String> {
    let rows = store.entries(Some(Action::DraftSent), &all()).await.unwrap().rows;
    rows.into_iter().rev().map(|row| format!("{} {}", row.entry.envelope, row.entry.detail)).collect()
}

/// Twice has the effect of once.
pub async fn a_sent_draft_is_known_with_its_envelopes_in_one_commit(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let hr = account("hr");
    let token = ours(claim_draft(store.as_ref(), 1).await, DraftState::Unsent);
    store.ask_draft(&hr, "d1", &sender("anna@example.com"), token, at(2)).await.unwrap();
    let ids = ["e1", "e2"].map(EnvelopeId::new);
    let watch = store.watch();
    let before = *watch.borrow();
    let anna = sender("anna@example.com");
    store.draft_sent(&hr, "test-sign", "d1", &anna, &ids, at(3), pace()).await.unwrap();
    assert_eq!(*watch.borrow(), before + 1, "one commit");
    store.draft_sent(&hr, "test-sign", "d1", &anna, &ids, at(4), pace()).await.unwrap();
    for id in &ids {
        assert_eq!(store.sender_of(&hr, id).await.unwrap().as_deref(), Some("anna@example.com"));
        let detail = store.envelope(Some(&hr), id).await.unwrap().unwrap();
        assert_eq!(detail.row.known.status, EnvelopeStatus::Sent);
        assert!(detail.transfer.unwrap().due_at.is_some());
        let lines: Vec<_> = detail
            .timeline
            .iter()
            .map(|line| (line.source.as_str(), line.kind_at_platform.as_str()))
            .collect();
        assert_eq!(lines, [("server", "draft sent")]);
    }
    assert_eq!(drafts_in_journal(store.as_ref()).await, ["e1 draft d1", "e2 draft d1"]);
    assert!(store.unclear_drafts(at(0), at(99), 9).await.unwrap().is_empty());
    let token = ours(claim_draft(store.as_ref(), 5).await, DraftState::Sent(ids.to_vec()));
    ours(claim_draft(store.as_ref(), 5).await, DraftState::Sent(ids.to_vec()));
    let asked = store.ask_draft(&hr, "d1", &sender("bob"), token, at(6)).await;
    assert!(matches!(asked, Err(StoreError::LeaseLost)), "what was sent is never sent again");
    store.release_draft(&hr, "d1", token, true).await.unwrap();
    ours(claim_draft(store.as_ref(), 7).await, DraftState::Sent(ids.to_vec()));

    // A fact that needs no claim: nobody of ours asked, and a bulk of none.
    store.draft_sent(&hr, "test-sign", "d2", &anna, &[EnvelopeId::new("e3")], at(8), pace()).await.unwrap();
    store.draft_sent(&hr, "test-sign", "d3", &anna, &[], at(8), pace()).await.unwrap();
    for (draft, sent) in [("d2", vec![EnvelopeId::new("e3")]), ("d3", Vec::new())] {
        let claim = store.claim_draft(&hr, draft, LEASE, at(9)).await.unwrap();
        ours(claim, DraftState::Sent(sent));
    }
    store.close().await.unwrap();
}

/// Whoever is told first; only drafts of ours count, and only those that the platform was asked to send.
pub async fn a_callback_tells_that_a_draft_was_sent(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let hr = account("hr");
    let tell = async |envelope: &str, draft: &str, second| {
        let mut heard = news(NewsSource::Watch, "hr", envelope, NotificationKind::Sent);
        heard.notifications[0] = aftersign_core::callback::Notification {
            draft: Some(draft.into()),
            sender: None,
            ..notification(envelope, NotificationKind::Sent)
        };
        store.announce(vec![heard], at(second), pace()).await.unwrap();
    };
    let token = ours(claim_draft(store.as_ref(), 1).await, DraftState::Unsent);
    tell("e0", "d1", 2).await;
    assert_eq!(
        store.sender_of(&hr, &EnvelopeId::new("e0")).await.unwrap(),
        None,
        "its sender sent it elsewhere"
    );
    assert_eq!(claim_draft(store.as_ref(), 2).await, DraftClaim::Busy, "nobody asked for it yet");
    store.ask_draft(&hr, "d1", &sender("anna"), token, at(3)).await.unwrap();
    store.note_sender(&hr, &EnvelopeId::new("e2"), "noted before", at(1)).await.unwrap();
    let unclear = TaskDraft {
        key: TaskDraft::draft_key(&hr, "d1"),
        ..TaskDraft::for_account(TaskKind::SendUnclear, &hr, "unclear".into(), "look")
    };
    let mut watch = news(NewsSource::Watch, "hr", "e1", NotificationKind::Sent);
    watch.notifications.clear();
    watch.open_tasks.push(unclear);
    store.announce(vec![watch], at(3), pace()).await.unwrap();
    tell("e1", "d1", 4).await;
    assert!(store.tasks(Some(true), &all()).await.unwrap().rows.is_empty(), "it is clear now");
    tell("e2", "d1", 5).await;
    tell("e1", "d1", 6).await;
    tell("e9", "of somebody else", 6).await;
    let sent = ["e1", "e2"].map(EnvelopeId::new);
    let linked = DraftState::Sent(sent[..1].to_vec());
    ours(claim_draft(store.as_ref(), 7).await, linked);
    assert_eq!(store.sender_of(&hr, &sent[0]).await.unwrap().as_deref(), Some("anna"));
    assert_eq!(store.sender_of(&hr, &sent[1]).await.unwrap().as_deref(), Some("noted before"));
    assert_eq!(store.sender_of(&hr, &EnvelopeId::new("e9")).await.unwrap(), None);

    // The answer of the one who asked comes last, and adds what no callback told.
    let all_three = ["e1", "e2", "e3"].map(EnvelopeId::new);
    store.draft_sent(&hr, "test-sign", "d1", &sender("anna"), &all_three, at(8), pace()).await.unwrap();
    assert_eq!(drafts_in_journal(store.as_ref()).await, ["e1 draft d1", "e2 draft d1", "e3 draft d1"]);
    let first = store.envelope(Some(&hr), &all_three[0]).await.unwrap().unwrap();
    assert_eq!(first.timeline.len(), 1);
    let transfers = store.transfers(&TransferFilter::default(), &all()).await.unwrap().rows;
    assert_eq!(transfers.len(), 5);
    store.close().await.unwrap();
}
