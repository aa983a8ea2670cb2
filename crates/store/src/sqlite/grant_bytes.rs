//! The sealed form of a grant's secrets.
//!
//! Written by hand and not as JSON: a reader of JSON that meets an escape copies the text through a buffer that nobody
//! zeroes. Here every buffer that holds a secret is zeroed and has its final size from the start, so that growing leaves no
//! copy behind. A byte for the version, the number of fields, then name and secret of each, then the refresh token or
//! nothing; every number is four bytes, every text has its length before it.

use aftersign_core::platform::Credential;
use aftersign_core::secret::Secret;
use zeroize::Zeroizing;

const VERSION: u8 = 1;

/// What of a grant is secret.
pub(super) struct Secrets {
    pub(super) credential: Credential,
    pub(super) refresh_token: Option<Secret>,
}

/// The secrets as bytes. `None` if one is longer than four bytes can say.
pub(super) fn write(credential: &Credential, refresh_token: Option<&Secret>) -> Option<Zeroizing<Vec<u8>>> {
    let fields = || credential.fields().map(|(name, secret)| (name, secret.expose()));
    let texts = fields().map(|(name, secret)| 8 + name.len() + secret.len()).sum::<usize>();
    let length = 1 + 4 + texts + refresh_token.map_or(0, |token| 4 + token.expose().len());
    let mut bytes = Zeroizing::new(Vec::with_capacity(length));
    bytes.push(VERSION);
    push_number(&mut bytes, fields().count())?;
    for (name, secret) in fields() {
        push_text(&mut bytes, name)?;
        push_text(&mut bytes, secret)?;
    }
    if let Some(token) = refresh_token {
        push_text(&mut bytes, token.expose())?;
    }
    Some(bytes)
}

fn push_number(bytes: &mut Vec<u8>, number: usize) -> Option<()> {
    bytes.extend_from_slice(&u32::try_from(number).ok()?.to_be_bytes());
    Some(())
}

fn push_text(bytes: &mut Vec<u8>, text: &str) -> Option<()> {
    push_number(bytes, text.len())?;
    bytes.extend_from_slice(text.as_bytes());
    Some(())
}

/// The secrets out of their bytes. `None` if they are not of this form.
pub(super) fn read(bytes: &[u8]) -> Option<Secrets> {
    let (&version, mut rest) = bytes.split_first()?;
    if version != VERSION {
        return None;
    }
    let mut credential = Credential::default();
    for _ in 0..take_number(&mut rest)? {
        let name = take_text(&mut rest)?;
        credential = credential.with(name, Secret::new(take_text(&mut rest)?));
    }
    let refresh_token = if rest.is_empty() { None } else { Some(Secret::new(take_text(&mut rest)?)) };
    rest.is_empty().then_some(Secrets { credential, refresh_token })
}

fn take_number(rest: &mut &[u8]) -> Option<usize> {
    let (number, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    usize::try_from(u32::from_be_bytes(*number)).ok()
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = take_number(rest)?;
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::{Credential, Secret, read, write};

    #[test]
    fn secrets_come_back_as_they_were_and_nothing_grew() {
        for (fields, token) in [
            (vec![], None),
            (vec![("api_key", "k\u{0}\"\n"), ("empty", "")], None),
            (vec![("access_token", "ä")], Some("")),
            (vec![("access_token", "a")], Some("refresh")),
        ] {
            let credential =
                Credential::new(fields.iter().map(|(name, secret)| ((*name).into(), Secret::new(*secret))));
            let bytes = write(&credential, token.map(Secret::new).as_ref()).unwrap();
            assert_eq!(bytes.len(), bytes.capacity());
            let secrets = read(&bytes).unwrap();
            let read_fields: Vec<_> = secrets.credential.fields().map(|(n, s)| (n, s.expose())).collect();
            assert_eq!(read_fields, fields);
            assert_eq!(secrets.refresh_token.as_ref().map(Secret::expose), token);
            for cut in 0..bytes.len() {
                let whole = read(&bytes[..cut]).is_some();
                assert!(!whole || token.is_some(), "cut after {cut}");
            }
        }
        assert!(read(&[1, 255, 255, 255, 255]).is_none());
        assert!(read(&[2, 0, 0, 0, 0]).is_none());
    }
}
