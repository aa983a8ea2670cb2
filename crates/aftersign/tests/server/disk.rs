//! A disk that fails: never a false acknowledgement, and everything goes on when it works again.

use std::process::Command;

use crate::common::{BINARY, DROPBOX_KEY, Site, dropbox_json};

/// The tracer lets the start-up's syncs pass and fails every one from then on.
fn failing_disk(from: u32) -> Command {
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qqq", "-o", "/dev/null", "-e", "trace=fdatasync"])
        .args(["-e", &format!("inject=fdatasync:error=EIO:when={from}+")])
        .args([BINARY, "serve"]);
    command
}

#[test]
fn a_callback_that_cannot_be_made_durable_is_answered_with_503_and_taken_when_the_disk_works_again() {
    let mut site = Site::new(None);
    // The database is made on a good disk: what is tested is the acknowledgement, not the start.
    site.serve();
    assert_eq!(site.stop(), Some(0));
    site.serve_by(&mut failing_disk(40));
    let mut answers = Vec::new();
    for number in 0..60 {
        let json = dropbox_json(
            "signature_request_viewed",
            &format!("13481777{number:02}"),
            "abcdef0123456789",
            DROPBOX_KEY,
        );
        answers.push((json.clone(), site.post_dropbox(&json)));
    }
    let refused: Vec<_> = answers.iter().filter(|(_, answer)| answer.contains(" 503 ")).collect();
    assert!(!refused.is_empty(), "no sync failed: {}", site.log());
    assert!(refused.iter().all(|(_, answer)| answer.to_lowercase().contains("retry-after:")));
    let acknowledged = answers.len() - refused.len();
    site.kill();

    site.serve();
    let rows = |site: &Site| {
        site.json(&["callbacks", "list", "--json", "--limit", "500"])["callbacks"].as_array().unwrap().len()
    };
    assert!(rows(&site) >= acknowledged, "an acknowledged callback is not there");
    for (json, _) in &refused {
        assert!(site.post_dropbox(json).contains("Hello API Event Received"));
    }
    assert_eq!(rows(&site), answers.len());
}
