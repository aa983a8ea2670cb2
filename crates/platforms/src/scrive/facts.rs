//! What this adapter does and how sure we are of it, for the table of platforms. `README.md` tells more.

use crate::certificate::{Confidence, Fact};

/// The facts, in the order of an envelope's life.
pub(crate) const FACTS: &[Fact] = &[
    Fact {
        what: "callback of a document",
        how: "a form with the document's id, a flag for the sealed file and the whole document as JSON; no event name",
        confidence: Confidence::Stated,
    },
    Fact { what: "callback of a flow", how: "one JSON object per event", confidence: Confidence::Stated },
    Fact {
        what: "authenticity of callbacks",
        how: "none is offered: the path secret, or HTTP Basic at our door",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "acknowledgement",
        how: "any 2xx; retries after 5 minutes and growing, ten attempts in all",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "a flow's retries",
        how: "the same ten attempts over a day, then silence",
        confidence: Confidence::Observed,
    },
    Fact {
        what: "access",
        how: "personal credentials or OAuth 1.0 tokens, sent as PLAINTEXT signature; FULL_ACCESS for flows",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "consent of users",
        how: "OAuth 1.0 in three steps by `GET`; no end and no renewal; FULL_ACCESS only where the scope asks for it",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "who the user is",
        how: "`GET getprofile`, seen at the vendor's test site and not in its documentation; else the author of a document of one's own, and a user without documents has no name",
        confidence: Confidence::SeenInIntegrations,
    },
    Fact {
        what: "files of a document",
        how: "the sealed PDF with its evidence inside, loose attachments, history and record; a ZIP for qualified signatures",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "extension of the seal",
        how: "about 40 days after the end, only of what is still there; seen by the history's `extended` and another sealed file",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "qualified signatures",
        how: "never taken for extended, and kept by default: a person decides when they are removed",
        confidence: Confidence::NotVerified,
    },
    Fact {
        what: "missed callbacks",
        how: "the list of documents by change, from the last change on; then the list of flows as a whole",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "documents of a flow",
        how: "left out of the list by a filter of the vendor's own pages; where it is refused they are listed too",
        confidence: Confidence::Observed,
    },
    Fact {
        what: "removal of a document",
        how: "into the trash with the confirmed version, then deleted there; by default only completed ones that bear no qualified signature",
        confidence: Confidence::Stated,
    },
    Fact {
        what: "removal of a flow",
        how: "never by itself: the instance stays, and its documents go in their confirmed versions, if they are not refused",
        confidence: Confidence::Observed,
    },
    Fact {
        what: "retention",
        how: "days until the trash, the stricter of the user's and the company's policy",
        confidence: Confidence::Observed,
    },
    Fact {
        what: "where Flow is",
        how: "/flow, and where that is not known /experimental/flow",
        confidence: Confidence::NotVerified,
    },
    Fact {
        what: "secrets in records",
        how: "access tokens, signing links and callback URLs are redacted before archiving, and in callbacks that are shown",
        confidence: Confidence::Stated,
    },
];
