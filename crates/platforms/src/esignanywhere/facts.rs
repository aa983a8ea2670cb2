//! What the adapter does, for the certificate. The long form is `README.md`.

use crate::certificate::{Confidence, Fact};

pub(crate) const FACTS: &[Fact] = &[
    Fact {
        what: "callback",
        how: "the query of a URL template; nothing is read from the body",
        confidence: Confidence::Observed,
    },
    Fact {
        what: "authentication of callbacks",
        how: "none exists but HTTP Basic; the path secret decides",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "names of parameters",
        how: "the integrator's choice; the usual ones are taken in any case",
        confidence: Confidence::SeenInIntegrations,
    },
    Fact {
        what: "`envelopeFinished`",
        how: "never says how it ended, and comes before the state that it announces",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "retries",
        how: "up to 30; one cannot be told from a second event, so it may be news",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "draft callback",
        how: "its parameters are taken from a public integration",
        confidence: Confidence::SeenInIntegrations,
    },
    Fact {
        what: "consent of senders",
        how: "OAuth 2.0 at the tenant's `/Auth/Authorize`; the token is the user's API token",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "exchange of a code",
        how: "`POST /ApiToken/Retrieve` as in RFC 6749; a refresh token and an end are taken where there are any",
        confidence: Confidence::NotVerified,
    },
    Fact {
        what: "page before sending",
        how: "our page marks the draft and sends it by `draft/send`; the platform does not",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "metadata of a draft",
        how: "from the draft or its `configuration`; written by us only where there is none",
        confidence: Confidence::NotVerified,
    },
    Fact {
        what: "what a draft became",
        how: "its id is no envelope's; after a lost answer, envelopes sent about then that bear it are searched, one child of each bulk",
        confidence: Confidence::NotVerified,
    },
    Fact {
        what: "callbacks of a draft",
        how: "envelope, status and draft callback become ours, in place of the organisation's defaults and of the customer's own, for drafts that our page sends; `ActivityActionCallbackConfiguration` is left out of the update, and so meant to stay",
        confidence: Confidence::NotVerified,
    },
    Fact {
        what: "secrets in records",
        how: "callback URLs, ours and others', are redacted in the configuration and in the envelope of version 5 before archiving",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "registration",
        how: "URLs are set per envelope or in the organisation's pages; no call for an account's was found",
        confidence: Confidence::NotVerified,
    },
    Fact {
        what: "generations of the API",
        how: "version 6, and version 5 for envelopes refused with `ERR0063`",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "metadata and end of term",
        how: "from `configuration`; the envelope itself has neither",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "gone or not visible",
        how: "the history tells; 404 means both",
        confidence: Confidence::SeenInIntegrations,
    },
    Fact {
        what: "sweep",
        how: "`envelope/find` by status and week of sending; sees what the token's user sees",
        confidence: Confidence::NotVerified,
    },
    Fact {
        what: "removal",
        how: "works on running envelopes too, so all but completed ones are refused here",
        confidence: Confidence::SeenInIntegrations,
    },
    Fact {
        what: "rate limits",
        how: "none is documented; five calls a second, two at once",
        confidence: Confidence::NotVerified,
    },
];
