//! `cargo xtask peers`: brings the real programs that tests talk to below `target/`, pinned, and once.
//!
//! Packages come through npm and pip, as the lock file and the requirements in the tests' folder name them. Tests
//! compare the stamps with these files, so that an old set-up fails and says so.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::ci;

/// The vendor's own SDK: its event-hash helper is an independent check of ours. Pinned, so that a new release
/// never breaks a change that has nothing to do with it.
const ORACLE: &str = "dropbox-sign==2.0.0";
/// What the tests' other peers need.
const PEERS: &str = "crates/aftersign/tests/people/peers";
/// Where tests look for the packages of Python and of Node.js, under `target/`.
const PYTHON_FOLDER: &str = "oracle-venv";
const NODE_FOLDER: &str = "peers";
/// The file that holds what was installed.
const STAMP: &str = "aftersign-stamp";

/// Installs what is missing, of the machine and of the packages.
pub(crate) fn run(root: &Path) -> Result<ExitCode> {
    if !ci::machine_is_ready() {
        return Ok(ExitCode::from(2));
    }
    set_up(root)?;
    Ok(ExitCode::SUCCESS)
}

/// Installs the packages that are missing.
pub(crate) fn set_up(root: &Path) -> Result<()> {
    set_up_python(root)?;
    set_up_node(root)
}

fn set_up_python(root: &Path) -> Result<()> {
    let requirements = root.join(PEERS).join("requirements.txt");
    let wanted = format!("{ORACLE}\n{}", read(&requirements)?);
    let venv = root.join("target").join(PYTHON_FOLDER);
    if is_there(&venv, &wanted) {
        return Ok(());
    }
    ci::succeed(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    ci::succeed(
        Command::new(venv.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ORACLE, "--requirement"])
            .arg(&requirements),
    )?;
    write(&venv.join(STAMP), &wanted)
}

fn set_up_node(root: &Path) -> Result<()> {
    let from = root.join(PEERS);
    let wanted = read(&from.join("package-lock.json"))?;
    let to = root.join("target").join(NODE_FOLDER);
    // npm empties this folder first, so that a stamp never outlives what it stands for.
    let modules = to.join("node_modules");
    if is_there(&modules, &wanted) {
        return Ok(());
    }
    fs::create_dir_all(&to).with_context(|| format!("cannot make {}", to.display()))?;
    write(&to.join("package.json"), &read(&from.join("package.json"))?)?;
    write(&to.join("package-lock.json"), &wanted)?;
    let options = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    ci::succeed(Command::new("npm").args(options).current_dir(&to))?;
    write(&modules.join(STAMP), &wanted)
}

/// Whether the folder's stamp says that this is installed.
fn is_there(folder: &Path, wanted: &str) -> bool {
    let is = fs::read_to_string(folder.join(STAMP)).is_ok_and(|stamp| stamp == wanted);
    if is {
        println!("{} is up to date", folder.display());
    }
    is
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
