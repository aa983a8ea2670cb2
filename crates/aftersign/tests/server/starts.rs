//! Starts that cannot succeed: one clear sentence each, and nothing half done.

use std::net::TcpListener;
use std::process::Command;

use crate::common::{BINARY, Site};

fn failed_start(site: &Site) -> (Option<i32>, String) {
    let output = Command::new(BINARY).args(["serve", "--config"]).arg(site.config()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_port_in_use_is_named_with_its_key() {
    let site = Site::new(None);
    let _taken = TcpListener::bind(&site.listen).unwrap();
    let (code, errors) = failed_start(&site);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("in use") && errors.contains("[server] listen"), "{errors}");
    assert!(!site.path("data/aftersign.db").exists(), "nothing was made");
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let mut site = Site::new(None);
    site.serve();
    assert_eq!(site.stop(), Some(0));
    let database = rusqlite::Connection::open(site.path("data/aftersign.db")).unwrap();
    database
        .execute(
            "INSERT INTO refinery_schema_history SELECT 999, 'of_the_future', applied_on, checksum
             FROM refinery_schema_history LIMIT 1",
            [],
        )
        .unwrap();
    drop(database);
    let (code, errors) = failed_start(&site);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("newer version"), "{errors}");
}

#[test]
fn a_second_server_on_the_same_database_is_refused() {
    let mut site = Site::new(None);
    site.serve();
    let config = std::fs::read_to_string(site.config()).unwrap();
    let moved = config
        .replace(&site.listen, &crate::common::free_address())
        .replace(&site.admin, &crate::common::free_address());
    let second = site.path("second.toml");
    std::fs::write(&second, moved).unwrap();
    let output = Command::new(BINARY).args(["serve", "--config"]).arg(&second).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("in use by another"), "{errors}");
}

#[test]
fn an_archive_that_cannot_be_written_to_is_told_and_callbacks_are_taken_all_the_same() {
    let mut site = Site::new(None);
    std::fs::remove_dir(site.path("archive")).unwrap();
    std::fs::write(site.path("archive"), "a file in the way").unwrap();
    site.serve();
    assert!(site.log().contains("transfers wait for it"), "{}", site.log());
    let guid = "765b904a-7c64-470f-bf63-0f312d1fc474";
    assert!(site.get_esaw("envelope", &format!("envelopeId={guid}")).contains("200 OK"));
    let output = site.run(&["check"]);
    assert_eq!(output.status.code(), Some(1));
}
