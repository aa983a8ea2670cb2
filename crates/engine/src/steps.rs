//! How each step of a transfer is done. What to do stands in core's [`Step`]; here it happens.

use std::path::Path;

use aftersign_core::artifact::Content;
use aftersign_core::digest::Digest;
use aftersign_core::envelope::{Envelope, EnvelopeStatus, Lookup};
use aftersign_core::grant::Holder;
use aftersign_core::ids::DestinationId;
use aftersign_core::platform::Access;
use aftersign_core::proof::TransferProof;
use aftersign_core::rule::{self, DisposePolicy, Plan};
use aftersign_core::seams::{ArchiveKey, Destination, Downloaded, StagedFile};
use aftersign_core::transfer::{Item, Outcome, Step, Transfer};
use aftersign_core::{Error, ErrorKind, Remedy};

use crate::behalf::Behalf;
use crate::limits::{ACCESS_REFUSED_QUIET, RECORD_BYTES_MAX};
use crate::metrics::AccountLabels;
use crate::{Engine, EngineAccount, behalf, content, manifest, refusals, staging};

impl Engine {
    /// Does one step. Failures are outcomes too.
    pub(crate) async fn perform(&self, account: &EngineAccount, transfer: &Transfer, step: &Step) -> Outcome {
        if !refusals::asks(step) {
            return self.perform_here(account, transfer, step).await.unwrap_or_else(Outcome::Failed);
        }
        let id = &account.access.account;
        let behalf = match self.behalf(account, transfer).await {
            Ok(behalf) => behalf,
            Err(error) => return Outcome::Failed(error),
        };
        if let Some(holder) = behalf.refused() {
            return Outcome::StillRefused(holder);
        }
        let quiet = |refused_at| self.pace().after(refused_at, ACCESS_REFUSED_QUIET) > self.now();
        let is_own = behalf.is_own() && account.has_own_access();
        if is_own && self.refusals.last(id).is_some_and(quiet) {
            return Outcome::StillRefused(Holder::Account);
        }
        let outcome = self.perform_there(account, transfer, step, &behalf).await;
        let outcome = outcome.unwrap_or_else(Outcome::Failed);
        if is_own {
            self.refusals.note(id, &outcome, self.now());
        }
        outcome
    }

    /// A step that asks the platform.
    async fn perform_there(
        &self,
        account: &EngineAccount,
        transfer: &Transfer,
        step: &Step,
        behalf: &Behalf,
    ) -> Result<Outcome, Error> {
        match step {
            Step::List => self.list(account, transfer, behalf).await,
            Step::Download(index) => self.download(account, transfer, *index, behalf).await,
            Step::Dispose(proof) => self.dispose(account, proof, behalf).await,
            _ => self.ask_envelope(account, transfer, behalf).await,
        }
    }

    /// A step that asks nobody outside but the archive.
    async fn perform_here(
        &self,
        account: &EngineAccount,
        transfer: &Transfer,
        step: &Step,
    ) -> Result<Outcome, Error> {
        match step {
            Step::Deliver(index, destination) => self.deliver(account, transfer, *index, destination).await,
            Step::Verify(index, destination) => self.verify(transfer, *index, destination).await,
            Step::Compose => self.compose(account, transfer).await,
            Step::Stuck(missing) => Err(inconsistent(missing)),
            _ => Err(inconsistent("nothing is due")),
        }
    }

    async fn ask_envelope(
        &self,
        account: &EngineAccount,
        transfer: &Transfer,
        behalf: &Behalf,
    ) -> Result<Outcome, Error> {
        let answer = self.look_up(account, transfer, behalf).await?;
        Ok(match (answer.value, answer.refused) {
            (Lookup::Found(envelope), _) => {
                let plan = self.plan(account, &envelope);
                Outcome::Found(envelope, plan)
            }
            (Lookup::Deleted { .. }, _) => Outcome::Gone(self.announced(transfer).await?),
            (Lookup::NotFound, Some(refused)) => return Err(behalf::hidden(refused)),
            (Lookup::NotFound, None) => Outcome::NotFound(self.announced(transfer).await?),
        })
    }

