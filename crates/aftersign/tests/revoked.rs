//! The story of a sender who takes our access back, told by the built binary; and a search for its secrets that shares
//! nothing with the demo's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// Runs the scenario; gives its result, and with each secret its kind.
fn revoked(folder: &Path, args: &[&str]) -> (Value, Vec<(String, String)>) {
    let secrets = folder.join("secrets");
    let output = Command::new(env!("CARGO_BIN_EXE_aftersign"))
        .args(["demo", "--scenario", "revoked", "--once", "--json", "--dir"])
        .arg(folder.join("demo"))
        .arg("--reveal")
        .arg(&secrets)
        .args(args)
        .output()
        .expect("the demo runs");
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let log = std::fs::read_to_string(folder.join("demo/server.log")).unwrap_or_default();
    let said: Vec<&str> = log.lines().filter(|line| !line.contains("DEBUG")).collect();
    assert!(output.status.success(), "{text}\n{errors}\n{}", said.join("\n"));
    let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let secrets = std::fs::read_to_string(secrets).expect("the revealed secrets");
    let pairs = secrets.lines().filter_map(|line| line.split_once('\t'));
    for (kind, secret) in pairs.clone() {
        assert!(!text.contains(secret) && !errors.contains(secret), "a {kind} was printed");
    }
    (report, pairs.map(|(kind, secret)| (kind.to_owned(), secret.to_owned())).collect())
}

/// What holds whatever the platform does.
fn assert_nothing_is_lost_or_asked_twice(report: &Value) {
    let figures = ["lost", "asked_twice", "duplicates", "premature_disposals", "strays", "tasks_open"];
    for figure in figures {
        assert_eq!(report[figure], 0, "{figure}: {report}");
    }
    assert_eq!(
        report["envelopes"],
        json!({ "created": 18, "completed": 18, "archived": 18, "disposed": 18 }),
        "{report}"
    );
    assert_eq!(report["consents"], json!({ "anna": 2, "ben": 1, "carla": 1 }), "{report}");
    assert_eq!(
        (&report["drafts"]["created"], &report["drafts"]["sent"]),
        (&json!(16), &json!(16)),
        "{report}"
    );
    assert_eq!((&report["journal"], &report["secrets_found"]), (&json!("intact"), &json!([])), "{report}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let entries = entries.map(|entry| entry.expect("an entry").path());
    let (folders, mut found): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    found.extend(folders.iter().flat_map(|folder| files(folder)));
    found
}

/// The files that hold a text, as it is or in hexadecimal or base64.
fn places(files: &[(PathBuf, String)], text: &str) -> Vec<PathBuf> {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let encoded = [STANDARD_NO_PAD.encode(text), URL_SAFE_NO_PAD.encode(text)];
    // The last letter in base64 depends on what follows.
    let encoded = encoded.iter().map(|way| way[..way.len() - 1].to_owned());
    let ways: Vec<String> = [text.to_owned(), hex].into_iter().chain(encoded).collect();
    let holding = files.iter().filter(|(_, bytes)| ways.iter().any(|way| bytes.contains(way)));
    holding.map(|(path, _)| path.clone()).collect()
}

#[test]
fn a_sender_who_revokes_is_asked_once_and_no_secret_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (report, secrets) = revoked(folder.path(), &["--faults", "off", "--seed", "3"]);
    assert_nothing_is_lost_or_asked_twice(&report);
    let mails = report["mails"].as_array().unwrap();
    assert_eq!(mails.len(), 1, "{report}");
    assert_eq!(mails[0]["to"], "anna@example.com");
    assert_eq!((&report["drafts"]["asked"], &report["parked"]), (&json!(16), &json!(8)), "{report}");
    assert_eq!(report["deviations"], json!([]));

    let demo = folder.path().join("demo");
    let lossy = |path: PathBuf| {
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        (path, text)
    };
    let files: Vec<_> = files(&demo).into_iter().map(lossy).collect();
    let count = |kind: &str| secrets.iter().filter(|(known, _)| known == kind).count();
    assert_eq!(count("access token"), 4, "one for each consent");
    let searched = [
        "access token",
        "client secret",
        "path secret",
        "callback secret of a draft",
        "PKCE verifier",
        "authorisation code",
        "vault key",
    ];
    for (kind, secret) in secrets.iter().filter(|(kind, _)| searched.contains(&kind.as_str())) {
        let places = places(&files, secret);
        let expected: &[&str] = match kind.as_str() {
            "client secret" | "path secret" => &["aftersign.toml"],
            "vault key" => &["vault.key"],
            _ => &[],
        };
        let expected: Vec<PathBuf> = expected.iter().map(|name| demo.join(name)).collect();
        assert_eq!(places, expected, "a {kind}");
    }
    for kind in searched {
        assert!(count(kind) > 0, "no {kind} was searched for");
    }
}

#[test]
fn nothing_is_lost_or_sent_twice_when_the_platform_loses_answers() {
    let folder = tempfile::tempdir().unwrap();
    let (report, _) = revoked(folder.path(), &["--faults", "normal", "--seed", "4"]);
    assert_nothing_is_lost_or_asked_twice(&report);
    assert!(report["parked"].as_u64() > Some(0), "{report}");
    let drafts = &report["drafts"];
    assert!(drafts["asked"].as_u64() > drafts["sent"].as_u64(), "no answer was lost: {report}");
}

#[test]
fn a_scenario_takes_no_options_of_the_main_job() {
    for option in [["--envelopes", "3"], ["--platform", "onespan"], ["--kill-every", "500"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_aftersign"))
            .args(["demo", "--scenario", "revoked"])
            .args(option)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{option:?}");
    }
}
