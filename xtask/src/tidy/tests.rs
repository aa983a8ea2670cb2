//! Every rule fires on a bad tree, says where and what to do, and leaves the good neighbour alone.

use super::*;

/// Findings in a tree of these files, as printed.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let root = tempfile::TempDir::new().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    check(root.path()).unwrap().iter().map(Finding::to_string).collect()
}

/// Asserts that the tree has exactly these findings, each given by `path:line` and a part of its text.
#[track_caller]
fn assert_found(files: &[(&str, &str)], expected: &[(&str, &str)]) {
    let found = found(files);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (finding, (place, part)) in found.iter().zip(expected) {
        assert!(finding.starts_with(&format!("{place}: ")) && finding.contains(part), "{finding}");
    }
}

/// Asserts that the text is found in one place and is fine in the others.
#[track_caller]
fn assert_only_in(bad: &str, good: &[&str], text: &str, part: &str) {
    assert_found(&[(bad, text)], &[(&format!("{bad}:1"), part)]);
    for path in good {
        assert_found(&[(path, text)], &[]);
    }
}

#[test]
fn siblings_must_not_see_each_other() {
    let web = "[package]\nname = \"aftersign-web\"\n[dependencies]\naftersign-core.workspace = true\n\
               aftersign-engine.workspace = true\n";
    let engine =
        "[target.'cfg(unix)'.dependencies]\nx = { package = \"aftersign-intake\", path = \"../intake\" }\n";
    assert_found(
        &[("crates/web/Cargo.toml", web), ("crates/engine/Cargo.toml", engine)],
        &[("crates/engine/Cargo.toml:2", "on `intake`"), ("crates/web/Cargo.toml:5", "on `engine`")],
    );
}

#[test]
fn tests_may_use_the_sandbox_and_the_store_only() {
    let tests = "[dev-dependencies]\naftersign-sandbox.workspace = true\naftersign-store.workspace = true\n\
                 aftersign-web.workspace = true\ntokio.workspace = true\n";
    assert_found(&[("crates/platforms/Cargo.toml", tests)], &[("crates/platforms/Cargo.toml:4", "on `web`")]);
}

#[test]
fn pure_crates_and_databases_are_guarded_against_outer_dependencies() {
    let impure =
        "[dependencies]\nbytes = \"1\"\ntokio = { version = \"1\" }\n[build-dependencies]\naxum = \"0.8\"\n";
    assert_found(
        &[("crates/core/Cargo.toml", impure), ("crates/engine/Cargo.toml", impure)],
        &[("crates/core/Cargo.toml:3", "`tokio`"), ("crates/core/Cargo.toml:5", "`axum`")],
    );
    let database = "[dependencies]\nrusqlite.workspace = true\n";
    assert_found(
        &[("crates/engine/Cargo.toml", database), ("crates/store/Cargo.toml", database)],
        &[("crates/engine/Cargo.toml:2", "the store's alone")],
    );
}

#[test]
fn a_crate_without_a_layer_and_a_broken_manifest_are_found() {
    assert_found(
        &[("crates/new/Cargo.toml", "[package]\n"), ("crates/web/Cargo.toml", "[[[")],
        &[("crates/new/Cargo.toml:1", "has no layer"), ("crates/web/Cargo.toml:1", "cannot be read")],
    );
}

#[test]
fn pure_crates_do_no_io_and_read_no_clock() {
    for text in [
        "fn a() { tokio::spawn(b) }",
        "use reqwest::Client;",
        "fn a() { SystemTime::now() }",
        "fn a() { std::time::Instant::now() }",
        "fn a() { jiff::Timestamp::now() }",
        "fn a() { Zoned::now() }",
        "use std::env;",
        "use std::fs::File;",
        "fn a(b: std::net::IpAddr) {}",
        "use std::thread;",
        "use std::{io::{self, Read}, fs};",
    ] {
        let good = ["crates/engine/src/a.rs", "crates/core/src/tests.rs", "crates/platforms/tests/a.rs"];
        assert_only_in("crates/core/src/a.rs", &good, text, "no place in a pure crate");
    }
    let good = "// tokio\nfn tokio_like() { \"std::fs\" }\nuse std::{fmt, io::{self}};\nconst A: &str = env!(\"A\");";
    assert_found(&[("crates/platforms/src/a.rs", good)], &[]);
}

#[test]
fn intake_does_not_see_the_vault() {
    assert_only_in("crates/intake/src/a.rs", &["crates/engine/src/a.rs"], "use x::Vault;", "by intake");
}

#[test]
fn sql_stays_in_the_store() {
    let good = ["crates/store/src/a.rs", "crates/web/src/tests.rs"];
    assert_only_in("crates/web/src/a.rs", &good, "const A: &str = \" SELECT 1\";", "SQL outside");
    assert_only_in("crates/web/src/a.rs", &good, "use rusqlite::Connection;", "`rusqlite` outside");
}

#[test]
fn serde_derives_stand_where_shapes_are_read_and_written() {
    let good = [
        "crates/engine/src/wire.rs",
        "crates/store/src/sqlite/rows.rs",
        "crates/engine/src/manifest.rs",
        "crates/aftersign/src/config_file.rs",
        "crates/aftersign/src/config/a.rs",
        "crates/aftersign/src/json/a.rs",
        "crates/web/src/a.rs",
        "crates/sandbox/src/a.rs",
    ];
    for text in
        ["#[derive(Debug, Serialize)] struct A;", "#[cfg_attr(x, derive(serde::Deserialize))] struct A;"]
    {
        assert_only_in("crates/engine/src/a.rs", &good, text, "a serde derive");
    }
}

