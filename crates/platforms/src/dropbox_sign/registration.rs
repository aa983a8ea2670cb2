//! The registered callback: the account's, or one API app's.
//!
//! Each has one URL and no choice of events. The platform clears it after ten failures in a row (vendor's walkthrough),
//! so it is worth reading now and then.

use aftersign_core::Error;
use aftersign_core::platform::{Access, Call, Next, Registration};
use bytes::Bytes;
use http::{Method, Response};

use super::CLIENT_ID;
use super::api::{answer, call, refused, send};
use super::wire::{OneAccount, OneApp, RegisterCallback};
use crate::exchange::{Body, misconfigured, option, refused_by_stranger, safe_id};

/// What is said of a [`CLIENT_ID`] that could not stand in a path.
const NO_CLIENT_ID: &str = "the account's option `client_id` must be an API app's id as the platform shows it: letters \
                            and digits";

/// Whose callback it is.
#[derive(Clone)]
enum Place {
    Account,
    App(String),
}

impl Place {
    fn of(operation: &'static str, access: &Access) -> Result<Self, Error> {
        match option(operation, access, &CLIENT_ID)? {
            "" => Ok(Self::Account),
            id => match safe_id(operation, id) {
                Ok(id) => Ok(Self::App(id.to_owned())),
                Err(_) => Err(misconfigured(operation, NO_CLIENT_ID)),
            },
        }
    }

    fn path(&self) -> String {
        match self {
            Self::Account => "account".to_owned(),
            Self::App(id) => format!("api_app/{id}"),
        }
    }
}

/// Asks which URL is registered.
pub(super) fn read(access: &Access) -> Result<Call<Registration>, Error> {
    const OPERATION: &str = "dropbox-sign read registration";
    let place = Place::of(OPERATION, access)?;
    ask(OPERATION, access, place)
}

fn ask(operation: &'static str, access: &Access, place: Place) -> Result<Call<Registration>, Error> {
    let request = call(operation, access, Method::GET, &place.path())?;
    Ok(Call::new(operation, request, move |response, now| {
        let url = match place {
            Place::Account => answer::<OneAccount>(operation, &response, now)?.account.callback_url,
            Place::App(_) => answer::<OneApp>(operation, &response, now)?.api_app.callback_url,
        };
        Ok(Next::Done(Registration { url, events: Vec::new() }))
    }))
}

/// Registers the URL and reads what is registered then. The platform calls it with a test at once.
pub(super) fn register(access: &Access, url: &str) -> Result<Call<Registration>, Error> {
    const OPERATION: &str = "dropbox-sign register callback";
    let place = Place::of(OPERATION, access)?;
    let body = serde_json::to_vec(&RegisterCallback { callback_url: url.trim() })
        .map_err(|error| misconfigured(OPERATION, "the request has no JSON form").caused_by(error))?;
    let request = send(OPERATION, access, Method::PUT, &place.path(), body.into())?;
    let access = access.clone();
    Ok(Call::new(OPERATION, request, move |response: Response<Bytes>, now| {
        if !response.status().is_success() {
            return Err(refused(OPERATION, &response, Some(now)));
        }
        if matches!(Body::of(response.body()), Body::Foreign) {
            return Err(refused_by_stranger(OPERATION, response.status(), None));
        }
        Ok(Next::Then(ask(OPERATION, &access, place)?))
    }))
}
