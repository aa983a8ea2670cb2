//! Who may know whom: the table of layers, read from the manifests.
//!
//! Siblings never see each other; core and platforms see no runtime; only the store sees a database.

use toml::{Table, Value};

use super::{Finding, Tree};

/// Our crates, and which of ours each may depend on.
const LAYERS: [(&str, &[&str]); 10] = [
    ("core", &[]),
    ("platforms", &["core"]),
    ("destinations", &["core"]),
    ("store", &["core"]),
    ("intake", &["core", "platforms", "store"]),
    ("engine", &["core", "platforms", "destinations", "store"]),
    ("web", &["core", "platforms", "store"]),
    ("sandbox", &["core"]),
    ("aftersign", &["core", "platforms", "destinations", "store", "intake", "engine", "web", "sandbox"]),
    ("xtask", &[]),
];

/// What any crate may use in its tests: the simulated world, and a real store.
const FOR_TESTS: [&str; 2] = ["sandbox", "store"];

/// What the pure crates must not depend on.
const IMPURE: [&str; 5] = ["tokio", "reqwest", "rusqlite", "hyper", "axum"];
const PURE: [&str; 2] = ["core", "platforms"];

/// Databases are the store's.
const DATABASES: [&str; 4] = ["rusqlite", "refinery", "tokio-postgres", "deadpool-postgres"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in &tree.texts {
        let Some(folder) = path.strip_suffix("/Cargo.toml") else { continue };
        let krate = folder.strip_prefix("crates/").unwrap_or(folder);
        match text.parse::<Table>() {
            Ok(manifest) => check_manifest(path, text, krate, &manifest, &mut findings),
            Err(error) => findings.push(Finding::new(path, 1, format!("cannot be read: {error}"))),
        }
    }
    findings
}

fn check_manifest(path: &str, text: &str, krate: &str, manifest: &Table, findings: &mut Vec<Finding>) {
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == krate) else {
        let what = format!("crate `{krate}` has no layer: add it to the design's table and to tidy's");
        findings.push(Finding::new(path, 1, what));
        return;
    };
    for (name, for_tests) in dependencies(manifest) {
        let what = match our_crate(name) {
            Some(ours) if allowed.contains(&ours) || ours == krate => continue,
            Some(ours) if for_tests && FOR_TESTS.contains(&ours) => continue,
            Some(ours) => {
                format!("`{krate}` must not depend on `{ours}`: go through core, or wire it in the binary")
            }
            None if for_tests => continue,
            None if PURE.contains(&krate) && IMPURE.contains(&name) => {
                format!("`{krate}` is pure and must not depend on `{name}`: take bytes, give values")
            }
            None if krate != "store" && DATABASES.contains(&name) => {
                format!("`{name}` is the store's alone: ask for what you need through a handle")
            }
            None => continue,
        };
        findings.push(Finding::new(path, line_of(text, name), what));
    }
}

fn our_crate(name: &str) -> Option<&str> {
    let short = name.strip_prefix("aftersign-").unwrap_or(name);
    (short != name || name == "aftersign" || name == "xtask").then_some(short)
}

/// The names of all dependencies, and whether each is for tests only.
fn dependencies(manifest: &Table) -> Vec<(&str, bool)> {
    let mut found = Vec::new();
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables = targets.into_iter().flat_map(|targets| targets.values().filter_map(Value::as_table));
    for table in tables.chain([manifest]) {
        for (section, for_tests) in
            [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)]
        {
            let entries = table.get(section).and_then(Value::as_table).into_iter().flatten();
            found.extend(entries.map(|(name, value)| {
                let renamed = value.get("package").and_then(Value::as_str);
                (renamed.unwrap_or(name), for_tests)
            }));
        }
    }
    found
}

fn line_of(text: &str, name: &str) -> usize {
    let names_it = |line: &str| {
        let line = line.trim_start().trim_start_matches('"');
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '.', '=', '"']))
            || line.contains(&format!("\"{name}\""))
    };
    text.lines().position(names_it).map_or(1, |at| at + 1)
}