#[test]
fn platforms_are_named_where_they_are_known_only() {
    let good = [
        "crates/platforms/src/a.rs",
        "crates/sandbox/src/a.rs",
        "crates/aftersign/src/demo.rs",
        "crates/aftersign/src/demo/a.rs",
        "crates/aftersign/tests/a.rs",
        "crates/engine/benches/a.rs",
    ];
    for text in [
        "const A: &str = \"dropbox-sign\";",
        "const A: &str = \"Dropbox Sign\";",
        "enum A { EsignAnyWhere }",
        "mod onespan;",
        "fn scrive_flow() {}",
    ] {
        assert_only_in("crates/aftersign/src/a.rs", &good, text, "names a platform");
    }
    assert_found(&[("crates/engine/src/a.rs", "// OneSpan sends this twice.\nfn describe() {}\n")], &[]);
}

#[test]
fn adapters_have_the_same_inner_files() {
    let all = ["mod.rs", "callback.rs", "api.rs", "wire.rs", "README.md", "fixtures/a.json", "tests.rs"];
    for missing in all {
        let paths = all.iter().filter(|name| **name != missing);
        let paths: Vec<String> = paths.map(|name| format!("crates/platforms/src/x/{name}")).collect();
        let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "")).collect();
        let wanted = missing.strip_suffix("a.json").unwrap_or(missing);
        assert_found(&files, &[(&format!("crates/platforms/src/x/{wanted}:1"), "is missing")]);
    }
    assert_found(
        &[("crates/destinations/src/lib.rs", ""), ("crates/destinations/src/x/mod.rs", "")],
        &[
            ("crates/destinations/src/x/README.md:1", "is missing"),
            ("crates/destinations/src/x/tests.rs:1", "is missing"),
        ],
    );
}

#[test]
fn long_files_and_functions_are_found() {
    let lines = |count: usize| "//\n".repeat(count);
    assert_found(
        &[("crates/web/src/a.rs", &lines(701)), ("crates/web/src/b.rs", &lines(700))],
        &[("crates/web/src/a.rs:1", "701 lines, at most 700")],
    );
    let function = |name: &str, inner: usize| format!("fn {name}() {{\n{}}}\n", lines(inner));
    assert_found(
        &[("xtask/src/a.rs", &format!("{}{}", function("fits", 68), function("long", 69)))],
        &[("xtask/src/a.rs:71", "function `long` has 71 lines, at most 70")],
    );
}

#[test]
fn shortcuts_are_found_in_tests_too() {
    for (text, part) in [
        ("#[ignore]\nfn a() {}", "hides a test"),
        ("#[ignore = \"slow\"]\nfn a() {}", "hides a test"),
        ("#[allow(dead_code)]\nfn a() {}", "use `#[expect"),
        ("#![allow(dead_code)]", "use `#[expect"),
        ("#[cfg_attr(test, allow(dead_code))]\nfn a() {}", "use `#[expect"),
        ("#[expect(dead_code)]\nfn a() {}", "without a reason"),
        ("fn a() { todo!() }", "`todo!`"),
        ("fn a() { unimplemented!(\"later\") }", "`unimplemented!`"),
        ("fn a() { dbg!(1) }", "`dbg!`"),
        ("use std::io::*;", "a glob import"),
        ("pub use a::{b, c::*};", "a glob import"),
    ] {
        for path in ["crates/web/src/a.rs", "crates/web/tests/a.rs"] {
            assert_found(&[(path, text)], &[(&format!("{path}:1"), part)]);
        }
    }
    let good = "#[expect(dead_code, reason = \"x\")]\nfn todo() { \"todo!()\" }\nfn a<'a>() -> impl A + use<'a> {}\n";
    assert_found(&[("crates/web/src/a.rs", good)], &[]);
}

#[test]
fn only_test_modules_may_use_all_of_their_parent() {
    assert_only_in("crates/web/src/a.rs", &["crates/web/src/tests.rs"], "use super::*;", "a glob import");
    assert_found(&[("crates/web/src/a.rs", "#[cfg(test)]\nmod tests {\n use super::*;\n}\n")], &[]);
}

#[test]
fn tests_do_not_sleep() {
    for text in [
        "fn a() { std::thread::sleep(b) }",
        "async fn a() { tokio::time::sleep(b).await }",
        "use tokio::time::sleep;",
        "use tokio::time::{Duration, sleep};",
    ] {
        assert_only_in("crates/web/tests/a.rs", &["crates/web/src/a.rs"], text, "must not sleep");
    }
}

#[test]
fn paths_of_a_machine_and_hosts_of_registries_are_found() {
    let path = |name: &str| format!("see /{name}/x\n");
    let host = |name: &str, end: &str| format!("https://{name}{end}/x\n");
    for text in
        [path("work"), path("root"), host("crates.", "io"), host("pypi.", "org"), host("www.npm", "js.com")]
    {
        assert_found(&[("docs/a.md", &text)], &[("docs/a.md:1", ":")]);
    }
    assert_found(&[("docs/a.md", &host("deb.debian.", "org"))], &[("docs/a.md:1", "registry's host")]);
    assert_found(&[("Cargo.lock", &host("crates.", "io")), ("docs/a.md", "a/work/b, ./root/x\n")], &[]);
}

#[test]
fn what_is_not_the_repositorys_is_not_read() {
    assert_found(
        &[("target/a.rs", "use a::*;"), (".git/a.rs", "use a::*;"), ("data/a.rs", "use a::*;")],
        &[],
    );
}
