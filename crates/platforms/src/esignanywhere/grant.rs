//! How a sender gives us access: OAuth 2.0, whose access token is the user's API token (vendor's page "Retrieving the User
//! API Token via OAuth").
//!
//! The endpoints are the tenant's own, above the API's path. Neither a refresh token nor an end of the token is
//! documented; where an instance has them, they are taken.

use aftersign_core::Error;
use aftersign_core::grant::{Departure, Grant, Nonces, OauthApp};
use aftersign_core::platform::{Access, Call, Next};
use aftersign_core::secret::Secret;

use super::api::root;
use crate::oauth::{TokenEndpoint, departure};

/// Where senders consent, below the tenant's place.
const AUTHORIZE: &str = "/Auth/Authorize";
/// Where codes are exchanged.
const TOKEN: &str = "/ApiToken/Retrieve";

pub(super) fn begin(access: &Access, app: &OauthApp, nonces: &Nonces) -> Result<Next<Departure>, Error> {
    const OPERATION: &str = "esignanywhere begin grant";
    let url = place(OPERATION, access, app.authorize_url.as_deref(), AUTHORIZE)?;
    departure(OPERATION, &url, app, nonces).map(Next::Done)
}

pub(super) fn finish(
    access: &Access,
    app: &OauthApp,
    code: &Secret,
    keep: &Secret,
) -> Result<Call<Grant>, Error> {
    endpoint("esignanywhere finish grant", access, app)?.redeem(code, keep, &[])
}

pub(super) fn renew(access: &Access, app: &OauthApp, grant: &Grant) -> Option<Result<Call<Grant>, Error>> {
    let token = grant.refresh_token.as_ref()?;
    Some(endpoint("esignanywhere renew grant", access, app).and_then(|endpoint| endpoint.renew(token)))
}

fn endpoint<'a>(
    operation: &'static str,
    access: &Access,
    app: &'a OauthApp,
) -> Result<TokenEndpoint<'a>, Error> {
    let url = place(operation, access, app.token_url.as_deref(), TOKEN)?;
    Ok(TokenEndpoint { operation, url, app, field: "api_token", life: None })
}

fn place(
    operation: &'static str,
    access: &Access,
    configured: Option<&str>,
    path: &str,
) -> Result<String, Error> {
    match configured {
        Some(url) => Ok(url.to_owned()),
        None => Ok(format!("{}{path}", root(operation, access)?)),
    }
}
