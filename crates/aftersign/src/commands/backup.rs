//! `backup`: a consistent copy of the database while the server works on.

use std::io::Write;
use std::path::Path;

use aftersign_store::Store;

use crate::failure::Failure;

/// Runs the command.
pub(super) async fn run(store: &dyn Store, file: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    if file.exists() {
        let message = format!("{} exists, and a backup replaces nothing", file.display());
        return Err(Failure::new(message, "name a file that does not exist yet").into());
    }
    store.backup(file).await?;
    let bytes = std::fs::metadata(file)?.len();
    writeln!(out, "{}: {bytes} bytes", file.display())?;
    writeln!(out, "Vault keys and the archive are not in it; keep those apart.")?;
    Ok(())
}
