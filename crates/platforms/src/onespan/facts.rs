//! What the adapter does, for the certificate. The long form is `README.md`.

use crate::certificate::{Confidence, Fact};

pub(crate) const FACTS: &[Fact] = &[
    Fact {
        what: "callback",
        how: "one JSON object by `POST`; sent once, a failure is mailed to the sender",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "callback key",
        how: "`Authorization: Basic <key>`, the key raw and not base64",
        confidence: Confidence::Observed,
    },
    Fact {
        what: "event names",
        how: "the 21 of the Java SDK and `COBROWSE_REQUEST`; others wake softly",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "whose id a bounce bears",
        how: "the signer's if it is a UUID, else nobody's",
        confidence: Confidence::NotVerified,
    },
    Fact {
        what: "import",
        how: "the payload of the failure e-mail, with or without the mail around it",
        confidence: Confidence::SeenInIntegrations,
    },
    Fact {
        what: "registration",
        how: "`POST` and `GET callback`; one per account, overwriting; refused names are left out",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "access",
        how: "API key, Client App token (end in milliseconds) or OAuth 2.0 client credentials (seconds)",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "senders",
        how: "a token in the sender's name; with an API key, lists by `ownerEmail`",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "rows of the list of senders",
        how: "counted from 1, like packages",
        confidence: Confidence::NotVerified,
    },
    Fact {
        what: "files",
        how: "each document, attachments, evidence summary, audit, fields; only once the package is completed",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "evidence of declined and expired packages",
        how: "evidence summary and audit are asked for",
        confidence: Confidence::NotVerified,
    },
    Fact {
        what: "sweep",
        how: "`GET packages` by state and span, 25 a page; official sources disagree on the parameters",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "removal",
        how: "`{\"trashed\":true}`, or `DELETE` where the option says so; read back",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "trash",
        how: "no end: a package in it keeps its state, is looked at once and archived if completed",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "attachments after the end",
        how: "seen by the ids of the package's files, before a removal at the latest",
        confidence: Confidence::NotVerified,
    },
    Fact {
        what: "retention",
        how: "`GET dataRetentionSettings/dataManagementPolicy`; the newer lifetimes are upper bounds",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "rate limits",
        how: "none is known; five requests a second, four at once",
        confidence: Confidence::NotVerified,
    },
];
