//! `accounts register` and what `check` tells of the same.

use serde_json::json;

use crate::platform::Platform;
use crate::site::{CALLBACK_KEY, FORMER, PUBLIC, SECRET, Site, account, another_account, api_key, tokens};

const REGISTER: [&str; 3] = ["accounts", "register", "legal"];

fn site(platform: &Platform) -> Site {
    Site::new(&[account("legal", &platform.base_url, &api_key()), another_account()])
}

fn ours(secret: &str) -> String {
    format!("{PUBLIC}/callbacks/legal/{secret}")
}

fn with(more: &[&'static str]) -> Vec<&'static str> {
    [&REGISTER, more].concat()
}

#[test]
fn a_look_tells_the_difference_changes_nothing_and_ends_with_1() {
    let platform = Platform::start();
    platform.register("https://erp.example.com/hooks/secret-of-another", &["PACKAGE_COMPLETE", "OLD_EVENT"]);
    let site = site(&platform);
    let look = site.run(&REGISTER).with(1);
    for words in
        ["another integration's, at erp.example.com", "PACKAGE_DECLINE", "OLD_EVENT", "sign.example.com"]
    {
        assert!(look.out.contains(words), "{words}: {}", look.out);
    }
    assert!(look.err.contains("next: aftersign accounts register legal --apply --replace"), "{}", look.err);
    let told = site.run(&with(&["--json"])).with(1).json();
    assert_eq!((&told["leads_to"], &told["host"]), (&json!("another"), &json!("erp.example.com")));
    assert_eq!((&told["in_order"], &told["applied"]), (&json!(false), &json!(false)));
    assert_eq!(told["surplus_events"], json!(["OLD_EVENT"]));
    assert_eq!(told["missing_events"].as_array().map(Vec::len), Some(20));
    assert_eq!(platform.registrations(), 0);
}

#[test]
fn ours_is_registered_with_the_current_secret_the_first_key_and_all_events() {
    let platform = Platform::start();
    let site = site(&platform);
    let nothing = site.run(&with(&["--json"])).with(1).json();
    assert_eq!((&nothing["leads_to"], &nothing["host"]), (&json!("nobody"), &json!(null)));
    let applied = site.run(&with(&["--apply"])).with(0);
    assert!(
        applied.out.contains("registered; now the URL registered at the platform is ours"),
        "{}",
        applied.out
    );
    let registered = platform.registered();
    assert_eq!((&registered["url"], &registered["key"]), (&json!(ours(SECRET)), &json!(CALLBACK_KEY)));
    assert_eq!(registered["events"].as_array().map(Vec::len), Some(21));
    assert!(site.run(&REGISTER).with(0).out.contains("nothing to do"));
    assert_eq!(platform.registrations(), 1);
    // The key that the platform has cannot be seen, so a new one is brought there by the same command.
    platform.register(&ours(SECRET), &[]);
    site.run(&with(&["--apply"])).with(0);
    assert_eq!(platform.registered()["key"], CALLBACK_KEY);
}

#[test]
fn another_integrations_callback_is_replaced_on_an_explicit_word_only() {
    let platform = Platform::start();
    let foreign = "https://erp.example.com/hooks/secret-of-another";
    platform.register(foreign, &["PACKAGE_COMPLETE"]);
    let site = site(&platform);
    let refused = site.run(&with(&["--apply"])).with(1);
    assert!(
        refused.err.contains("nothing was changed") && refused.err.contains("--replace"),
        "{}",
        refused.err
    );
    assert_eq!(platform.registered()["url"], foreign);
    site.run(&with(&["--replace"])).with(2);
    let replaced = site.run(&with(&["--apply", "--replace", "--json"])).with(0).json();
    assert_eq!((&replaced["leads_to"], &replaced["applied"]), (&json!("us"), &json!(true)));
    assert_eq!(platform.registered()["url"], ours(SECRET));
}

#[test]
fn a_url_of_ours_with_another_path_secret_is_replaced_without_further_ado() {
    let platform = Platform::start();
    let site = site(&platform);
    for (url, leads_to) in
        [(ours(FORMER), "us_by_former_secret"), (ours("a-secret-that-was-withdrawn"), "us_by_wrong_secret")]
    {
        platform.register(&url, &[]);
        assert_eq!(site.run(&with(&["--json"])).with(1).json()["leads_to"], leads_to);
        site.run(&with(&["--apply"])).with(0);
        assert_eq!(platform.registered()["url"], ours(SECRET));
    }
}

#[test]
fn an_event_that_the_platform_does_not_know_is_told_and_is_no_failure() {
    let platform = Platform::start();
    platform.refuse_events(&["PACKAGE_OPT_OUT"]);
    let site = site(&platform);
    let applied = site.run(&with(&["--apply"])).with(0);
    assert!(applied.out.ends_with("events missing:   PACKAGE_OPT_OUT\n"), "{}", applied.out);
    assert_eq!(platform.registered()["events"].as_array().map(Vec::len), Some(20));
}

#[test]
fn both_kinds_of_token_open_the_account() {
    let platform = Platform::start();
    for flow in ["client-app", "oauth2"] {
        let site = Site::new(&[account("legal", &platform.base_url, &tokens(flow))]);
        site.run(&with(&["--apply"])).with(0);
        let report = site.run(&["check", "--json"]).with(0).json();
        let of = |check: &str| {
            let rows = report["checks"].as_array().into_iter().flatten();
            rows.rev().find(|row| row["check"] == check).cloned().unwrap_or_default()
        };
        assert_eq!(of("account")["result"], "ok", "{flow}: {report}");
        assert_eq!(of("callback")["result"], "ok", "{flow}: {report}");
    }
    assert_eq!(platform.registrations(), 2);
}

#[test]
fn check_warns_of_a_registration_that_is_not_ours_or_tells_too_little() {
    let platform = Platform::start();
    let site = site(&platform);
    for (url, words) in [
        (ours(SECRET), "does not tell of PACKAGE_CREATE"),
        (ours("a-secret-that-was-withdrawn"), "a path secret that is not valid"),
        ("https://erp.example.com/secret-of-another".into(), "it leads to erp.example.com"),
    ] {
        platform.register(&url, &["PACKAGE_COMPLETE"]);
        // The other account does not answer.
        let checked = site.run(&["check"]).with(1);
        let warned = checked.out.lines().find(|line| line.starts_with("warning: callback legal"));
        assert!(warned.is_some_and(|line| line.contains(words)), "{words}: {}", checked.out);
        assert!(checked.out.contains("`aftersign accounts register legal`"), "{}", checked.out);
    }
}

#[test]
fn what_cannot_be_done_is_told_with_what_to_do_instead() {
    let platform = Platform::start();
    let site = site(&platform);
    let by_hand = site.run(&["accounts", "register", "sales", "--apply"]).with(1);
    assert!(by_hand.err.contains("by hand") && by_hand.err.contains("accounts urls"), "{}", by_hand.err);
    let unknown = site.run(&["accounts", "register", "hq"]).with(2);
    assert!(
        unknown.err.contains("no account `hq`") && unknown.err.contains("legal, sales"),
        "{}",
        unknown.err
    );
    let wrong = Site::new(&[account("legal", &platform.base_url, "{ api_key = \"wrong-key\" }")]);
    let refused = wrong.run(&with(&["--apply"])).with(1);
    assert!(refused.err.contains("legal: ") && !refused.err.contains("wrong-key"), "{}", refused.err);
    assert_eq!(platform.registrations(), 0);
}
