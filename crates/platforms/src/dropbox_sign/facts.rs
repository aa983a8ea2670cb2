//! What the adapter does, for the certificate. The long form is `README.md`.

use crate::certificate::{Confidence, Fact};

pub(crate) const FACTS: &[Fact] = &[
    Fact { what: "callback", how: "multipart form with one field `json`", confidence: Confidence::Observed },
    Fact {
        what: "`event_hash`",
        how: "HMAC over time and type under the account's primary API key",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "`Content-Sha256`",
        how: "HMAC over the JSON, in base64 of hexadecimal text or of bytes",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "acknowledgement",
        how: "`Hello API Event Received`, or it is sent again and the URL is cleared in the end",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "event types",
        how: "the 23 of the official enumeration and older names; others wake softly",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "whose e-mail came back",
        how: "`related_signature_id`, else the signature whose code says so, else the only one",
        confidence: Confidence::NotVerified,
    },
    Fact {
        what: "an incomplete qualified signature",
        how: "is taken for a failed identification",
        confidence: Confidence::NotVerified,
    },
    Fact {
        what: "registration",
        how: "`GET` and `PUT account`, or `api_app/{client_id}` with the option",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "status",
        how: "derived from three flags and a code per signer",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "files",
        how: "the merged PDF, and the ZIP with `Audit Trail.pdf`; 409 while they are prepared",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "sweep",
        how: "by creation: completed and declined requests; cancelled and expired ones are asked for one by one",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "removal",
        how: "ends our own access only; completed and declined requests, by API key",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "consent of senders",
        how: "OAuth 2.0 with refresh tokens, on `app.hellosign.com`, or on the origin of a base URL of one's own",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "reach of a consent",
        how: "only what was sent with a token of the application; for all else, and for removing, the API key is needed",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "rate limits",
        how: "below 100 calls and 25 downloads a minute; `x-ratelimit-reset` is kept",
        confidence: Confidence::Stated,
    },
];
