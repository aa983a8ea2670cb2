//! `init`: a commented config file with fresh secrets, to begin with.
//!
//! The file is `config/default.toml` with an archive and a rule switched on and the account left as an example.
//! Key files are never replaced, not even with `--force`: a lost vault key cannot be drawn again.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use aftersign_core::digest::encode_hex;
use aftersign_core::seams::{Clock, Entropy};
use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::cli::InitArgs;
use crate::config::DEFAULTS;
use crate::failure::Failure;
use crate::system::{SystemClock, SystemEntropy};

const CONFIG: &str = "aftersign.toml";
const VAULT_KEY: &str = "data/vault.key";
const PATH_SECRET: &str = "data/hr.path-secret";

const HEADER: &str = "\
# Aftersign's configuration, written by `aftersign init`.
#
# Every key can also be set in the environment, which wins over this file: AFTERSIGN__SERVER__PUBLIC_URL,
# AFTERSIGN__ENGINE__TIME_SCALE, and by position for lists: AFTERSIGN__ACCOUNT__0__BASE_URL.
#
# Every secret is a text, or better { env = \"NAME\" } or { file = \"path\" }, so that it need not stand here.
# A file's trailing line break is not part of the secret.
#
# Relative paths begin at the folder of this file, not at the working directory.
#
# Lines such as `#id = \"hr\"` (without a blank after the #) are examples: remove the # to use them.

";

/// Runs the command.
pub(super) fn run(args: &InitArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let config = args.dir.join(CONFIG);
    let data = args.dir.join("data");
    let made = fs::create_dir_all(&args.dir)
        .and_then(|()| fs::DirBuilder::new().recursive(true).mode(0o700).create(&data));
    made.with_context(|| format!("cannot make the folder {}", data.display()))?;
    if config.exists() && !args.force {
        let next = "edit it, or write a new one in its place with --force";
        return Err(Failure::new(format!("{} exists and is left as it is", config.display()), next).into());
    }
    let vault_key = secret_file(&args.dir, VAULT_KEY, &STANDARD.encode(random()), out)?;
    let path_secret = secret_file(&args.dir, PATH_SECRET, &encode_hex(&random()), out)?;
    let month = SystemClock.now().strftime("%Y-%m").to_string();
    fs::write(&config, text(&month)).with_context(|| format!("cannot write {}", config.display()))?;
    writeln!(out, "wrote {}", config.display())?;
    if !(vault_key && path_secret) {
        writeln!(out, "Key files that were there are kept.")?;
    }
    writeln!(
        out,
        "\nNext:\n  1. In {CONFIG}: set server.public_url, and fill in the [[account]] example.\n  \
         2. aftersign check           tells whether all of it works\n  \
         3. aftersign accounts urls   tells what to paste where at the platform\n  \
         4. aftersign serve",
    )?;
    Ok(())
}

fn random() -> [u8; 32] {
    let mut bytes = [0u8; 32];
    SystemEntropy.fill(&mut bytes);
    bytes
}

/// Writes a secret that only its owner may read. `false` if the file was there and is kept.
fn secret_file(dir: &Path, name: &str, secret: &str, out: &mut dyn Write) -> anyhow::Result<bool> {
    let path = dir.join(name);
    let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let written: io::Result<()> = match open {
        Ok(mut file) => writeln!(file, "{secret}").and_then(|()| file.sync_all()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => Err(error),
    };
    written.with_context(|| format!("cannot write {}", path.display()))?;
    writeln!(out, "wrote {} (a secret: keep it, and keep a copy elsewhere)", path.display())?;
    Ok(true)
}

/// The config file's text.
fn text(month: &str) -> String {
    let body = DEFAULTS.find("# ---").map_or(DEFAULTS, |start| &DEFAULTS[start..]);
    let body = body
        .replace("\nkeys = []\n", &format!("\nkeys = [{{ id = \"{month}\", file = \"{VAULT_KEY}\" }}]\n"))
        .replace("[{ env = \"HR_PATH_SECRET\" }]", &format!("[{{ file = \"{PATH_SECRET}\" }}]"));
    let mut switched_on = false;
    let mut text = String::from(HEADER);
    for line in body.lines() {
        if let Some(section) = line.strip_prefix("#[") {
            switched_on = section.starts_with("[destination") || section.starts_with("[rule");
        }
        let example = line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' '));
        text.push_str(example.filter(|_| switched_on).unwrap_or(line));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_switched_on_and_the_account_is_an_example() {
        let text = text("2026-11");
        assert!(text.contains("\n[[destination]]\n") && text.contains("\n[[rule]]\n"), "{text}");
        assert!(text.contains("\n#[[account]]\n") && text.contains("\n#[mail]\n"));
        assert!(text.contains("keys = [{ id = \"2026-11\", file = \"data/vault.key\" }]"));
        assert!(text.contains("#path_secrets = [{ file = \"data/hr.path-secret\" }]"));
    }
}