    fn plan(&self, account: &EngineAccount, envelope: &Envelope) -> Option<Plan> {
        let EngineAccount { platform, access, .. } = account;
        let safe = platform.default_dispose(envelope);
        let mut plan = rule::plan(&self.rules, platform.name(), &access.account, envelope, safe)?;
        if !platform.capabilities().dispose {
            plan.dispose = DisposePolicy::Never;
        }
        Some(plan)
    }

    /// What notifications said of an envelope that the platform no longer shows.
    async fn announced(&self, transfer: &Transfer) -> Result<EnvelopeStatus, Error> {
        Ok(self.known(transfer).await?.map_or(EnvelopeStatus::Unknown, |known| known.status))
    }

    async fn list(
        &self,
        account: &EngineAccount,
        transfer: &Transfer,
        behalf: &Behalf,
    ) -> Result<Outcome, Error> {
        let (platform, envelope) = (account.platform, envelope_of(transfer)?);
        let answer =
            self.ask_about(account, behalf, |access| platform.list_artifacts(access, envelope)).await?;
        Ok(Outcome::Listed(answer.value))
    }

    /// Fetches an artifact, more than once where nothing shows that its end is not missing.
    async fn download(
        &self,
        account: &EngineAccount,
        transfer: &Transfer,
        index: usize,
        behalf: &Behalf,
    ) -> Result<Outcome, Error> {
        let item = item_of(transfer, index)?;
        let path = self.staging.place(transfer.id, index).await?;
        let named = |error: Error| error.with("file", &item.file_name);
        let began = self.now();
        let staged = self.fetch(account, transfer, item, &path, behalf).await.map_err(named)?;
        content::check(&item.artifact.content, &staged, &path).await.map_err(named)?;
        for _ in 1..item.artifact.content.downloads_to_agree(&staged.head, &staged.tail) {
            let again = self.fetch(account, transfer, item, &path, behalf).await.map_err(named)?;
            if again.digest != staged.digest {
                return Err(named(content::corrupt("two downloads differ: one of them was cut off".into())));
            }
        }
        let labels = AccountLabels { account: account.access.account.as_str().into() };
        self.metrics.downloaded_bytes.get_or_create(&labels).inc_by(staged.bytes);
        let (digest, bytes) = self.redact(account, item, &path, &staged).await.map_err(named)?;
        Ok(Outcome::Staged(index, digest, bytes, began))
    }

    async fn fetch(
        &self,
        account: &EngineAccount,
        transfer: &Transfer,
        item: &Item,
        into: &Path,
        behalf: &Behalf,
    ) -> Result<Downloaded, Error> {
        let (platform, envelope) = (account.platform, envelope_of(transfer)?);
        let make = |access: &Access| platform.download(access, envelope, &item.artifact);
        let fetch = |access: Access| async move { self.caller.download(platform, &access, into, make).await };
        Ok(self.on_behalf(account, behalf, fetch).await?.value)
    }

    /// Takes secrets of the platform out of a staged record. Gives digest and size of what lies there then.
    async fn redact(
        &self,
        account: &EngineAccount,
        item: &Item,
        path: &Path,
        staged: &Downloaded,
    ) -> Result<(Digest, u64), Error> {
        if item.artifact.content != Content::Json {
            return Ok((staged.digest, staged.bytes));
        }
        if staged.bytes > RECORD_BYTES_MAX {
            return Err(too_large(staged.bytes));
        }
        let bytes = tokio::fs::read(path).await.map_err(|error| staging::failed(path, error))?;
        let Some(redacted) = account.platform.redacted(&item.artifact, &bytes) else {
            return Ok((staged.digest, staged.bytes));
        };
        self.staging.replace(path, &redacted).await?;
        Ok((Digest::of(&redacted), size(&redacted)))
    }

