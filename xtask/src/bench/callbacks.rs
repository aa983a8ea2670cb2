//! Authentic callbacks of Dropbox Sign, about 1 KB each, as they come over the wire.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BOUNDARY: &str = "----------------------------cdbbc9813ec9";
const EVENT_TYPE: &str = "signature_request_viewed";

/// Makes callbacks, each about an envelope of its own.
pub(super) struct Callbacks {
    pub(super) path_secret: &'static str,
    pub(super) key_text: &'static str,
    key: hmac::Key,
    /// Tells this run's envelopes from those of another.
    run: u64,
    next: AtomicU64,
}

impl Callbacks {
    pub(super) fn new() -> Self {
        let key_text = "3ee338feb55a4d8d52ba7b8a4e8e1ffc9f2dbe1b1e9ed5f0bc8fd0f3d2a5c7b1";
        Self {
            path_secret: "bench-path-secret-f3c1a6f4b7",
            key_text,
            key: hmac::Key::new(hmac::HMAC_SHA256, key_text.as_bytes()),
            run: u64::from(std::process::id()),
            next: AtomicU64::new(1),
        }
    }

    /// One more request, head and body.
    pub(super) fn request(&self) -> Vec<u8> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let json = self.json(number);
        let digest = STANDARD.encode(hex(hmac::sign(&self.key, json.as_bytes()).as_ref()));
        let body = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{json}\r\n--{BOUNDARY}--\r\n"
        );
        let path_secret = self.path_secret;
        let length = body.len();
        format!(
            "POST /callbacks/bench-0/{path_secret} HTTP/1.1\r\nHost: sign.example.com\r\nAccept: */*\r\n\
             User-Agent: Dropbox Sign API\r\nContent-Sha256: {digest}\r\n\
             Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    fn json(&self, number: u64) -> String {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let hash = hex(hmac::sign(&self.key, format!("{time}{EVENT_TYPE}").as_bytes()).as_ref());
        let (run, created_at) = (self.run, time - 600);
        format!(
            concat!(
                r#"{{"event":{{"event_type":"{}","event_time":"{}","event_hash":"{}","event_metadata":"#,
                r#"{{"related_signature_id":"{:032x}","reported_for_account_id":"{:040x}","#,
                r#""reported_for_app_id":null,"event_message":null}}}},"account_guid":"{:040x}","#,
                r#""client_id":null,"signature_request":{{"signature_request_id":"{:08x}{:032x}","#,
                r#""title":"Contract of employment","requester_email_address":"hr@example.com","#,
                r#""created_at":{},"test_mode":false,"is_complete":false,"is_declined":false,"#,
                r#""has_error":false,"signatures":[{{"signature_id":"{:032x}","#,
                r#""signer_email_address":"signer@example.org","signer_name":"Sam Signer","order":0,"#,
                r#""status_code":"awaiting_signature","decline_reason":null,"signed_at":null,"#,
                r#""last_viewed_at":{}}}]}}}}"#
            ),
            EVENT_TYPE, time, hash, number, run, run, run, number, created_at, number, time,
        )
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_is_about_a_kilobyte_of_valid_json_in_a_form() {
        let callbacks = Callbacks::new();
        let request = String::from_utf8(callbacks.request()).unwrap();
        assert!((1_000..1_600).contains(&request.len()), "{}", request.len());
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        let json = body.split("\r\n").nth(3).unwrap();
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(value["event"]["event_type"], EVENT_TYPE);
        assert_ne!(callbacks.request(), callbacks.request());
    }
}
