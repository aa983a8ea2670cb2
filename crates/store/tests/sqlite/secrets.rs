//! What somebody finds who has the file, and what somebody can do who writes into it.

use std::path::Path;

use aftersign_core::Timestamp;
use aftersign_core::digest::Digest;
use aftersign_core::grant::{Grant, GrantKind};
use aftersign_core::ids::{AccountId, SenderId};
use aftersign_core::platform::Credential;
use aftersign_core::secret::Secret;
use aftersign_store::conformance::Place;
use aftersign_store::{NewConsent, NewGrant, Purpose, Store, StoreError, VaultKey};
use rusqlite::Connection;
use zeroize::Zeroizing;

use crate::place::{Folder, place};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn key() -> Vec<VaultKey> {
    vec![VaultKey { id: "one".into(), key: Zeroizing::new([7; 32]) }]
}

fn hr() -> AccountId {
    AccountId::new("hr")
}

fn sender(text: &str) -> SenderId {
    SenderId::new(text).unwrap()
}

fn grant(token: &str, refresh: &str) -> Grant {
    Grant {
        kind: GrantKind::Consent,
        credential: Credential::new([("access_token".into(), Secret::new(token))]),
        refresh_token: Some(Secret::new(refresh)),
        renew_at: None,
    }
}

/// Seals a grant of account `hr`.
pub(crate) async fn give(store: &dyn Store, who: &str, token: &str) {
    let grant = grant(token, &format!("refresh {token}"));
    let new = NewGrant { account: hr(), sender: sender(who), user_id: Some(who.into()), grant };
    store.seal_grant(new, "sender", at(1)).await.unwrap();
}

fn tamper(place: &Folder, sql: &str) {
    Connection::open(place.path()).unwrap().execute_batch(sql).unwrap();
}

fn consent(state: &str, keep: &str) -> NewConsent {
    let [state, browser] = [state, "browser"].map(|text| Digest::of(text.as_bytes()));
    NewConsent { account: hr(), state, browser, keep: Secret::new(keep), expires_at: at(900) }
}

#[tokio::test]
async fn a_sealed_grant_opens_at_its_own_place_only() {
    for sql in [
        "UPDATE vault SET sender = 'x' WHERE sender = 'a';
         UPDATE vault SET sender = 'a' WHERE sender = 'b'; UPDATE vault SET sender = 'b' WHERE sender = 'x'",
        "UPDATE vault SET (key_id, wrapped, sealed) =
             (SELECT v.key_id, v.wrapped, v.sealed FROM vault v WHERE v.sender = 'b') WHERE sender = 'a'",
        "UPDATE vault SET sealed = (SELECT v.sealed FROM vault v WHERE v.sender = 'b') WHERE sender = 'a'",
        "UPDATE vault SET wrapped = (SELECT v.wrapped FROM vault v WHERE v.sender = 'b') WHERE sender = 'a'",
        "UPDATE vault SET (key_id, wrapped, sealed) = (SELECT key_id, wrapped, sealed FROM consents) WHERE sender = 'a'",
        "UPDATE vault SET wrapped = sealed, sealed = wrapped WHERE sender = 'a'",
        "UPDATE vault SET sealed = zeroblob(3) WHERE sender = 'a'",
        "UPDATE vault SET wrapped = zeroblob(0) WHERE sender = 'a'",
    ] {
        let place = place();
        let store = place.open(key()).await;
        give(store.as_ref(), "a", "secret of a").await;
        give(store.as_ref(), "b", "secret of b").await;
        store.begin_consent(consent("s", "kept"), at(1)).await.unwrap();
        tamper(&place, sql);
        let opened = store.open_grant(&hr(), &sender("a")).await;
        let Err(StoreError::Damaged { reason, .. }) = opened else { panic!("{sql}") };
        assert!(reason.contains("account hr") && reason.contains("given again"), "{reason}");
    }
}

#[tokio::test]
async fn a_consent_put_under_another_state_browser_or_account_does_not_open_and_is_not_lost() {
    let place = place();
    let store = place.open(key()).await;
    store.begin_consent(consent("s1", "kept"), at(1)).await.unwrap();
    let [s1, s2, browser] = ["s1", "s2", "browser"].map(|text| Digest::of(text.as_bytes()));
    let hex = |digest: Digest| digest.to_string();
    for (there, back, account, state) in [
        (format!("state = x'{}'", hex(s2)), format!("state = x'{}'", hex(s1)), "hr", s2),
        ("account = 'sales'".into(), "account = 'hr'".into(), "sales", s1),
    ] {
        tamper(&place, &format!("UPDATE consents SET {there}"));
        let taken = store.take_consent(&AccountId::new(account), state, browser, at(2)).await;
        assert!(matches!(taken, Err(StoreError::Damaged { .. })));
        tamper(&place, &format!("UPDATE consents SET {back}"));
    }
    let other = Digest::of(b"other");
    tamper(&place, &format!("UPDATE consents SET browser = x'{other}'"));
    assert!(store.take_consent(&hr(), s1, other, at(2)).await.is_err());
    tamper(&place, &format!("UPDATE consents SET browser = x'{browser}'"));
    assert_eq!(store.take_consent(&hr(), s1, browser, at(2)).await.unwrap().unwrap().expose(), "kept");
}

#[tokio::test]
async fn no_file_holds_a_secret_in_the_clear() {
    let place = place();
    let store = place.open(key()).await;
    let sam = sender("sam");
    let secrets = [
        "correct-horse",
        "battery-staple",
        "renewed-token",
        "renewed-refresh",
        "code-verifier",
        "link-of-sam",
    ];
    let [token, refresh, renewed, next_refresh, verifier, link] = secrets;
    let files =
        || std::fs::read_dir(place.path().parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let holds = |path: &Path, text: &str| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    let nowhere = |step: &str| {
        for secret in secrets {
            assert!(files().all(|path| !holds(&path, secret)), "{secret} after {step}");
        }
    };
    let new = NewGrant { account: hr(), sender: sam.clone(), user_id: None, grant: grant(token, refresh) };
    store.seal_grant(new, "sender", at(1)).await.unwrap();
    nowhere("sealing");
    let version = store.open_grant(&hr(), &sam).await.unwrap().unwrap().row.version;
    assert!(store.replace_grant(&hr(), &sam, version, grant(renewed, next_refresh), at(2)).await.unwrap());
    nowhere("renewing");
    store.begin_consent(consent("state", verifier), at(3)).await.unwrap();
    let sealed = store.seal_token(Purpose::RenewalLink, &Secret::new(link)).unwrap();
    assert!(!sealed.expose().contains(link));
    nowhere("a consent and a token");
    assert!(
        files().any(|path| holds(&path, "a sender's grant was stored")),
        "the search finds what is there"
    );
    let (state, browser) = (Digest::of(b"state"), Digest::of(b"browser"));
    assert!(store.take_consent(&hr(), state, browser, at(4)).await.unwrap().is_some());
    assert!(store.forget_grant(&hr(), &sam, "cli", at(5)).await.unwrap());
    nowhere("forgetting");
    store.close().await.unwrap();
    nowhere("closing");
}
