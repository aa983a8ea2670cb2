//! `callbacks import`: the platform's own failure e-mail, replays made by hand, and texts that are broken.

use std::fs;

use serde_json::Value;

use crate::site::{Ended, Site, account, another_account, api_key};

const SEED: &str = include_str!("../../../platforms/src/onespan/fixtures/seed_payloads.txt");
const MAIL: &str = include_str!("../../../platforms/src/onespan/fixtures/failure_mail.txt");
const REPLAYS: &str = include_str!("../../../platforms/src/onespan/fixtures/replays.json");
/// Nothing listens there: an import asks no platform.
const NOWHERE: &str = "http://127.0.0.1:9";

fn site() -> Site {
    Site::new(&[another_account(), account("legal", NOWHERE, &api_key())])
}

fn import(site: &Site, text: &str) -> Ended {
    fs::write(site.path("text"), text).expect("the text");
    site.run(&["callbacks", "import", "text", "--json"])
}

fn dispositions(imported: &Value) -> Vec<&str> {
    let rows = imported["imported"].as_array().into_iter().flatten();
    rows.map(|row| row["disposition"].as_str().unwrap_or_default()).collect()
}

fn noted(site: &Site) -> usize {
    let list = site.run(&["callbacks", "list", "--json"]).with(0).json();
    list["callbacks"].as_array().map(Vec::len).unwrap_or_default()
}

#[test]
fn the_vendors_own_payloads_are_noted_once_however_often_they_are_imported() {
    let site = site();
    let first = import(&site, SEED).with(0).json();
    assert_eq!(first["account"], "legal");
    assert_eq!(dispositions(&first), ["noted"; 7]);
    assert_eq!(first["imported"][5]["kind"], "PACKAGE_COMPLETE");
    assert_eq!(first["imported"][5]["envelope_id"], "5n4obeO8jYoPp126Cm-Y3fxdfbo=");
    let again = import(&site, SEED).with(0).json();
    assert_eq!(dispositions(&again), ["repeat"; 7]);
    assert!(again["imported"][0]["id"].is_null(), "{again}");
    assert_eq!(noted(&site), 7);
    let shown =
        site.run(&["callbacks", "show", first["imported"][0]["id"].as_str().unwrap_or_default(), "--json"]);
    let shown = shown.with(0).json();
    assert_eq!((&shown["remote"], &shown["repeats"]), (&"import".into(), &1.into()));
    let journal = site.run(&["journal", "list", "--json"]).with(0).json();
    assert_eq!(journal["entries"].as_array().map(Vec::len), Some(2), "{journal}");
    let entry = &journal["entries"][0];
    assert_eq!((&entry["actor"], &entry["account"]), (&"cli".into(), &"legal".into()));
    assert!(
        entry["detail"].as_str().is_some_and(|detail| detail.contains("import of 7 callbacks")),
        "{entry}"
    );
}

#[test]
fn a_failure_mail_is_read_from_standard_input_and_told_in_lines() {
    let site = site();
    let ended = site.run_with(&["callbacks", "import", "-"], MAIL.as_bytes()).with(0);
    assert!(ended.out.contains("LWsUTvGgE4WpOvaQPT16idnxNj8="), "{}", ended.out);
    assert!(ended.out.ends_with("\nlegal: 1 noted, 0 repeats, 0 quarantined\n"), "{}", ended.out);
}

#[test]
fn a_list_of_replays_is_imported_for_the_named_account() {
    let site = Site::new(&[account("legal", NOWHERE, &api_key()), account("trade", NOWHERE, &api_key())]);
    let unnamed = import(&site, REPLAYS).with(2);
    assert!(unnamed.err.contains("--account legal, --account trade"), "{}", unnamed.err);
    let imported = site.run(&["callbacks", "import", "text", "--account", "trade", "--json"]).with(0).json();
    assert_eq!((&imported["account"], dispositions(&imported)), (&"trade".into(), vec!["noted"; 3]));
    let list = site.run(&["callbacks", "list", "--account", "trade", "--json"]).with(0).json();
    assert_eq!(list["callbacks"].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_broken_text_says_why_and_nothing_of_it_is_noted() {
    let site = site();
    let good = "{\"name\":\"PACKAGE_COMPLETE\",\"packageId\":\"5n4obeO8jYoPp126Cm-Y3fxdfbo=\"}";
    let broken = [
        (String::new(), "no JSON object"),
        ("We are sorry.".into(), "no JSON object"),
        (format!("{good}\n{{\"name\":"), "line 2"),
        (format!("[{good}, 7]"), "member 2"),
        (format!("[{good}, {{\"name\":\"PACKAGE_COMPLETE\"}}]"), "callback 2: the body names no package"),
        (format!("[{good}, {{\"packageId\":\"x\"}}]"), "callback 2: the body names no event"),
        (
            format!(
                "[{good}, {{\"name\":\"N\",\"packageId\":\"x\",\"message\":\"{}\"}}]",
                "a".repeat(70_000)
            ),
            "callback 2 is larger",
        ),
    ];
    for (text, words) in broken {
        let ended = import(&site, &text).with(1);
        assert!(
            ended.err.contains(words) && ended.err.contains("nothing was noted"),
            "{words}: {}",
            ended.err
        );
    }
    let binary = site.run_with(&["callbacks", "import", "-"], b"{\xff}").with(1);
    assert!(binary.err.contains("not UTF-8"), "{}", binary.err);
    let large = import(&site, &" ".repeat(10 * 1024 * 1024 + 1)).with(1);
    assert!(large.err.contains("import it in parts"), "{}", large.err);
    let missing = site.run(&["callbacks", "import", "nowhere"]).with(1);
    assert!(missing.err.contains("cannot read nowhere"), "{}", missing.err);
    assert!(!site.path("data").exists(), "not even a store was made");
}

#[test]
fn what_is_not_understood_is_kept_in_quarantine_and_ends_with_1() {
    let site = site();
    let text = "[{\"name\":\"PACKAGE_COMPLETE\",\"packageId\":\"../../etc\"},\
                 {\"name\":\"PACKAGE_COMPLETE\",\"packageId\":\"5n4obeO8jYoPp126Cm-Y3fxdfbo=\"}]";
    for expected in [["quarantined", "noted"], ["quarantined", "repeat"]] {
        let imported = import(&site, text).with(1).json();
        assert_eq!(dispositions(&imported), expected);
        let row = &imported["imported"][0];
        assert!(row["envelope_id"].is_null() && row["quarantine_reason"].is_string(), "{row}");
    }
    assert_eq!(noted(&site), 2);
}

#[test]
fn an_account_that_cannot_be_meant_is_told_with_those_that_can() {
    let wrong = site().run(&["callbacks", "import", "-", "--account", "sales"]).with(2);
    assert!(wrong.err.contains("`sales`") && wrong.err.contains("--account legal"), "{}", wrong.err);
    let unknown = site().run(&["callbacks", "import", "-", "--account", "hq"]).with(2);
    assert!(unknown.err.contains("no account `hq`"), "{}", unknown.err);
    let none = Site::new(&[another_account()]).run(&["callbacks", "import", "-"]).with(2);
    assert!(none.err.contains("no account whose platform"), "{}", none.err);
}
