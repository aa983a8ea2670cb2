//! File sets (every adapter has the same inner files, so that who knows one knows all) and words that must
//! not stand in the repository.

use std::collections::BTreeSet;

use super::{Finding, Tree};

/// Where adapters live, and what each of their folders holds; a name with `/` at its end is a folder.
const SETS: [(&str, &[&str]); 2] = [
    (
        "crates/platforms/src/",
        &["mod.rs", "callback.rs", "api.rs", "wire.rs", "README.md", "fixtures/", "tests.rs"],
    ),
    ("crates/destinations/src/", &["mod.rs", "README.md", "tests.rs"]),
];

/// Folders of one developer's machine. Built from parts: this file must pass its own rule.
const MACHINE_PATHS: [&str; 2] = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];
/// Hosts of package registries: only the lock file names where a package came from.
const REGISTRIES: [&str; 4] =
    [concat!("crates", ".io"), concat!("pypi", ".org"), concat!("npm", "js"), concat!("debian", ".org")];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = file_sets(tree);
    findings.extend(words(tree));
    findings
}

fn file_sets(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (home, set) in SETS {
        let inner = tree.texts.iter().filter_map(|(path, _)| path.strip_prefix(home));
        let folders: BTreeSet<&str> =
            inner.filter_map(|path| path.split_once('/')).map(|(folder, _)| folder).collect();
        for folder in folders {
            for name in set {
                let wanted = format!("{home}{folder}/{name}");
                let is_there =
                    |path: &String| *path == wanted || (wanted.ends_with('/') && path.starts_with(&wanted));
                if !tree.texts.iter().any(|(path, _)| is_there(path)) {
                    let what = "is missing: every adapter has the same inner files, so add it";
                    findings.push(Finding::new(&wanted, 1, what));
                }
            }
        }
    }
    findings
}

fn words(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in &tree.texts {
        if path == "Cargo.lock" {
            continue;
        }
        for (at, line) in text.lines().enumerate() {
            if MACHINE_PATHS.iter().any(|word| starts_path(line, word)) {
                let what = "a path of one machine: use a relative path, the config or a temporary folder";
                findings.push(Finding::new(path, at + 1, what));
            }
            if let Some(word) = REGISTRIES.iter().find(|word| line.contains(**word)) {
                let what = format!("`{word}` is a package registry's host: name the package instead");
                findings.push(Finding::new(path, at + 1, what));
            }
        }
    }
    findings
}

/// Whether `line` has `word` where a path may start, and not in the middle of one.
fn starts_path(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | '/'))
    })
}
