//! Whose answer counts.

use super::*;
use crate::testing::access;

use std::cell::RefCell;

fn refusal(kind: ErrorKind) -> Result<&'static str, Error> {
    Err(Error::new(kind, Remedy::AskPerson, "test", "refused"))
}

/// The answer, and who asked in which order.
fn asked(
    sender: Option<&str>,
    of_sender: fn() -> Result<&'static str, Error>,
    own: fn() -> Result<&'static str, Error>,
) -> (Result<Answer<&'static str>, Error>, Vec<Option<String>>) {
    let order = RefCell::new(Vec::new());
    let ask = |access: Access| {
        order.borrow_mut().push(access.sender.clone());
        std::future::ready(if access.sender.is_some() { of_sender() } else { own() })
    };
    let access = access();
    let answer =
        futures_util::FutureExt::now_or_never(in_turn(&access, sender.map(Into::into), ask)).unwrap();
    (answer, order.into_inner())
}

#[test]
fn the_sender_is_asked_first_and_the_account_only_where_that_is_refused() {
    use ErrorKind::{AccessRefused, Forbidden, NotFound, Unavailable};
    let (answer, order) = asked(Some("sam"), || Ok("sam's"), || Ok("own"));
    let answer = answer.unwrap();
    assert_eq!((answer.value, answer.refused.is_none(), order), ("sam's", true, vec![Some("sam".into())]));

    for refused in [|| refusal(AccessRefused), || refusal(Forbidden)] {
        let (answer, order) = asked(Some("sam"), refused, || Ok("own"));
        let answer = answer.unwrap();
        assert_eq!((answer.value, answer.refused.is_some()), ("own", true));
        assert_eq!(order, [Some("sam".into()), None]);
    }
    for other in [|| refusal(NotFound), || refusal(Unavailable)] {
        let (answer, order) = asked(Some("sam"), other, || Ok("own"));
        assert_eq!((answer.unwrap_err().kind(), order.len()), (other().unwrap_err().kind(), 1));
    }
    let (answer, order) = asked(None, || Ok("sam's"), || Ok("own"));
    assert_eq!((answer.unwrap().value, order), ("own", vec![None]));
}

#[test]
fn of_two_refusals_the_accounts_counts_and_it_says_that_the_sender_was_tried() {
    use ErrorKind::{AccessRefused, Forbidden};
    let (answer, _) = asked(Some("sam"), || refusal(Forbidden), || refusal(AccessRefused));
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), AccessRefused);
    assert!(error.to_string().contains("forbidden"), "{error}");
    let (answer, _) = asked(Some("sam"), || refusal(AccessRefused), || refusal(Forbidden));
    assert_eq!(answer.unwrap_err().kind(), Forbidden, "the account's credential is good");
}

#[test]
fn an_envelope_that_only_its_sender_sees_is_not_taken_for_gone() {
    let (answer, _) = asked(Some("sam"), || refusal(ErrorKind::Forbidden), || refusal(ErrorKind::NotFound));
    let error = answer.unwrap_err();
    assert_eq!((error.kind(), error.remedy()), (ErrorKind::Forbidden, Remedy::AskPerson));
}

#[test]
fn a_token_that_is_refused_is_asked_for_again_before_a_person_is() {
    let (answer, _) =
        asked(Some("sam"), || refusal(ErrorKind::AccessRefused), || refusal(ErrorKind::NotFound));
    let error = answer.unwrap_err();
    assert_eq!((error.kind(), error.remedy()), (ErrorKind::Forbidden, Remedy::Retry(None)));
}

#[test]
fn what_names_a_sender_stays_out_of_logs_with_all_underneath() {
    let words = || refusal(ErrorKind::Rejected).unwrap_err().with("quoted", "sam@example.com is locked");
    let personal = || {
        let named =
            Error::new(ErrorKind::AccessRefused, Remedy::RenewAccess, "find sender", "no such sender");
        in_name_of(Some("sam@example.com"), named.caused_by(words()))
    };
    assert_eq!(personal().impersonal_chain(), "find sender: access_refused");
    let outer = hidden(personal());
    assert!(
        outer.impersonal_chain().ends_with("redrive: find sender: access_refused"),
        "{}",
        outer.impersonal_chain()
    );
    assert!(outer.chain().contains("sam@example.com"), "a person is told");

    assert_eq!(in_name_of(Some("sam"), personal()).context().len(), 1, "who it was is said once");
    let own =
        in_name_of(None, refusal(ErrorKind::Storage).unwrap_err().caused_by(std::io::Error::other("full")));
    assert_eq!(own.impersonal_chain(), own.chain());
}
