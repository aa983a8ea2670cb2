//! How each step of a transfer is done. What to do stands in core's [`Step`]; here it happens.

use aftersign_core::digest::Digest;
use aftersign_core::envelope::{Envelope, EnvelopeStatus, Lookup};
use aftersign_core::ids::DestinationId;
use aftersign_core::platform::Access;
use aftersign_core::proof::TransferProof;
use aftersign_core::rule::{self, DisposePolicy};
use aftersign_core::seams::{ArchiveKey, Destination, Download, StagedFile};
use aftersign_core::transfer::{Item, Outcome, Step, Transfer};
use aftersign_core::{Error, ErrorKind, Remedy};

use crate::metrics::AccountLabels;
use crate::{Engine, EngineAccount, content, manifest};

impl Engine {
    /// Does one step. Failures are outcomes too.
    pub(crate) async fn perform(&self, account: &EngineAccount, transfer: &Transfer, step: &Step) -> Outcome {
        let outcome = match step {
            Step::Ask => self.ask_envelope(account, transfer).await,
            Step::List => self.list(account, transfer).await,
            Step::Download(index) => self.download(account, transfer, *index).await,
            Step::Deliver(index, destination) => self.deliver(account, transfer, *index, destination).await,
            Step::Verify(index, destination) => self.verify(transfer, *index, destination).await,
            Step::Compose => self.compose(account, transfer).await,
            Step::Dispose(proof) => self.dispose(account, proof).await,
            Step::Stuck(missing) => Err(inconsistent(missing)),
            Step::Wait(_) => Err(inconsistent("nothing is due")),
        };
        outcome.unwrap_or_else(Outcome::Failed)
    }

    async fn ask_envelope(&self, account: &EngineAccount, transfer: &Transfer) -> Result<Outcome, Error> {
        let call = account.platform.fetch_envelope(&account.access, &transfer.envelope_id);
        let lookup = self.ask(&account.access, call).await?;
        Ok(match lookup {
            Lookup::Found(envelope) => {
                let mut plan = rule::plan(&self.rules, account.platform.name(), &transfer.account, &envelope);
                if let Some(plan) = &mut plan
                    && !account.platform.capabilities().dispose
                {
                    plan.dispose = DisposePolicy::Never;
                }
                Outcome::Found(envelope, plan)
            }
            Lookup::Deleted { .. } => Outcome::Gone(self.announced(transfer).await?),
            Lookup::NotFound => Outcome::NotFound(self.announced(transfer).await?),
        })
    }

    /// What notifications said of an envelope that the platform no longer shows.
    async fn announced(&self, transfer: &Transfer) -> Result<EnvelopeStatus, Error> {
        let ids = std::slice::from_ref(&transfer.envelope_id);
        let known = self.store.known(&transfer.account, ids).await.map_err(|error| {
            Error::new(ErrorKind::Storage, Remedy::Retry(None), "ask", "the store failed").caused_by(error)
        })?;
        Ok(known.first().map_or(EnvelopeStatus::Unknown, |known| known.status))
    }

    async fn list(&self, account: &EngineAccount, transfer: &Transfer) -> Result<Outcome, Error> {
        let call = account.platform.list_artifacts(&account.access, envelope_of(transfer)?);
        Ok(Outcome::Listed(self.ask(&account.access, call).await?))
    }

    /// Fetches an artifact. Bytes in which nothing would show that the end is missing are fetched twice: no
    /// platform tells a checksum.
    async fn download(
        &self,
        account: &EngineAccount,
        transfer: &Transfer,
        index: usize,
    ) -> Result<Outcome, Error> {
        let item = item_of(transfer, index)?;
        let Access { account: id, .. } = &account.access;
        let request = account.platform.download(&account.access, envelope_of(transfer)?, &item.artifact)?;
        let path = self.staging.place(transfer.id, index).await?;
        let named = |error: Error| error.with("file", &item.file_name);
        let fetch = async || match self.transport.download(id, request.clone(), &path).await? {
            Download::Refused(response) => Err(account.platform.refused_download(&response)),
            Download::Staged(staged) => Ok(staged),
        };
        let began = self.now();
        let staged = fetch().await.map_err(named)?;
        content::check(&item.artifact.content, &staged, &path).await.map_err(named)?;
        let proven = item.artifact.content.proves_its_end(&staged.tail);
        if !proven && fetch().await.map_err(named)?.digest != staged.digest {
            return Err(named(content::corrupt("two downloads differ: one of them was cut off".into())));
        }
        let labels = AccountLabels { account: id.as_str().into() };
        self.metrics.downloaded_bytes.get_or_create(&labels).inc_by(staged.bytes);
        Ok(Outcome::Staged(index, staged.digest, staged.bytes, began))
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
        Ok(Outcome::Composed(Digest::of(&bytes), u64::try_from(bytes.len()).unwrap_or(u64::MAX)))
    }

    async fn dispose(&self, account: &EngineAccount, proof: &TransferProof) -> Result<Outcome, Error> {
        let call = account.platform.dispose(&account.access, proof);
        Ok(Outcome::Disposed(self.ask(&account.access, call).await?))
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
