//! How a sender gives us access: OAuth 2.0 with refresh tokens (vendor's OAuth walkthrough and official description).
//!
//! The vendor's endpoints are on another host than its API. Where the account has a base URL of its own, they are on its
//! origin, unless the configuration says otherwise. The key of the account stays needed: a token reaches neither what was
//! sent from the web pages nor the removal.

use aftersign_core::Error;
use aftersign_core::grant::{Departure, Grant, Nonces, OauthApp};
use aftersign_core::platform::{ACCESS_TOKEN, Access, Call, Next};
use aftersign_core::secret::Secret;
use http::Uri;
use jiff::SignedDuration;

use crate::exchange::misconfigured;
use crate::oauth::{TokenEndpoint, departure};

/// The host of the vendor's API.
const API_HOST: &str = "api.hellosign.com";
/// Where its OAuth endpoints are.
const OAUTH_ORIGIN: &str = "https://app.hellosign.com";
const AUTHORIZE: &str = "/oauth/authorize";
const TOKEN: &str = "/oauth/token";
/// Life of a token whose answer does not tell it: "typically one hour" (official description).
const LIFE: SignedDuration = SignedDuration::from_hours(1);

pub(super) fn begin(access: &Access, app: &OauthApp, nonces: &Nonces) -> Result<Next<Departure>, Error> {
    const OPERATION: &str = "dropbox-sign begin grant";
    let url = place(OPERATION, access, app.authorize_url.as_deref(), AUTHORIZE)?;
    departure(OPERATION, &url, app, nonces).map(Next::Done)
}

/// The description demands the state here too.
pub(super) fn finish(
    access: &Access,
    app: &OauthApp,
    state: &Secret,
    code: &Secret,
    keep: &Secret,
) -> Result<Call<Grant>, Error> {
    const OPERATION: &str = "dropbox-sign finish grant";
    let url = place(OPERATION, access, app.token_url.as_deref(), TOKEN)?;
    endpoint(OPERATION, app, url).redeem(code, keep, &[("state", state)])
}

/// The token's place is asked with `refresh` in its query.
pub(super) fn renew(access: &Access, app: &OauthApp, grant: &Grant) -> Option<Result<Call<Grant>, Error>> {
    const OPERATION: &str = "dropbox-sign renew grant";
    let token = grant.refresh_token.as_ref()?;
    let url = place(OPERATION, access, app.token_url.as_deref(), TOKEN);
    Some(url.and_then(|url| {
        let separator = if url.contains('?') { '&' } else { '?' };
        endpoint(OPERATION, app, format!("{url}{separator}refresh")).renew(token)
    }))
}

fn endpoint<'a>(operation: &'static str, app: &'a OauthApp, url: String) -> TokenEndpoint<'a> {
    TokenEndpoint { operation, url, app, field: ACCESS_TOKEN, life: Some(LIFE) }
}

fn place(
    operation: &'static str,
    access: &Access,
    configured: Option<&str>,
    path: &str,
) -> Result<String, Error> {
    if let Some(url) = configured {
        return Ok(url.trim().to_owned());
    }
    let base: Option<Uri> = access.base_url.trim().parse().ok();
    let origin = base.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.authority()?)));
    match origin {
        Some((_, authority)) if authority.host().eq_ignore_ascii_case(API_HOST) => {
            Ok(format!("{OAUTH_ORIGIN}{path}"))
        }
        Some((scheme, authority)) => Ok(format!("{scheme}://{authority}{path}")),
        None => Err(misconfigured(operation, "the account's base_url is not a URL")),
    }
}
