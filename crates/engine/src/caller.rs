//! The one way to ask a platform: requests follow one another as far as an answer leads, with the token that some
//! credentials must be exchanged for first.
//!
//! It decides nothing about failures, but for one: a token that was good yesterday and is refused today is fetched
//! anew, once. In whose name is asked, and what a refusal means for an envelope, is the business of those who ask.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aftersign_core::ids::AccountId;
use aftersign_core::platform::{Access, Call, Next, Platform, Token};
use aftersign_core::seams::{Clock, Download, Downloaded, Transport};
use aftersign_core::{Error, ErrorKind, Remedy};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};

use crate::limits::{CALL_HOPS_MAX, HOP_RETRY_AFTER_LONGEST, HOP_RETRY_FIRST, HOP_TRIES_MAX, TOKENS_MAX};

/// Whose token it is: the account's own, or that of one of its senders.
type Holder = (AccountId, Option<String>);
/// The lock is held while a token is fetched, so that those who need the same one wait for it.
type Slot = Arc<tokio::sync::Mutex<Option<Token>>>;

/// Asks platforms questions and downloads from them.
pub struct Caller {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    tokens: Mutex<HashMap<Holder, Slot>>,
}

impl Caller {
    /// A caller that holds no token yet.
    pub fn new(transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> Self {
        Self { transport, clock, tokens: Mutex::default() }
    }

    /// Asks a question, following it over as many requests as it takes. `make` is given the access with its token.
    ///
    /// # Errors
    /// What `make` or the reader of an answer says, or the transport's failure. [`ErrorKind::AccessRefused`] if the
    /// credential itself is refused, or a token that was fetched just now.
    pub async fn ask<T>(
        &self,
        platform: &dyn Platform,
        access: &Access,
        make: impl Fn(&Access) -> Result<Call<T>, Error>,
    ) -> Result<T, Error> {
        let make = &make;
        let ask = |access: Access| async move { self.follow(&access.account, make(&access)?).await };
        self.with_access(platform, access, ask).await
    }

    /// Downloads into the file `into`, with the request that `make` builds from the access with its token.
    ///
    /// # Errors
    /// As [`Self::ask`]; an answer other than 2xx is what [`Platform::refused_download`] takes it for.
    pub async fn download(
        &self,
        platform: &dyn Platform,
        access: &Access,
        into: &Path,
        make: impl Fn(&Access) -> Result<Request<Bytes>, Error>,
    ) -> Result<Downloaded, Error> {
        let make = &make;
        let download = |access: Access| async move {
            match self.transport.download(&access.account, make(&access)?, into).await? {
                Download::Staged(staged) => Ok(staged),
                Download::Refused(response) => Err(platform.refused_download(&response)),
            }
        };
        self.with_access(platform, access, download).await
    }

    /// Does `work` with the access and its token, and once more if a token that was fetched earlier is refused.
    async fn with_access<T, F>(
        &self,
        platform: &dyn Platform,
        access: &Access,
        work: impl Fn(Access) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let Some((token, is_new)) = self.token(platform, access).await? else {
            return work(access.clone()).await;
        };
        let refused = match work(access.clone().with_token(&token)).await {
            Err(error) if error.kind() == ErrorKind::AccessRefused => error,
            answer => return answer,
        };
        self.forget(access, &token).await;
        if is_new {
            return Err(refused);
        }
        match self.token(platform, access).await? {
            Some((token, _)) => work(access.clone().with_token(&token)).await,
            None => Err(refused),
        }
    }

    /// The token for an access, and whether it was fetched just now; `None` where the credential is sent as it is.
    async fn token(&self, platform: &dyn Platform, access: &Access) -> Result<Option<(Token, bool)>, Error> {
        let Some(call) = platform.token(access) else { return Ok(None) };
        let slot = self.slot(access);
        let mut held = slot.lock().await;
        if let Some(token) = held.as_ref().filter(|token| token.renew_at > self.clock.now()) {
            return Ok(Some((token.clone(), false)));
        }
        let token = self.follow(&access.account, call?).await.map_err(|error| no_token(access, error))?;
        *held = Some(token.clone());
        Ok(Some((token, true)))
    }

    /// Forgets a refused token, unless somebody else has fetched the next one already.
    async fn forget(&self, access: &Access, refused: &Token) {
        let slot = self.slot(access);
        let mut held = slot.lock().await;
        if held.as_ref().is_some_and(|token| token.secret.matches(refused.secret.expose().as_bytes())) {
            *held = None;
        }
    }

    fn slot(&self, access: &Access) -> Slot {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let holder = (access.account.clone(), access.sender.clone());
        if tokens.len() >= TOKENS_MAX && !tokens.contains_key(&holder) {
            tokens.clear();
        }
        Arc::clone(tokens.entry(holder).or_default())
    }

    /// What a value that may need more requests comes to.
    pub(crate) async fn settle<T>(&self, account: &AccountId, next: Next<T>) -> Result<T, Error> {
        match next {
            Next::Done(value) => Ok(value),
            Next::Then(call) => self.follow(account, call).await,
        }
    }

    /// Sends a call and those that its answers lead to. The first one's failure is its caller's business; one further on
    /// would undo all that came before, so it is asked again in its place.
    pub(crate) async fn follow<T>(&self, account: &AccountId, mut call: Call<T>) -> Result<T, Error> {
        for hop in 0..CALL_HOPS_MAX {
            let (operation, request, read) = call.into_parts();
            let tries = if hop > 0 && request.method() == Method::GET { HOP_TRIES_MAX } else { 1 };
            let response = self.exchange(account, request, tries).await;
            let response = response.map_err(|error| error.with("asked", operation))?;
            match read(response, self.clock.now())? {
                Next::Done(value) => return Ok(value),
                Next::Then(next) => call = next,
            }
        }
        Err(Error::new(
            ErrorKind::Unintelligible,
            Remedy::Retry(None),
            "ask",
            "the platform's answers lead in circles",
        ))
    }

    /// Sends a request, up to `tries` times as long as its answer says nothing about what was asked.
    async fn exchange(
        &self,
        account: &AccountId,
        request: Request<Bytes>,
        tries: u32,
    ) -> Result<Response<Bytes>, Error> {
        for again in 1..tries {
            let wait = match self.transport.exchange(account, request.clone()).await {
                Ok(response) => match disturbance(&response) {
                    Some(wait) => wait,
                    None => return Ok(response),
                },
                Err(error) if matches!(error.remedy(), Remedy::Retry(None)) => Duration::ZERO,
                Err(error) => return Err(error),
            };
            tokio::time::sleep(wait.max(HOP_RETRY_FIRST * 2u32.pow(again - 1))).await;
        }
        self.transport.exchange(account, request).await
    }
}

/// How long a server or a proxy in trouble, or one that is asked too often, wants to be left alone; `None` for an answer, and
/// for a wish that is too long to be waited for in the middle of a question.
fn disturbance(response: &Response<Bytes>) -> Option<Duration> {
    let (status, headers) = (response.status(), response.headers());
    let is_page = headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"text/html"));
    if !(status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || is_page) {
        return None;
    }
    let Some(wish) = headers.get(RETRY_AFTER) else { return Some(Duration::ZERO) };
    let seconds = wish.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds)).filter(|wait| *wait <= HOP_RETRY_AFTER_LONGEST)
}

/// "Not found" is said of a sender who has left, never of what would be asked for with the token.
fn no_token(access: &Access, error: Error) -> Error {
    let of_sender = access.sender.is_some();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::Rejected if of_sender => Error::new(
            ErrorKind::AccessRefused,
            Remedy::RenewAccess,
            "get token",
            "the platform gives no token in this sender's name",
        )
        .caused_by(error),
        _ => error,
    }
}

#[cfg(test)]
mod tests;