    async fn deliver(
        &self,
        account: &EngineAccount,
        transfer: &Transfer,
        index: usize,
        destination: &DestinationId,
    ) -> Result<Outcome, Error> {
        let item = item_of(transfer, index)?;
        let staged = item.staged.ok_or_else(|| inconsistent("nothing was staged"))?;
        let plan = transfer.plan.as_ref().ok_or_else(|| inconsistent("no rule chose destinations"))?;
        let path = self.staging.place(transfer.id, index).await?;
        if tokio::fs::metadata(&path).await.is_ok_and(|found| found.len() == staged.bytes) {
            let key = ArchiveKey { folder: plan.folder.clone(), file_name: item.file_name.clone() };
            let file = StagedFile { path: &path, digest: staged.digest, bytes: staged.bytes };
            let metadata = vec![
                ("platform", account.platform.name().to_string()),
                ("account", transfer.account.to_string()),
                ("envelope_id", transfer.envelope_id.to_string()),
                ("artifact_kind", item.artifact.kind.as_str().to_string()),
            ];
            match self.destination(destination)?.put(&key, file, &metadata).await {
                Ok(receipt) => return Ok(Outcome::Delivered(index, destination.clone(), receipt)),
                // The staged bytes are not those of the digest: a crash tore the file.
                Err(error) if error.kind() == ErrorKind::Corrupt => {}
                Err(error) => return Err(error.with("destination", destination)),
            }
        }
        Ok(Outcome::StagedFileGone(index))
    }

    async fn verify(
        &self,
        transfer: &Transfer,
        index: usize,
        destination: &DestinationId,
    ) -> Result<Outcome, Error> {
        let delivery = item_of(transfer, index)?
            .deliveries
            .iter()
            .find(|delivery| delivery.destination == *destination)
            .and_then(|delivery| delivery.receipt.as_ref())
            .ok_or_else(|| inconsistent("nothing was delivered"))?;
        let verification = self
            .destination(destination)?
            .verify(delivery)
            .await
            .map_err(|error| error.with("destination", destination))?;
        Ok(Outcome::Verified(index, destination.clone(), verification))
    }

    /// Writes `metadata.json` where the item that follows the artifacts will be looked for.
    async fn compose(&self, account: &EngineAccount, transfer: &Transfer) -> Result<Outcome, Error> {
        let bytes = manifest::compose(transfer, account.platform.name())
            .ok_or_else(|| inconsistent("metadata.json needs every artifact"))?;
        let path = self.staging.place(transfer.id, transfer.manifest_index()).await?;
        self.staging.write(&path, &bytes).await?;
        Ok(Outcome::Composed(Digest::of(&bytes), size(&bytes)))
    }

    async fn dispose(
        &self,
        account: &EngineAccount,
        proof: &TransferProof,
        behalf: &Behalf,
    ) -> Result<Outcome, Error> {
        let platform = account.platform;
        let answer = self.ask_about(account, behalf, |access| platform.dispose(access, proof)).await?;
        Ok(Outcome::Disposed(answer.value))
    }

    fn destination(&self, id: &DestinationId) -> Result<&dyn Destination, Error> {
        self.destinations.iter().find(|destination| destination.id() == id).map(|found| &**found).ok_or_else(
            || {
                Error::new(
                    ErrorKind::Misconfigured,
                    Remedy::AskPerson,
                    "deliver",
                    format!("destination `{id}` is no longer in the config: add it again and redrive"),
                )
            },
        )
    }
}

/// What cannot be searched for secrets is not archived.
fn too_large(bytes: u64) -> Error {
    let message = format!(
        "the record is too large to take the platform's secrets out of it ({bytes} bytes, at most {RECORD_BYTES_MAX}), so \
         it is not archived: archive it by hand without them, and resolve the transfer"
    );
    Error::new(ErrorKind::Unintelligible, Remedy::AskPerson, "redact", message)
}

fn size(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn envelope_of(transfer: &Transfer) -> Result<&Envelope, Error> {
    transfer.envelope.as_ref().ok_or_else(|| inconsistent("the platform was not asked"))
}

fn item_of(transfer: &Transfer, index: usize) -> Result<&Item, Error> {
    transfer.items.get(index).ok_or_else(|| inconsistent("no such artifact"))
}

/// A step that does not fit the transfer's state: our own mistake, for a person to see.
fn inconsistent(what: &str) -> Error {
    Error::new(ErrorKind::Misconfigured, Remedy::AskPerson, "step", format!("it cannot be done: {what}"))
}

#[cfg(test)]
mod tests;
