//! The stage of the demo: its folder, its secrets, its config file, and a look into the server's own counts.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aftersign_core::seams::Entropy;
use aftersign_core::transfer::Phase;
use aftersign_sandbox::{Ledger, Sandbox, Vendor};
use aftersign_store::{PageRequest, Store};
use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::DemoArgs;
use super::accounts::Account;
use crate::config::{self, Settings};
use crate::store::{self, Role};
use crate::system::SystemEntropy;

/// Says that a folder is ours to empty.
const MARK: &str = ".aftersign-demo";

/// The demo's folder and secrets.
pub(super) struct Stage {
    dir: PathBuf,
    public: String,
    admin: String,
    accounts: Vec<Account>,
}

/// What the server says of itself; shown, never used to judge it.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) gaps: u64,
    pub(super) dead_letters: u64,
    pub(super) open_tasks: u64,
}

impl Stage {
    /// Empties or makes the folder and draws secrets and ports.
    pub(super) fn set(args: &DemoArgs) -> anyhow::Result<Self> {
        let dir = std::path::absolute(&args.dir)?;
        if dir.exists() {
            let is_empty = dir.read_dir().map(|mut entries| entries.next().is_none()).unwrap_or(false);
            if !is_empty && !dir.join(MARK).exists() {
                bail!(
                    "{} exists and no demo made it: it is not touched. Choose another folder with --dir",
                    dir.display()
                );
            }
            std::fs::remove_dir_all(&dir).with_context(|| format!("cannot empty {}", dir.display()))?;
        }
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        std::fs::write(dir.join(MARK), "Made by `aftersign demo`; the next one empties it.\n")?;
        let vendors = match (args.scenario, args.platforms.as_slice()) {
            // A scenario brings its own.
            (Some(_), _) => Vec::new(),
            (None, []) => Vendor::ALL.to_vec(),
            (None, chosen) => chosen.to_vec(),
        };
        let vendors: BTreeSet<Vendor> = vendors.into_iter().collect();
        let accounts = vendors.into_iter().map(Account::new).collect();
        Ok(Self { dir, public: free_address()?, admin: free_address()?, accounts })
    }

    pub(super) fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    pub(super) fn public_url(&self) -> String {
        format!("http://{}", self.public)
    }

    pub(super) fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn archive(&self) -> PathBuf {
        self.dir.join("archive")
    }

    pub(super) fn config(&self) -> PathBuf {
        self.dir.join("aftersign.toml")
    }

    pub(super) fn vault_key(&self) -> PathBuf {
        self.dir.join("vault.key")
    }

    pub(super) fn backup(&self) -> PathBuf {
        self.dir.join("backup.db")
    }

    pub(super) fn ledger(&self) -> PathBuf {
        self.dir.join("ledger.json")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("server.log")
    }

    /// Writes the config file that the server is started with, as an operator would write it.
    pub(super) fn write_config(&self, sandbox: &Sandbox, time_scale: f64) -> anyhow::Result<()> {
        let (mut accounts, mut rules) = (String::new(), String::new());
        for account in &self.accounts {
            account.write_config(sandbox, &mut accounts)?;
            account.write_rule(&mut rules)?;
        }
        self.write_config_of(time_scale, &accounts, &rules)
    }

    /// The same with these accounts (and whatever tables belong to them) and rules.
    pub(super) fn write_config_of(&self, time_scale: f64, accounts: &str, rules: &str) -> anyhow::Result<()> {
        let text = format!(
            "# Written by `aftersign demo`. Every wait of ours is divided by time_scale.\n\
             [server]\nlisten = \"{}\"\npublic_url = \"{}\"\n\n[admin]\nlisten = \"{}\"\n\n\
             [store]\nurl = \"sqlite:data/aftersign.db\"\nstaging_dir = \"data/staging\"\n\n\
             [vault]\nkeys = [{{ id = \"demo\", file = \"vault.key\" }}]\n\n\
             [engine]\ntime_scale = {time_scale:.1}\n\n{accounts}\
             [[destination]]\nid = \"archive\"\ntype = \"filesystem\"\nroot = \"archive\"\n\n{rules}",
            self.public,
            self.public_url(),
            self.admin,
        );
        std::fs::create_dir_all(self.archive())?;
        std::fs::write(self.vault_key(), STANDARD.encode(random::<32>()))?;
        std::fs::write(self.config(), text)?;
        Ok(())
    }

    /// Keeps the sandbox's ledger beside the archive, for whoever wants to judge again.
    pub(super) fn write_ledger(&self, ledger: &Ledger) -> anyhow::Result<()> {
        Ok(std::fs::write(self.ledger(), serde_json::to_vec_pretty(ledger)?)?)
    }

    /// Opens the server's store for reading; `None` while there is none yet.
    pub(super) fn open_store(&self) -> anyhow::Result<Arc<dyn Store>> {
        let settings: Settings = config::load(Some(&self.config()))?;
        Ok(store::open_store(&settings, Role::Tool)?)
    }

    /// What the server says of itself.
    pub(super) async fn counts(&self) -> anyhow::Result<Counts> {
        let store = self.open_store()?;
        let overview = store.overview().await?;
        let dead = overview.transfers.iter().filter(|(_, phase, _)| *phase == Phase::DeadLetter);
        let counts = Counts {
            gaps: overview.gaps,
            dead_letters: dead.map(|(_, _, count)| count).sum(),
            open_tasks: overview.open_tasks,
        };
        store.close().await?;
        Ok(counts)
    }

    /// The last lines of the journal, oldest first.
    pub(super) async fn last_events(store: &dyn Store, count: usize) -> Vec<String> {
        let page = PageRequest { cursor: None, limit: count };
        let Ok(listing) = store.entries(None, &page).await else { return Vec::new() };
        let mut lines: Vec<String> = listing
            .rows
            .into_iter()
            .map(|row| {
                let entry = row.entry;
                format!(
                    "{:<18} {:<20} {:.36}  {}",
                    entry.action.as_str(),
                    entry.account,
                    entry.envelope,
                    entry.detail
                )
            })
            .collect();
        lines.reverse();
        lines
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0u8; N];
    SystemEntropy.fill(&mut bytes);
    bytes
}

/// An address on loopback that is free now; the server keeps it over restarts. Below the range from which the
/// system gives ports to outgoing connections, so that none of them takes it while the server is down.
fn free_address() -> anyhow::Result<String> {
    for _ in 0..200 {
        let port = 20_000 + u16::from_le_bytes(random::<2>()) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(format!("127.0.0.1:{port}"));
        }
    }
    bail!("cannot find a free port on loopback between 20000 and 30000")
}
