//! What is checked of those whose drafts a page of ours sends.

use aftersign_core::artifact::ArtifactKind;
use aftersign_core::draft::{Draft, DraftMarks, DraftTrace};
use aftersign_core::envelope::EnvelopeStatus;
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{Access, Call};
use aftersign_core::{Error, ErrorKind};
use http::Method;
use serde_json::Value;

use crate::conformance::forget;
use crate::form::encoded;
use crate::specimens::{Drafts, Specimen};
use crate::testing::{access, answer, envelope, inbound, now, result, understood};

/// A draft's id.
pub(crate) const ID: &str = "0a1b2c3d-1111-4222-8333-444455556666";
const BASE: &str = "https://us.example.com/callbacks/hr/p4th-s3cret";

fn marks() -> DraftMarks {
    DraftMarks { callback_base: BASE.into(), account: "hr".into() }
}

fn draft(metadata: Option<&str>) -> Draft {
    Draft { id: ID.into(), name: Some("Lease".into()), metadata: metadata.map(str::to_owned) }
}

impl Specimen {
    fn drafts(&self) -> &Drafts {
        self.drafts.as_ref().expect("who sends drafts has a specimen of them")
    }
}

/// Every reader of answers about drafts.
pub(crate) fn readers(of: &Specimen, access: &Access) -> Vec<Call<()>> {
    let platform = of.platform();
    vec![
        forget(platform.fetch_draft(access, ID)),
        forget(platform.mark_draft(access, &draft(None), &marks())),
        forget(platform.send_draft(access, ID)),
        forget(platform.trace_draft(access, ID, now())),
    ]
}

pub(crate) fn a_mark_bears_the_drafts_id_and_spares_the_customers_metadata(of: &Specimen) {
    let platform = of.platform();
    let body = |metadata| {
        let call = platform.mark_draft(&access(platform), &draft(metadata), &marks()).unwrap();
        assert!(!format!("{call:?} {:?}", marks()).contains("p4th-s3cret"));
        String::from_utf8(call.request.into_body().to_vec()).unwrap()
    };
    for known in of.drafts().customers.clone() {
        let read = result(platform.fetch_draft(&access(platform), ID), known).unwrap().unwrap();
        let read = Draft { id: ID.into(), ..read };
        let call = platform.mark_draft(&access(platform), &read, &marks()).unwrap();
        let body = String::from_utf8(call.request.into_body().to_vec()).unwrap();
        assert!(!body.contains("aftersign"), "{body}");
    }
    let (first, kept) = (body(None), body(Some("<md><client>42</client>")));
    assert!(first.contains("aftersign") && !kept.contains("aftersign") && !kept.contains("client"));
    assert!(!first.contains("null"), "what is not ours to say is left out: {first}");
    for url in marked_urls(of) {
        assert!(url.contains(ID) && url.contains("##"), "{url}");
        let bare = url.replace(&format!("draft={ID}&"), "");
        assert_ne!(bare, url);
        let [told, untold] = [url, bare].map(|url| heard(of, &url));
        assert_eq!(told.envelope, Some(EnvelopeId::new(of.id)));
        assert_eq!(told.key, untold.key, "a repeat is known by its key, whoever set the URL");
        let news = understood(told.meaning);
        assert!(!news.is_empty() && news.iter().all(|news| news.draft.as_deref() == Some(ID)), "{news:?}");
    }
}

/// The URLs that the mark of a draft sets.
fn marked_urls(of: &Specimen) -> Vec<String> {
    let call = of.platform().mark_draft(&access(of.platform()), &draft(None), &marks()).unwrap();
    let mut urls = Vec::new();
    texts(&serde_json::from_slice(call.request.body()).unwrap(), &mut urls);
    urls.retain(|text| text.starts_with(BASE));
    assert_eq!(urls.len(), of.drafts().urls);
    urls
}

/// What a callback to a marked URL means.
fn heard(of: &Specimen, url: &str) -> aftersign_core::callback::Interpretation {
    let (channel, query) = url[BASE.len() + 1..].split_once('?').unwrap();
    let filled = query
        .replace("##EnvelopeId##", of.id)
        .replace("##DraftId##", ID)
        .replace("##Action##", "envelopeFinished");
    of.platform().interpret(&inbound(Method::GET, Some(channel), &filled, ""))
}

fn texts(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => out.push(text.clone()),
        Value::Object(members) => members.values().for_each(|member| texts(member, out)),
        _ => {}
    }
}

pub(crate) fn an_archived_record_of_a_marked_draft_holds_no_callback_url(of: &Specimen) {
    let platform = of.platform();
    let known = envelope(of.id, EnvelopeStatus::Completed);
    let listed = platform.list_artifacts(&access(platform), &known);
    let listed = result(listed, (of.listing)("a.pdf")).unwrap();
    let records = listed.iter().filter(|artifact| artifact.kind == ArtifactKind::PlatformRecord);
    let urls = marked_urls(of);
    let texts = (of.drafts().records)(&urls);
    assert!(records.clone().count() > 0 && texts.len() >= urls.len());
    for (artifact, text) in records.flat_map(|artifact| texts.iter().map(move |text| (artifact, text))) {
        let url = urls.iter().find(|url| text.contains(*url)).unwrap();
        let archived = platform.redacted(artifact, text.as_bytes()).expect("it has a secret");
        assert_eq!(archived, text.replace(url, "redacted").into_bytes(), "all else stays byte for byte");
        assert!(!String::from_utf8(archived).unwrap().contains(BASE));
        let theirs = text.replace(url, "https://crm.example.com/hook?token=th3irs");
        let archived =
            platform.redacted(artifact, theirs.as_bytes()).expect("it may be a secret of somebody");
        assert!(!String::from_utf8(archived).unwrap().contains("th3irs"));
    }
}

