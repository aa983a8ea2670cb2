//! `cargo xtask ci`: one command that sets a machine up and checks everything, and stops at the first failure.
//!
//! It reaches the network only through cargo, pip, npm and apt. Exit code 1 means that a check failed, 2 that this
//! machine lacks something that could not be installed.

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{peers, tidy};

/// A program that the checks run, how to see that it works, and the package that brings it.
struct Needed {
    program: &'static str,
    probe: &'static [&'static str],
    package: &'static str,
}

const NEEDED: [Needed; 8] = [
    Needed { program: "cc", probe: &["--version"], package: "gcc" },
    Needed { program: "python3", probe: &["--version"], package: "python3" },
    Needed { program: "python3", probe: &["-c", "import ensurepip, venv"], package: "python3-venv" },
    Needed { program: "strace", probe: &["--version"], package: "strace" },
    Needed { program: "openssl", probe: &["version"], package: "openssl" },
    Needed { program: "node", probe: &["--eval", OLD_NODE_FAILS], package: "nodejs" },
    Needed { program: "npm", probe: &["--version"], package: "npm" },
    Needed { program: "chromium", probe: &["--version"], package: "chromium" },
];

/// 18 is the oldest Node.js that the tests' packages run on.
const OLD_NODE_FAILS: &str = "process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)";

/// One cargo command among the checks.
struct Check {
    name: &'static str,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
}

const FORMAT: Check = Check { name: "format", arguments: &["fmt", "--all", "--check"], environment: &[] };

/// What follows `tidy`, cheapest first.
const CHECKS: [Check; 3] = [
    Check {
        name: "lints",
        arguments: &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
        environment: &[],
    },
    Check { name: "tests", arguments: &["test", "--workspace", "--locked"], environment: &[] },
    Check {
        name: "documents",
        arguments: &["doc", "--workspace", "--no-deps", "--locked"],
        environment: &[("RUSTDOCFLAGS", "-Dwarnings")],
    },
];

/// Runs everything in the repository at `root`.
pub(crate) fn run(root: &Path) -> Result<ExitCode> {
    if !machine_is_ready() {
        return Ok(ExitCode::from(2));
    }
    let mut done = Vec::new();
    let outcome = steps(root, &mut done);
    println!("\nSummary");
    for (name, duration) in &done {
        println!("  ok      {name:<10} {:>7.1} s", duration.as_secs_f64());
    }
    match outcome {
        Ok(()) => println!("Everything passed."),
        Err(error) => {
            println!("  FAILED  {error:#}");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn steps(root: &Path, done: &mut Vec<(&'static str, Duration)>) -> Result<()> {
    let mut step = |name: &'static str, work: &dyn Fn() -> Result<()>| {
        println!("\n==> {name}");
        let start = Instant::now();
        let outcome = work().with_context(|| name.to_string());
        println!("<== {name}: {:.1} s", start.elapsed().as_secs_f64());
        outcome.map(|()| done.push((name, start.elapsed())))
    };
    step("peers", &|| peers::set_up(root))?;
    step(FORMAT.name, &|| cargo(root, &FORMAT))?;
    step("tidy", &|| match tidy::report(root)? {
        0 => Ok(()),
        count => bail!("{count} findings"),
    })?;
    for check in &CHECKS {
        step(check.name, &|| cargo(root, check))?;
    }
    Ok(())
}

fn cargo(root: &Path, check: &Check) -> Result<()> {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root).args(check.arguments).envs(check.environment.iter().copied());
    // What cargo tells this program about itself would make build scripts believe that something changed.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    succeed(&mut command)
}

/// Runs a command that must succeed, and shows it.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let line = shown(command);
    println!("    {line}");
    let status = command.status().with_context(|| format!("cannot run `{line}`"))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

/// A command as a person would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = [program].into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Whether this machine has all programs, installed just now if need be; says what to run if not.
pub(crate) fn machine_is_ready() -> bool {
    let line = missing_after_install();
    if let Some(line) = &line {
        eprintln!("This machine lacks programs that the checks need. Run this, then try again:\n  {line}");
    }
    line.is_none()
}

/// Installs what is missing if this is root's machine; gives the line to run if something still is.
fn missing_after_install() -> Option<String> {
    let packages = missing();
    if packages.is_empty() {
        return None;
    }
    if is_root() {
        println!("==> installing {}", packages.join(" "));
        let apt = |arguments: &[&str]| {
            succeed(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
        };
        let mut install = vec!["install", "--yes", "--no-install-recommends"];
        install.extend(&packages);
        if let Err(error) = apt(&["update", "--quiet"]).and_then(|()| apt(&install)) {
            eprintln!("{error:#}");
        }
    }
    let packages = missing();
    (!packages.is_empty()).then(|| format!("sudo apt-get install --yes {}", packages.join(" ")))
}

fn missing() -> Vec<&'static str> {
    NEEDED.iter().filter(|needed| !works(needed.program, needed.probe)).map(|needed| needed.package).collect()
}

fn works(program: &str, probe: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(probe).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_does_not_work() {
        assert!(works("true", &[]));
        assert!(!works("false", &[]));
        assert!(!works("no-such-program-anywhere", &["--version"]));
    }

    #[test]
    fn a_command_that_fails_names_itself() {
        let error = succeed(&mut Command::new("false")).unwrap_err();
        assert!(error.to_string().contains("`false` ended with"), "{error}");
    }
}
