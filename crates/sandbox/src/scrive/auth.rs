//! OAuth 1.0 with PLAINTEXT, in the way in which Scrive's server reads it: no nonce, no time, every value in double quotes, the
//! scheme's name optional.

use percent_encoding::percent_decode_str;

use crate::config::Vendor;
use crate::exchange::Inbound;
use crate::world::World;

/// The four parts of a personal credential.
struct Credential {
    api_token: String,
    access_token: String,
    /// The two secrets, joined by `&`.
    signature: String,
}

/// The id of the account whose credential was given.
pub(super) fn authenticate(world: &World, inbound: &Inbound) -> Option<String> {
    let credential = parse(inbound.header("authorization")?)?;
    world.look(|s| {
        let fits = |secrets: &std::collections::BTreeMap<String, String>| {
            let of = |name: &str| secrets.get(name).map(String::as_str).filter(|secret| !secret.is_empty());
            let parts = (of("api_token"), of("access_token"), of("api_secret"), of("access_secret"));
            let (Some(api_token), Some(access_token), Some(api_secret), Some(access_secret)) = parts else {
                return false;
            };
            api_token == credential.api_token
                && access_token == credential.access_token
                && format!("{api_secret}&{access_secret}") == credential.signature
        };
        s.accounts
            .values()
            .filter(|account| matches!(account.spec.vendor, Vendor::Scrive | Vendor::ScriveFlow))
            .find(|account| fits(&account.spec.secrets))
            .map(|account| account.spec.id.clone())
    })
}

fn parse(header: &str) -> Option<Credential> {
    let parameters = header.strip_prefix("OAuth ").unwrap_or(header);
    let pairs = parameters
        .split(',')
        .map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            Some((name, value.strip_prefix('"')?.strip_suffix('"')?))
        })
        .collect::<Option<Vec<_>>>()?;
    let of = |wanted: &str| pairs.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
    if of("oauth_signature_method")? != "PLAINTEXT" {
        return None;
    }
    Some(Credential {
        api_token: of("oauth_consumer_key")?.to_owned(),
        access_token: of("oauth_token")?.to_owned(),
        signature: percent_decode_str(of("oauth_signature")?).decode_utf8().ok()?.into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn signature(header: &str) -> Option<String> {
        parse(header).map(|credential| credential.signature)
    }

    #[test]
    fn the_signature_may_be_encoded_and_every_value_must_be_quoted() {
        let header = |prefix: &str, method: &str, signature: &str| {
            format!(
                "{prefix}oauth_signature_method={method}, oauth_consumer_key=\"a_1\", oauth_token=\"b_2\", \
                 oauth_signature={signature}"
            )
        };
        let plain = "\"PLAINTEXT\"";
        for prefix in ["", "OAuth "] {
            for written in ["\"c&d\"", "\"c%26d\""] {
                assert_eq!(signature(&header(prefix, plain, written)).as_deref(), Some("c&d"));
            }
        }
        assert!(parse(&header("", plain, "c&d")).is_none());
        assert!(parse(&header("", "\"HMAC-SHA1\"", "\"c&d\"")).is_none());
        assert!(parse("oauth_signature_method=\"PLAINTEXT\"").is_none());
        assert!(parse("").is_none());
    }
}
