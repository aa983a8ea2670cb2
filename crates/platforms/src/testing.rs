//! What the tests of all adapters share: recorded requests, answers played to a call, a proof.

use std::collections::BTreeMap;

use aftersign_core::artifact::{ArtifactKind, ArtifactRef, Content};
use aftersign_core::callback::{CallbackSecrets, Inbound, Meaning, Notification};
use aftersign_core::digest::Digest;
use aftersign_core::envelope::{Envelope, EnvelopeStatus};
use aftersign_core::grant::{ClientAuth, Nonces, OauthApp};
use aftersign_core::ids::{AccountId, DestinationId, EnvelopeId, TransferId};
use aftersign_core::platform::{Access, Call, Credential, CredentialShape, Next, Platform};
use aftersign_core::proof::TransferProof;
use aftersign_core::rule::{DisposePolicy, Plan};
use aftersign_core::seams::Receipt;
use aftersign_core::secret::Secret;
use aftersign_core::transfer::{Delivery, Item, Phase, Staged, Step, Transfer};
use aftersign_core::{Error, Timestamp};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use proptest::prelude::{Strategy, any, prop};

/// Some moment of 2026.
pub(crate) fn now() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

/// A callback without headers.
pub(crate) fn inbound(method: Method, channel: Option<&str>, query: &str, body: impl Into<Bytes>) -> Inbound {
    Inbound {
        method,
        channel: channel.map(str::to_owned),
        query: query.to_owned(),
        headers: HeaderMap::new(),
        body: body.into(),
    }
}

/// Callbacks that a stranger might send, some of them nearly right.
pub(crate) fn any_inbound() -> impl Strategy<Value = Inbound> {
    let body = proptest::prop_oneof![
        prop::collection::vec(any::<u8>(), 0..512),
        "\\{\"event\":\\{(\"event_(time|type|hash)\":(\"[a-z0-9]{0,70}\"|[0-9]{0,20}|null),?){0,4}\\}(,\"signature_request\":[a-z{}\":]{0,20})?\\}"
            .prop_map(String::into_bytes),
        "(--X(--)?[ \r\n]{0,3}|Content-Disposition: form-data; name=\"?json\"?|[\r\n]{1,4}|\\{\\}|[a-z:;=\"]{0,9}){0,20}"
            .prop_map(String::into_bytes),
        "(\\{\"(name|packageId|type)\":(\"[A-Z_]{0,9}\"|null|[0-9]{0,3}),?|[\\[\\]{}, ü]|document_(id|json)=[0-9%A-F]{0,9}&?){0,20}"
            .prop_map(String::into_bytes),
    ];
    let content_type = proptest::prop_oneof![
        "multipart/form-data; boundary=\"?X\"?",
        "application/(json|x-www-form-urlencoded)",
        "[ -~]{0,60}",
    ];
    let channel = prop::option::of("envelope|status|workstep|draft|[a-z]{0,5}");
    let query = "(([eE]nvelope(Id)?|action|eventType|draftId|[a-z]{0,4})=([0-9a-f-]{0,36}|##[A-Z][a-z]+##|%[0-9A-Z]{2}|.{0,9})&?){0,5}";
    (body, content_type, channel, query, "[ -~]{0,90}").prop_map(
        |(body, content_type, channel, query, digest)| {
            let mut inbound = inbound(Method::POST, channel.as_deref(), &query, body);
            inbound.headers.insert("content-type", HeaderValue::from_str(&content_type).unwrap());
            inbound.headers.insert("content-sha256", HeaderValue::from_str(&digest).unwrap());
            inbound
        },
    )
}

/// A callback from a recorded HTTP/1.1 request.
pub(crate) fn recorded(request: &[u8]) -> Inbound {
    let split = request.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = std::str::from_utf8(&request[..split]).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let method = first.next().unwrap().parse().unwrap();
    let (_, query) = first.next().unwrap().split_once('?').unwrap_or_default();
    let mut inbound = inbound(method, None, query, request[split + 4..].to_vec());
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        let name: HeaderName = name.to_ascii_lowercase().parse().unwrap();
        inbound.headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    inbound
}

/// Keys to check callbacks with.
pub(crate) fn keys(keys: &[&str]) -> CallbackSecrets {
    CallbackSecrets { keys: keys.iter().map(|key| Secret::new(*key)).collect() }
}

/// An access in the platform's usual way, with every field that it wants.
pub(crate) fn access(platform: &dyn Platform) -> Access {
    access_by(platform, &platform.credential_shapes()[0])
}

