//! Every transfer comes back as it was recorded.

use aftersign_core::Timestamp;
use aftersign_core::artifact::{ArtifactKind, ArtifactRef, Content};
use aftersign_core::digest::Digest;
use aftersign_core::envelope::{Envelope, EnvelopeStatus, Extension, Signer};
use aftersign_core::grant::Holder;
use aftersign_core::ids::{AccountId, DestinationId, EnvelopeId, SenderId, TransferId};
use aftersign_core::rule::{DisposePolicy, Plan};
use aftersign_core::seams::Receipt;
use aftersign_core::transfer::{Delivery, Item, ParkReason, Parked, Phase, Staged, Transfer, Wake};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::sample::select;

use super::{from_text, to_text, wake_from_text, wake_to_text};

const EXTENSIONS: [Extension; 4] =
    [Extension::NotAwaited, Extension::Awaited, Extension::Done, Extension::Unknown];

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        (0i64..4_000_000_000, 0i32..1_000_000_000).prop_map(|(s, n)| Timestamp::new(s, n).unwrap()),
        Just(Timestamp::MAX),
        Just(Timestamp::MIN),
    ]
}

fn text() -> impl Strategy<Value = String> {
    ".{0,12}"
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from_bytes)
}

fn signer() -> impl Strategy<Value = Signer> {
    (of(text()), of(text()), of(text()), of(text()), of(time())).prop_map(
        |(id, name, email, status_at_platform, signed_at)| Signer {
            id,
            name,
            email,
            status_at_platform,
            signed_at,
        },
    )
}

fn envelope() -> impl Strategy<Value = Envelope> {
    let facts = (text(), of(text()), select(&EnvelopeStatus::ALL[..]), text(), of(text()));
    let more = (vec(signer(), 0..3), of(time()), of(time()), of(text()), any::<bool>(), of(text()));
    let signed = (of(time()), of(text()), select(&EXTENSIONS[..]));
    (facts, more, signed).prop_map(|((id, name, status, status_at_platform, sender), more, signed)| {
        Envelope {
            id: EnvelopeId::new(id),
            name,
            status,
            status_at_platform,
            sender,
            signers: more.0,
            created_at: more.1,
            completed_at: more.2,
            metadata: more.3,
            test_mode: more.4,
            expires_at: signed.0,
            revision: signed.1,
            extension: signed.2,
            route: more.5,
        }
    })
}

fn plan() -> impl Strategy<Value = Plan> {
    let dispose = prop_oneof![
        Just(DisposePolicy::Never),
        Just(DisposePolicy::AfterTransfer),
        Just(DisposePolicy::AfterExtension),
        any::<u32>().prop_map(DisposePolicy::AfterDays)
    ];
    (vec(text(), 0..3), text(), dispose).prop_map(|(to, folder, dispose)| Plan {
        deliver_to: to.into_iter().map(DestinationId::new).collect(),
        folder,
        dispose,
    })
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        Just(Content::Pdf),
        of(text()).prop_map(|entry_suffix| Content::Zip { entry_suffix }),
        Just(Content::Xml),
        Just(Content::Json),
        Just(Content::Any),
    ]
}

fn delivery() -> impl Strategy<Value = Delivery> {
    let receipt = (text(), any::<u32>(), digest(), any::<u64>(), any::<bool>()).prop_map(|receipt| Receipt {
        location: receipt.0,
        version: receipt.1,
        digest: receipt.2,
        bytes: receipt.3,
        already_there: receipt.4,
    });
    (text(), of(receipt), of(time())).prop_map(|(destination, receipt, verified_at)| Delivery {
        destination: DestinationId::new(destination),
        receipt,
        verified_at,
    })
}

fn item() -> impl Strategy<Value = Item> {
    use ArtifactKind::{Attachment, AuditTrail, Bundle, Document, LegalEvidence, Manifest, PlatformRecord};
    let kinds = [Document, Bundle, AuditTrail, LegalEvidence, Attachment, PlatformRecord, Manifest];
    let staged =
        (digest(), any::<u64>(), time()).prop_map(|(digest, bytes, at)| Staged { digest, bytes, at });
    (text(), select(kinds.to_vec()), text(), content(), text(), of(staged), vec(delivery(), 0..3)).prop_map(
        |(id, kind, name, content, file_name, staged, deliveries)| Item {
            artifact: ArtifactRef { id, kind, name, content },
            file_name,
            staged,
            deliveries,
        },
    )
}

