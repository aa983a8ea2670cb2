//! What is checked of those that offer more than all do: registration, import, retention, senders, extensions.

use std::collections::BTreeSet;

use aftersign_core::envelope::{EnvelopeStatus, Extension, Lookup};
use aftersign_core::platform::Access;
use bytes::Bytes;

use crate::conformance::window;
use crate::specimens::{REGISTERED_URL, Specimen};
use crate::testing::{access, access_by, answer, line, play, result};

pub(crate) fn the_registered_callback_is_read(of: &Specimen) {
    let read = |body: &'static str| {
        result(of.platform().registration(&access(of.platform())), [answer(200, body)]).unwrap()
    };
    let [there, cleared] = of.registered.map(read);
    assert_eq!(there.url.as_deref(), Some(REGISTERED_URL));
    assert!(!format!("{there:?}").contains("secret"));
    assert_eq!(cleared.url, None);
}

pub(crate) fn a_registration_is_read_back(of: &Specimen) {
    let call =
        of.platform().register(&access(of.platform()), "https://elsewhere.example.com/x", None).unwrap();
    let (kept, asked) = play(call, [answer(200, ""), answer(200, of.registered[0])]);
    assert_eq!(kept.unwrap().url.as_deref(), Some(REGISTERED_URL));
    assert!(!asked[0].starts_with("GET") && asked[1].starts_with("GET"), "{asked:?}");
}

pub(crate) fn an_imported_callback_is_the_one_that_was_not_delivered(of: &Specimen) {
    let delivered = of.platform().interpret(&of.genuine);
    for text in &of.undelivered {
        let imported = of.platform().undelivered(text).unwrap();
        assert_eq!(imported.len(), 1);
        let imported = of.platform().interpret(&imported[0]);
        assert_eq!(imported.key, delivered.key);
        assert_eq!(imported.envelope, delivered.envelope);
    }
    for (text, place) in [(&b""[..], "no "), (b"hello", "no "), (b"a\n {\"name\":", "line 2, column 2")] {
        let reason = of.platform().undelivered(text).unwrap_err();
        assert!(reason.contains(place), "{reason}");
    }
}

pub(crate) fn retention_is_told_for_final_statuses(of: &Specimen) {
    let answered = result(of.platform().retention(&access(of.platform())), [answer(200, of.retention)]);
    let days = answered.unwrap().days;
    assert!(days.contains(&(EnvelopeStatus::Completed, 90)), "{days:?}");
    let statuses: BTreeSet<_> = days.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses.len(), days.len(), "one term for each");
    assert!(days.iter().all(|(status, days)| status.is_final() && *days > 0), "{days:?}");
}

pub(crate) fn senders_are_listed_to_the_end(of: &Specimen) {
    let own = access(of.platform());
    let (mut senders, mut cursor) = (Vec::new(), None::<String>);
    for body in of.senders {
        let page = result(of.platform().senders(&own, cursor.as_deref()), [answer(200, body)]).unwrap();
        senders.extend(page.items);
        cursor = page.next;
    }
    assert_eq!((senders, cursor), (vec!["anna@example.com".to_owned(), "ben@example.com".to_owned()], None));
    for access in of.platform().credential_shapes().iter().map(|shape| access_by(of.platform(), shape)) {
        let asked = |access: &Access| match of.platform().token(access) {
            Some(call) => {
                let (_, request, _) = call.unwrap().into_parts();
                (line(&request), request.into_body())
            }
            None => (line(&of.platform().changed_since(access, &window()).unwrap().request), Bytes::new()),
        };
        assert_ne!(asked(&access), asked(&access.clone().for_sender("anna@example.com")));
    }
}

pub(crate) fn an_extension_is_seen_by_its_revision(of: &Specimen) {
    let [before, after] = of.extension.clone().map(|answers| {
        let asked = of.platform().fetch_envelope(&access(of.platform()), &of.envelope_id());
        match result(asked, answers).unwrap() {
            Lookup::Found(envelope) => *envelope,
            other => panic!("{other:?}"),
        }
    });
    assert!(before.extension.is_to_come() && before.revision.is_some());
    assert_eq!(after.extension, Extension::Done);
    assert_ne!(before.revision, after.revision);
}
