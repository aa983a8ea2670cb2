//! Compares our verification of Dropbox Sign's events with the vendor's own Python SDK, in both directions.
//!
//! The interpreter with the SDK is `AFTERSIGN_ORACLE_PYTHON`, or the one in `target/oracle-venv`. Without it
//! the test fails and names the command that makes it: a skipped comparison would look like a passed one.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aftersign_core::callback::{CallbackSecrets, Inbound};
use aftersign_core::secret::Secret;
use aftersign_platforms::by_name;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

const KEY: &str = "324e3b0840f065eb51f3fd63231d0d33daa35d4ed10d27718839e81737065782";

fn python() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = std::env::var_os("AFTERSIGN_ORACLE_PYTHON")
        .map_or_else(|| root.join("target/oracle-venv/bin/python"), PathBuf::from);
    assert!(
        python.exists(),
        "the vendor's SDK is missing; in the repository's root run: \
         python3 -m venv target/oracle-venv && target/oracle-venv/bin/pip install -q dropbox-sign"
    );
    python
}

/// What the SDK says of each case, and the callback with the hash it made.
fn ask_the_sdk(cases: &[Value]) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dropbox_sign_oracle.py");
    let mut child = Command::new(python())
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the interpreter starts");
    let mut stdin = child.stdin.take().expect("its input is piped");
    for case in cases {
        writeln!(stdin, "{case}").expect("the script reads");
    }
    drop(stdin);
    let output = child.wait_with_output().expect("the script ends");
    assert!(output.status.success(), "the script failed");
    let text = String::from_utf8(output.stdout).expect("it writes UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("it writes JSON")).collect()
}

fn we_accept(key: &str, callback: &Value) -> bool {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let inbound = Inbound {
        method: Method::POST,
        channel: None,
        query: String::new(),
        headers,
        body: callback.to_string().into(),
    };
    let secrets = CallbackSecrets { keys: vec![Secret::new(key)] };
    by_name("dropbox-sign").expect("it is a platform").authenticate(&inbound, &secrets).is_ok()
}

fn callback(time: &str, kind: &str) -> Value {
    json!({ "event": {
        "event_time": time, "event_type": kind, "event_hash": "",
        "event_metadata": { "reported_for_account_id": "6421d70b9bd45059fa207d03ab8d1b96515b472c" },
    } })
}

const KINDS: [&str; 10] = [
    "signature_request_sent",
    "signature_request_viewed",
    "signature_request_signed",
    "signature_request_all_signed",
    "signature_request_downloadable",
    "signature_request_declined",
    "signature_request_canceled",
    "account_confirmed",
    "callback_test",
    "fax_received",
];

#[test]
fn hashes_made_the_sdks_way_are_accepted_by_both_and_changed_ones_by_neither() {
    let keys = [KEY, "short", "schlüssel mit umlaut", &"k".repeat(200)];
    let make: Vec<Value> = KINDS
        .iter()
        .enumerate()
        .map(|(index, kind)| {
            let time = (1_348_177_752 + 86_400 * index).to_string();
            json!({ "key": keys[index % keys.len()], "make": true, "callback": callback(&time, kind) })
        })
        .collect();
    let made = ask_the_sdk(&make);
    assert_eq!(made.len(), make.len());
    let mut changed = Vec::new();
    for (case, answer) in make.iter().zip(&made) {
        let key = case["key"].as_str().expect("a key");
        assert_eq!(answer["valid"], true, "{answer}");
        assert!(we_accept(key, &answer["callback"]), "{answer}");
        changed.extend(changes(key, &answer["callback"]));
    }
    let refused = ask_the_sdk(&changed);
    assert_eq!(refused.len(), 5 * KINDS.len());
    for (case, answer) in changed.iter().zip(&refused) {
        let key = case["key"].as_str().expect("a key");
        assert_ne!(answer["valid"], true, "{case}");
        assert!(!we_accept(key, &case["callback"]), "{case}");
    }
}

/// The same callback with another key, time, type, or hash.
fn changes(key: &str, callback: &Value) -> Vec<Value> {
    let case = |key: &str, callback: Value| json!({ "key": key, "make": false, "callback": callback });
    let with = |field: &str, value: &str| {
        let mut changed = callback.clone();
        changed["event"][field] = json!(value);
        case(key, changed)
    };
    let hash = callback["event"]["event_hash"].as_str().expect("a hash");
    let first = if hash.starts_with('0') { "1" } else { "0" };
    vec![
        case(&format!("{key}x"), callback.clone()),
        with("event_time", "1348177751"),
        with("event_type", "signature_request_remind"),
        with("event_hash", &format!("{first}{}", &hash[1..])),
        with("event_hash", ""),
    ]
}

#[test]
fn our_parse_is_wider_than_the_sdks_where_the_facts_ask_for_it() {
    let mut unknown = callback("1348177752", "signature_request_from_the_future");
    let answers = ask_the_sdk(&[json!({ "key": KEY, "make": true, "callback": unknown })]);
    assert_eq!(answers[0]["valid"], Value::Null, "the SDK refuses types it does not know");
    unknown = answers[0]["callback"].clone();
    assert!(we_accept(KEY, &unknown));
    let hash = unknown["event"]["event_hash"].as_str().expect("a hash").to_uppercase();
    unknown["event"]["event_hash"] = json!(hash);
    unknown["event"]["event_time"] = json!(1_348_177_752);
    assert!(we_accept(KEY, &unknown), "upper-case hashes and numeric times are seen at old senders");
}