fn parked() -> impl Strategy<Value = Parked> {
    let reasons = vec![ParkReason::NotFinalYet, ParkReason::NotReadyYet, ParkReason::AccessNeeded];
    (select(reasons), time(), any::<u32>()).prop_map(|(reason, since, looks)| Parked { reason, since, looks })
}

fn holder() -> impl Strategy<Value = Holder> {
    text().prop_map(|text| SenderId::new(&text).map_or(Holder::Account, Holder::Sender))
}

fn transfer() -> impl Strategy<Value = Transfer> {
    let head = (any::<[u8; 16]>(), text(), text(), select(&Phase::ALL[..]), of(time()), any::<u32>());
    let state = ((of(parked()), holder()), of(text()), of(time()), any::<bool>(), of(envelope()), of(time()));
    let rest = (of(plan()), of(time()), vec(item(), 0..4), any::<u32>(), any::<u32>(), of(time()));
    let ends = (of(time()), of(text()), of(time()));
    (head, state, rest, ends).prop_map(
        |(head, state, rest, (archived_at, archived_revision, disposed_at))| Transfer {
            id: TransferId::from_bytes(head.0),
            account: AccountId::new(head.1),
            envelope_id: EnvelopeId::new(head.2),
            phase: head.3,
            due_at: head.4,
            failures: head.5,
            parked: state.0.0,
            waits_for: state.0.1,
            note: state.1,
            final_announced_at: state.2,
            refresh_wanted: state.3,
            deletion_announced: state.3,
            envelope: state.4,
            confirmed_at: state.5,
            plan: rest.0,
            listed_at: rest.1,
            items: rest.2,
            not_found: rest.3,
            files_missing: rest.3,
            verification_failures: rest.4,
            dispose_at: rest.5,
            extension_overdue_told: state.3,
            disposal_asked_at: rest.5,
            archived_at,
            archived_revision,
            disposed_at,
        },
    )
}

proptest! {
    #[test]
    fn a_transfer_comes_back_as_it_was(transfer in transfer()) {
        assert_eq!(from_text(&to_text(&transfer).unwrap()).unwrap(), transfer);
    }

    #[test]
    fn a_wake_comes_back_as_it_was(at in time(), final_announced: bool, artifacts_at in of(time()), deletion_announced: bool) {
        let wake = Wake { at, final_announced, artifacts_at, deletion_announced };
        assert_eq!(wake_from_text(&wake_to_text(&wake).unwrap()).unwrap(), wake);
    }
}

#[test]
fn a_word_that_nobody_knows_is_damage_and_no_default() {
    let transfer = Transfer::new(TransferId::from_bytes([1; 16]), AccountId::new("hr"), EnvelopeId::new("e"));
    let text = to_text(&transfer).unwrap();
    let error = from_text(&text.replace("\"watch\"", "\"asleep\"")).unwrap_err();
    assert!(error.to_string().contains("`asleep` is not known"), "{error}");
}

/// What the first version recorded.
#[test]
fn a_transfer_without_the_fields_of_later_versions_is_read() {
    let text = r#"{"id":"01j00000000000000000000000","account":"hr","envelope_id":"e1","phase":"archived","due_at":null,
        "failures":0,"parked":null,"note":null,"final_announced_at":null,"refresh_wanted":false,"envelope":{"id":"e1",
        "name":null,"status":"completed","status_at_platform":"closed","sender":null,"signers":[{"name":"Sam",
        "email":null,"status_at_platform":null,"signed_at":null}],"created_at":null,"completed_at":null,"metadata":null,
        "test_mode":false,"route":null},"confirmed_at":null,"plan":{"deliver_to":["archive"],"folder":"f",
        "dispose":"never"},"listed_at":null,"items":[],"not_found":0,"verification_failures":0,
        "disposal_asked_at":null,"archived_at":"2026-11-01T00:00:00Z","disposed_at":null}"#;
    let id = TransferId::from_bytes([7; 16]).to_string();
    let transfer = from_text(&text.replace("01j00000000000000000000000", &id)).unwrap();
    let envelope = transfer.envelope.unwrap();
    assert_eq!((transfer.archived_revision, envelope.revision), (None, None));
    assert_eq!(envelope.extension, Extension::NotAwaited);
    assert_eq!(transfer.waits_for, Holder::Account);
}