/// An access in one of the platform's ways; where a field has a choice, with its first value.
pub(crate) fn access_by(platform: &dyn Platform, shape: &CredentialShape) -> Access {
    let value = |name: &str| match shape.choice {
        Some((chosen, values)) if chosen == name => values[0],
        _ => "s3cret",
    };
    let fields = shape.fields.iter().map(|name| ((*name).to_owned(), Secret::new(value(name))));
    Access {
        account: AccountId::new("hr"),
        base_url: platform.default_base_url().unwrap_or("https://demo.example.com").to_owned(),
        credential: Credential::new(fields),
        options: BTreeMap::new(),
        sender: None,
    }
}

/// The application of an account.
pub(crate) fn app() -> OauthApp {
    OauthApp {
        client_id: "cl1ent-id".into(),
        client_secret: Secret::new("app-s3cret&+"),
        authorize_url: None,
        token_url: None,
        redirect_uri: "https://us.example.com/back/hr?a=1&b=ü".into(),
        scope: None,
        client_auth: ClientAuth::Post,
        pkce: false,
    }
}

/// A consent's randomness: the verifier of RFC 7636, appendix B.
pub(crate) fn nonces() -> Nonces {
    Nonces {
        state: Secret::new("t0ken-state"),
        verifier: Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
    }
}

/// An answer.
pub(crate) fn answer(status: u16, body: impl Into<Bytes>) -> Response<Bytes> {
    Response::builder().status(status).body(body.into()).unwrap()
}

/// `METHOD path?query` of a request.
pub(crate) fn line(request: &Request<Bytes>) -> String {
    let target = request.uri().path_and_query().unwrap();
    format!("{} {target}", request.method())
}

/// Plays the answers to a call and the calls that follow from it; gives the requests it made.
pub(crate) fn play<T>(
    call: Call<T>,
    answers: impl IntoIterator<Item = Response<Bytes>>,
) -> (Result<T, Error>, Vec<String>) {
    let mut asked = Vec::new();
    let mut answers = answers.into_iter();
    let mut call = call;
    loop {
        let (_, request, read) = call.into_parts();
        asked.push(line(&request));
        let answer = answers.next().unwrap_or_else(|| panic!("no answer is left for {}", line(&request)));
        match read(answer, now()) {
            Ok(Next::Done(value)) => return (Ok(value), asked),
            Ok(Next::Then(next)) => call = next,
            Err(error) => return (Err(error), asked),
        }
    }
}

/// The result of a call alone.
pub(crate) fn result<T>(
    call: Result<Call<T>, Error>,
    answers: impl IntoIterator<Item = Response<Bytes>>,
) -> Result<T, Error> {
    play(call?, answers).0
}

/// The notifications, or a panic with the reason of the quarantine.
pub(crate) fn understood(meaning: Meaning) -> Vec<Notification> {
    match meaning {
        Meaning::Understood(news) => news,
        Meaning::Quarantined(reason) => panic!("quarantined: {reason}"),
    }
}

/// An envelope as a platform could have told it.
pub(crate) fn envelope(id: &str, status: EnvelopeStatus) -> Envelope {
    Envelope { name: Some("Lease.pdf".into()), ..Envelope::new(EnvelopeId::new(id), status, status.as_str()) }
}

/// A proof for the envelope, made the only way there is: by a transfer that verified everything.
pub(crate) fn proof(envelope: Envelope) -> TransferProof {
    let destination = DestinationId::new("archive");
    let digest = Digest::of(b"bytes");
    let receipt = Receipt { location: "l".into(), version: 1, digest, bytes: 5, already_there: false };
    let mut transfer =
        Transfer::new(TransferId::from_bytes([7; 16]), AccountId::new("hr"), envelope.id.clone());
    transfer.phase = Phase::Archived;
    transfer.due_at = Some(now());
    transfer.dispose_at = Some(now());
    transfer.confirmed_at = Some(now());
    transfer.envelope = Some(envelope);
    transfer.plan = Some(Plan {
        deliver_to: vec![destination.clone()],
        folder: "f".into(),
        dispose: DisposePolicy::AfterTransfer,
    });
    let verified = Delivery { destination, receipt: Some(receipt), verified_at: Some(now()) };
    let item = |kind, name: &str, content| Item {
        artifact: ArtifactRef { id: name.into(), kind, name: name.into(), content },
        file_name: name.into(),
        staged: Some(Staged { digest, bytes: 5, at: now() }),
        deliveries: vec![verified.clone()],
    };
    transfer.items = vec![
        item(ArtifactKind::Document, "a.pdf", Content::Pdf),
        item(ArtifactKind::Manifest, "metadata.json", Content::Json),
    ];
    match transfer.next(now()) {
        Step::Dispose(proof) => *proof,
        step => panic!("the transfer wants to {}", step.as_str()),
    }
}
