//! What is checked of those whose drafts a page of ours sends.

use aftersign_core::ErrorKind;
use aftersign_core::draft::{Draft, DraftMarks, DraftTrace};
use aftersign_core::ids::EnvelopeId;
use aftersign_core::platform::{Access, Call};
use http::Method;
use serde_json::Value;

use crate::conformance::forget;
use crate::specimens::{Drafts, Specimen};
use crate::testing::{access, answer, inbound, now, result, understood};

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
    let mut urls = Vec::new();
    texts(&serde_json::from_str(&kept).unwrap(), &mut urls);
    urls.retain(|text| text.starts_with(BASE));
    assert_eq!(urls.len(), of.drafts().urls);
    for url in urls {
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
