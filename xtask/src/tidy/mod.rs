//! `cargo xtask tidy`: the rules of the house that no compiler knows.
//!
//! Each rule is a function from the tree to findings, so that tests can run it on a bad tree and see it fire.
//! A finding says where, what, and what to do. The scanner in [`source`] is a tokenizer of the plainest kind:
//! it knows comments and literals, so that rules about code are not confused by text, and nothing more.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use self::source::Source;

mod dependencies;
mod files;
mod lengths;
mod names;
mod source;
#[cfg(test)]
mod tests;

/// Folders that are not the repository's.
const FOREIGN: [&str; 5] = [".git", "target", "data", "aftersign-demo", "node_modules"];

/// Something against a rule.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Finding {
    /// Relative to the repository, with `/`.
    path: String,
    /// From 1.
    line: usize,
    /// What is wrong, and what to do.
    what: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.into(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// All text files of the repository.
struct Tree {
    /// Relative paths with `/`, sorted, with their text.
    texts: Vec<(String, String)>,
    /// The Rust files among them, scanned.
    sources: Vec<Source>,
}

impl Tree {
    fn read(root: &Path) -> Result<Self> {
        let mut paths = Vec::new();
        collect(root, &mut paths)?;
        let mut texts = Vec::new();
        for path in paths {
            let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            // Not UTF-8: a recorded PDF or an image, about which there are no rules.
            if let Ok(text) = String::from_utf8(bytes) {
                let path = path.strip_prefix(root).unwrap_or(&path);
                texts.push((path.to_string_lossy().replace('\\', "/"), text));
            }
        }
        texts.sort();
        let rust = texts.iter().filter(|(path, _)| path.ends_with(".rs"));
        let mut sources: Vec<Source> = rust.map(|(path, text)| Source::scan(path, text)).collect();
        source::mark_test_files(&mut sources);
        Ok(Self { texts, sources })
    }
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() && !FOREIGN.iter().any(|name| entry.file_name() == *name) {
            collect(&entry.path(), paths)?;
        } else if kind.is_file() {
            paths.push(entry.path());
        }
    }
    Ok(())
}

/// Prints the findings and gives the exit code.
pub(crate) fn run(root: &Path) -> Result<ExitCode> {
    Ok(if report(root)? == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the findings and gives their number.
pub(crate) fn report(root: &Path) -> Result<usize> {
    let findings = check(root)?;
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => println!("tidy"),
        count => println!("{count} findings"),
    }
    Ok(findings.len())
}

fn check(root: &Path) -> Result<Vec<Finding>> {
    let tree = Tree::read(root)?;
    let mut findings = dependencies::check(&tree);
    findings.extend(names::check(&tree));
    findings.extend(files::check(&tree));
    findings.extend(lengths::check(&tree));
    findings.sort();
    findings.dedup();
    Ok(findings)
}
