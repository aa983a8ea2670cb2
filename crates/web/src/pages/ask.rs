//! From a request to a question, and from the question to the desk's answer.

use std::sync::Arc;

use aftersign_core::consent::{Browser, ConsentDesk, Errand, Scene, Trouble, Turn};
use aftersign_core::ids::AccountId;
use axum::body::HttpBody;
use http::request::Parts;
use tokio::sync::Semaphore;
use tracing::{error, warn};

use super::form::{self, Parameters, TypedKey};
use super::refused::Refused;
use super::route::{Page, Visit};
use crate::limits::{DESK_TIMEOUT, RETURN_QUERY_BYTES_MAX};

/// What the desk is asked.
pub(super) enum Ask {
    /// A browser comes with an errand.
    Arrive(Errand),
    /// The sender wants to consent.
    Depart,
    /// A browser comes back with this query.
    Returned(String),
    /// The sender typed a key in.
    Key(TypedKey),
}

/// Why the desk is not asked.
pub(super) enum Stop {
    /// The request is not taken.
    Refused(Refused),
    /// The same as if the desk had said so.
    Trouble(Trouble),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// Reads what a visit asks for.
pub(super) async fn read<B: HttpBody>(page: Page, visit: Visit, head: &Parts, body: B) -> Result<Ask, Stop> {
    let query = head.uri.query().unwrap_or_default();
    Ok(match page {
        Page::Connect => Ask::Arrive(Errand::Connect),
        Page::Renew => {
            let link = Parameters::read(query.as_bytes()).and_then(|parameters| parameters.link());
            Ask::Arrive(Errand::Renew(link.ok_or(Stop::Trouble(Trouble::LinkExpired))?))
        }
        Page::BeforeSend => {
            let bad = |what| Stop::Trouble(Trouble::BadParameters(what));
            let (parameters, confirmed) = match visit {
                Visit::Post => (form::read(&head.headers, body).await?, true),
                Visit::Get | Visit::Head => {
                    let read = Parameters::read(query.as_bytes());
                    (read.ok_or_else(|| bad("the parameters cannot be read"))?, false)
                }
            };
            Ask::Arrive(parameters.before_send(confirmed).map_err(bad)?)
        }
        // Untouched: some platforms come back with what only they can read.
        Page::Return if query.len() <= RETURN_QUERY_BYTES_MAX => Ask::Returned(query.to_owned()),
        Page::Return => return Err(Stop::Trouble(Trouble::UnknownReturn)),
        Page::Depart => {
            form::read(&head.headers, body).await?;
            Ask::Depart
        }
        Page::Key => Ask::Key(form::read(&head.headers, body).await?.key().ok_or(Refused::BrokenForm)?),
    })
}

impl Ask {
    /// The errand, if it is one.
    pub(super) fn errand(&self) -> Option<&Errand> {
        match self {
            Self::Arrive(errand) => Some(errand),
            Self::Depart | Self::Returned(_) | Self::Key(_) => None,
        }
    }

    /// Asks the desk, in a task of its own: a browser that goes away in the middle of a sending must not break it off. The
    /// place is given back when the desk is done, not when the browser is gone.
    ///
    /// # Errors
    /// [`Refused::Busy`] without a place; [`Refused::DeskSlow`], or [`Refused::ReturnSlow`] on a way back, if the desk takes
    /// too long; it goes on then.
    pub(super) async fn put(
        self,
        desk: &Arc<dyn ConsentDesk>,
        places: &Arc<Semaphore>,
        account: &AccountId,
        browser: Browser,
    ) -> Result<Turn, Refused> {
        let place = Arc::clone(places).try_acquire_owned().map_err(|_| Refused::Busy)?;
        let slow = match &self {
            Self::Returned(_) => Refused::ReturnSlow,
            Self::Arrive(_) | Self::Depart | Self::Key(_) => Refused::DeskSlow,
        };
        let (desk, id) = (Arc::clone(desk), account.clone());
        let asking = tokio::spawn(async move {
            let _place = place;
            match self {
                Self::Arrive(errand) => desk.arrive(&id, errand, &browser).await,
                Self::Depart => desk.depart(&id, &browser).await,
                Self::Returned(query) => desk.returned(&id, &query, &browser).await,
                Self::Key(TypedKey { fields, link }) => desk.key_typed(&id, fields, link, &browser).await,
            }
        });
        match tokio::time::timeout(DESK_TIMEOUT, asking).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) => {
                error!(account = %account, "the consent desk panicked; the browser was told that it is our fault");
                Ok(Scene::Trouble { trouble: Trouble::OurFault, again: None }.into())
            }
            Err(_) => {
                warn!(account = %account, "the consent desk takes too long; it goes on without the browser");
                Err(slow)
            }
        }
    }
}