pub(crate) fn a_refusal_of_a_draft_repeats_no_callback_url(of: &Specimen) {
    let platform = of.platform();
    let access = access(platform);
    let refused = |call: Result<Call<()>, Error>, words: &str| {
        let body = (of.drafts().refused_saying)(words);
        result(call, [answer(of.drafts().refused.0, body)]).unwrap_err()
    };
    let mark = |words: &str| refused(platform.mark_draft(&access, &draft(None), &marks()), words);
    let send = |words: &str| refused(Ok(forget(platform.send_draft(&access, ID))), words);
    for url in marked_urls(of) {
        let (cut, (_, pathless)) = (&url[..BASE.len()], url.split_once("//us.example.com").unwrap());
        let quotations = [
            url.clone(),
            cut.to_owned(),
            pathless.to_owned(),
            url.to_uppercase(),
            url.replace('/', "\\/"),
            encoded(&url).to_string(),
        ];
        for quotation in quotations {
            let long = "x".repeat(290);
            for words in [format!("The URL '{quotation}' is not allowed."), format!("{long} {quotation}")] {
                for error in [mark(&words), send(&words)] {
                    let told = error.chain().to_lowercase();
                    assert!(!told.contains("p4th") && !told.contains(&BASE[8..]), "{told}");
                    assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
                }
            }
        }
    }
    for part in ["p4th-s3cret", "th-s3cret/envelope", "P4TH-S3"] {
        let told = mark(&format!("'{part}' is odd")).chain();
        assert!(!told.contains(part), "{told}");
    }
    for error in [mark("no signer was given"), send("no signer was given")] {
        assert!(error.to_string().contains("no signer was given"), "other words stay: {error}");
    }
}

pub(crate) fn an_unclear_answer_to_sending_never_means_not_sent(of: &Specimen) {
    let platform = of.platform();
    let send = |status, body: &'static str| {
        result(platform.send_draft(&access(platform), ID), [answer(status, body)])
    };
    let is_certain = |kind| {
        matches!(
            kind,
            ErrorKind::Rejected
                | ErrorKind::Forbidden
                | ErrorKind::AccessRefused
                | ErrorKind::NotFound
                | ErrorKind::Misconfigured
        )
    };
    let own = of.drafts().refused.1;
    let bodies = ["", "{}", "[]", "{", "<html>", "null", "OK", "{\"error\":5}"];
    for status in
        [200, 201, 204, 301, 302, 307, 400, 402, 404, 405, 408, 409, 410, 413, 418, 429, 500, 502, 503, 504]
    {
        for body in bodies {
            let error = send(status, body).unwrap_err();
            assert!(!is_certain(error.kind()), "{status} {body}: {error}");
        }
    }
    for status in [200, 302, 408, 409, 429, 500, 503] {
        assert!(!is_certain(send(status, own).unwrap_err().kind()), "{status}");
    }
    for status in [401, 403] {
        assert!(!is_certain(send(status, "<html>").unwrap_err().kind()), "{status}");
    }
    let (status, body) = of.drafts().refused;
    let refused = send(status, body).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Rejected, "{refused}");
    assert_eq!(send(401, "").unwrap_err().kind(), ErrorKind::AccessRefused);
    let (status, body) = of.drafts().missing;
    assert_eq!(send(status, body).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(send(200, of.drafts().sent).unwrap(), [EnvelopeId::new(of.id)]);
}

pub(crate) fn a_draft_that_was_perhaps_sent_is_found_again(of: &Specimen) {
    let (platform, drafts) = (of.platform(), of.drafts());
    let trace = |answers| result(platform.trace_draft(&access(platform), ID, now()), answers);
    assert_eq!(trace(drafts.still.clone()).unwrap(), DraftTrace::StillDraft);
    assert_eq!(trace(drafts.gone.clone()).unwrap(), DraftTrace::Gone);
    assert_eq!(trace(drafts.found.clone()).unwrap(), DraftTrace::Sent(vec![EnvelopeId::new(of.id)]));
    let missing = answer(drafts.missing.0, drafts.missing.1);
    assert_eq!(result(platform.fetch_draft(&access(platform), ID), [missing]).unwrap(), None);
    let spoofed =
        ["", "..", "a/b", "draft", "{}", "0a1b2c3d-1111-4222-8333-44445555666", &ID.replace('a', "ä")];
    for id in spoofed {
        assert_eq!(platform.draft_id(id), None, "{id:?}");
        assert!(
            platform.fetch_draft(&access(platform), id).is_err()
                && platform.send_draft(&access(platform), id).is_err()
        );
    }
    assert_eq!(platform.draft_id(&ID.to_uppercase()).as_deref(), Some(ID));
}
