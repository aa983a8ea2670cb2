//! The life an envelope is going to have. A script is plain data: tests write one by hand, a rehearsal has a batch of
//! them written from the seed. Nothing here knows of time or of the network.

use crate::config::{FaultProfile, Vendor};
use crate::ledger::Outcome;
use crate::onespan;
use crate::rng::Rng;

/// The largest document; the platforms' own limits are in this region.
pub const DOCUMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Creation of a batch is spread over this many minutes of the world.
const CREATION_SPREAD_MINUTES: f64 = 360.0;

/// The life of one envelope.
#[derive(Debug, Clone, PartialEq)]
pub struct EnvelopeScript {
    /// Its title.
    pub name: String,
    /// How it is to end.
    pub outcome: Outcome,
    /// With `hold`, nothing happens by itself after creation: drive it by `Sandbox::complete` and its siblings.
    pub hold: bool,
    /// Who acts, in this order; never empty.
    pub signers: Vec<SignerScript>,
    /// What is signed; never empty. Scrive: the first is the main file, the others are attachments of the author.
    pub documents: Vec<FileScript>,
    /// What signers add; not used by Scrive Flow.
    pub attachments: Vec<FileScript>,
    /// eSignAnyWhere: the free text as it is. Dropbox Sign: an object if this is JSON, else `{"reference": text}`. Scrive: tags,
    /// made of the same object.
    pub metadata: String,
    /// Who sent it.
    pub sender: String,
    /// With which API it was created (eSignAnyWhere).
    pub api_version: ApiVersion,
    /// A test request: watermarked and not binding (Dropbox Sign).
    pub test_mode: bool,
    /// How many legal documents there are, as for disposable certificates (eSignAnyWhere).
    pub legal_documents: usize,
    /// Which audit trails there are (eSignAnyWhere).
    pub audit_trail: AuditTrail,
    /// Absent arrays are `null` instead of empty (eSignAnyWhere).
    pub null_arrays: bool,
    /// The bulk it is a child of (eSignAnyWhere): any GUID; children with the same one belong together.
    pub bulk_parent: Option<String>,
    /// Why a signer declines.
    pub decline_reason: String,
    /// Minutes of the world until it is created.
    pub start_after_minutes: f64,
    /// Minutes of the world from creation to end.
    pub life_minutes: f64,
    /// The callbacks of its end are never sent: only a sweep finds it.
    pub withhold_final: bool,
    /// The callbacks of its end are sent before the API shows the end.
    pub early_final: bool,
    /// Somebody else removes it as soon as it is complete.
    pub deleted_by_other: bool,
    /// Callbacks arrive twice, for the account and for the app (Dropbox Sign).
    pub both_scopes: bool,
    /// Completed by the last signature; else the sender does it afterwards (OneSpan Sign).
    pub autocomplete: bool,
    /// Who declines opts out instead (OneSpan Sign; older versions only).
    pub opts_out: bool,
    /// Signed with a qualified signature: the evidence is a file of its own, and the seal is never extended (Scrive).
    pub qualified: bool,
    /// What [`Outcome::Cancelled`] says is that it failed for good (Scrive Flow).
    pub fails: bool,
}

impl Default for EnvelopeScript {
    fn default() -> EnvelopeScript {
        EnvelopeScript {
            name: "Contract".to_owned(),
            outcome: Outcome::Completed,
            hold: false,
            signers: vec![SignerScript::new("Sam Signer", "sam.signer@example.com")],
            documents: vec![FileScript::new("contract.pdf", 40_000)],
            attachments: Vec::new(),
            metadata: String::new(),
            sender: "sender@example.com".to_owned(),
            api_version: ApiVersion::V6,
            test_mode: false,
            legal_documents: 0,
            audit_trail: AuditTrail::Whole,
            null_arrays: false,
            bulk_parent: None,
            decline_reason: "The price is wrong".to_owned(),
            start_after_minutes: 0.0,
            life_minutes: 60.0,
            withhold_final: false,
            early_final: false,
            deleted_by_other: false,
            both_scopes: false,
            autocomplete: true,
            opts_out: false,
            qualified: false,
            fails: false,
        }
    }
}

/// A signer of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignerScript {
    /// The full name.
    pub name: String,
    /// The e-mail address.
    pub email: String,
    /// What gets in the way before this signer acts, and is settled before they do (OneSpan Sign; Scrive knows
    /// [`Trouble::EmailBounce`] only).
    pub trouble: Option<Trouble>,
}

impl SignerScript {
    /// A signer.
    pub fn new(name: impl Into<String>, email: impl Into<String>) -> SignerScript {
        SignerScript { name: name.into(), email: email.into(), trouble: None }
    }
}

/// What can get in the way of signing. All of it is announced, and none of it ends the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The invitation bounces; the signer comes nevertheless. At Scrive it arrives later, or the author corrects the address.
    EmailBounce,
    /// The signer is locked out after wrong answers, until somebody unlocks them.
    Locked,
    /// The signer fails to prove who they are, and succeeds later.
    KbaFailure,
    /// The signer hands over to somebody else.
    Reassigned,
    /// The sender takes the envelope back to change it, and sends it again.
    Withdrawn,
}

impl Trouble {
    /// Every trouble there is.
    pub const ALL: [Trouble; 5] =
        [Trouble::EmailBounce, Trouble::Locked, Trouble::KbaFailure, Trouble::Reassigned, Trouble::Withdrawn];
}

/// A file of a script: a PDF of the given size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileScript {
    /// The file's name.
    pub name: String,
    /// Its size; at least 2 KiB and at most [`DOCUMENT_BYTES_MAX`] are made of it.
    pub bytes: u64,
}

impl FileScript {
    /// A file.
    pub fn new(name: impl Into<String>, bytes: u64) -> FileScript {
        FileScript { name: name.into(), bytes }
    }
}

/// The API an eSignAnyWhere envelope was created with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ApiVersion {
    /// Version 6.
    #[default]
    V6,
    /// Version 5: version 6 answers ERR0063 to Get and GetConfiguration.
    V5,
}

/// The audit trails an eSignAnyWhere organisation generates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuditTrail {
    /// One for the envelope, as PDF and XML.
    #[default]
    Whole,
    /// One for the envelope and one per document.
    PerDocument,
    /// None: the organisation has switched it off.
    Off,
}

/// The scripts of `count` envelopes, numbered from `first`: the same arguments always give the same scripts.
pub fn batch(
    seed: u64,
    faults: FaultProfile,
    vendor: Vendor,
    account_id: &str,
    first: u64,
    count: usize,
) -> Vec<EnvelopeScript> {
    let mut scripts: Vec<EnvelopeScript> = (0..count)
        .map(|position| one(seed, vendor, account_id, first + position as u64, position, count))
        .collect();
    let mut rng = Rng::keyed(seed, &format!("{account_id}/{first}/batch"));
    if let Some(script) = scripts.first_mut() {
        script.outcome = Outcome::Completed;
    }
    if vendor == Vendor::ESignAnyWhere {
        gather_bulk(&mut rng, &mut scripts);
    }
    enlarge_some(&mut rng, &mut scripts);
    spoil_some(&mut rng, faults, &mut scripts);
    scripts
}

fn one(
    seed: u64,
    vendor: Vendor,
    account_id: &str,
    number: u64,
    position: usize,
    count: usize,
) -> EnvelopeScript {
    let mut rng = Rng::keyed(seed, &format!("{account_id}/{number}/script"));
    let outcome = match rng.below(100) {
        0..70 => Outcome::Completed,
        70..82 => Outcome::Declined,
        82..91 => Outcome::Cancelled,
        _ => Outcome::Expired,
    };
    let title = *rng.pick(&[
        "Employment contract",
        "Lease",
        "Non-disclosure agreement",
        "Order",
        "Loan",
        "Würdigung",
    ]);
    let signers = (0..rng.between(1, 3)).map(|_| signer(&mut rng)).collect();
    let documents = (1..=document_count(&mut rng, vendor))
        .map(|index| FileScript::new(format!("{title} {number}-{index}.pdf"), document_bytes(&mut rng)))
        .collect();
    let attachments = (0..u64::from(rng.chance(0.15)) * rng.between(1, 2))
        .map(|index| FileScript::new(format!("passport-{}.pdf", index + 1), rng.between(20_000, 200_000)))
        .collect();
    let spread = CREATION_SPREAD_MINUTES / count.max(1) as f64;
    let esaw = vendor == Vendor::ESignAnyWhere;
    let mut script = EnvelopeScript {
        name: format!("{title} {number}"),
        outcome,
        hold: false,
        signers,
        documents,
        attachments,
        metadata: metadata(&mut rng, vendor, number),
        sender: (*rng.pick(senders(vendor))).to_owned(),
        api_version: if esaw && rng.chance(0.12) { ApiVersion::V5 } else { ApiVersion::V6 },
        test_mode: false,
        legal_documents: usize::from(esaw && rng.chance(0.15)),
        audit_trail: match rng.below(20) {
            0 => AuditTrail::Off,
            1..4 => AuditTrail::PerDocument,
            _ => AuditTrail::Whole,
        },
        null_arrays: rng.chance(0.5),
        bulk_parent: None,
        decline_reason: "I do not agree with clause 4".to_owned(),
        start_after_minutes: spread * (position as f64 + rng.unit()),
        life_minutes: rng.between_f64(60.0, 480.0),
        withhold_final: false,
        early_final: false,
        deleted_by_other: false,
        both_scopes: vendor == Vendor::DropboxSign && rng.chance(0.15),
        qualified: vendor == Vendor::Scrive && rng.chance(0.15),
        fails: vendor == Vendor::ScriveFlow && rng.chance(0.4),
        autocomplete: true,
        opts_out: false,
    };
    complicate(&mut rng, vendor, &mut script);
    script
}

/// Who sends from an account of a batch.
fn senders(vendor: Vendor) -> &'static [&'static str] {
    if vendor == Vendor::OneSpan {
        &onespan::SENDERS
    } else {
        &["anna.sender@example.com", "ben.sender@example.com", "chris.sender@example.com"]
    }
}

/// One or two; some flows have many, for clients that bound their requests per question.
fn document_count(rng: &mut Rng, vendor: Vendor) -> u64 {
    if vendor == Vendor::ScriveFlow && rng.chance(0.2) { rng.between(5, 12) } else { 1 + rng.below(4) / 2 }
}

/// Puts something in the way of some signers, as far as the platform tells of it.
fn complicate(rng: &mut Rng, vendor: Vendor, script: &mut EnvelopeScript) {
    match vendor {
        Vendor::OneSpan => {
            for signer in &mut script.signers {
                signer.trouble = rng.chance(0.2).then(|| *rng.pick(&Trouble::ALL));
            }
            script.autocomplete = !rng.chance(0.15);
            script.opts_out = rng.chance(0.25);
        }
        Vendor::Scrive => {
            for signer in &mut script.signers {
                signer.trouble = rng.chance(0.15).then_some(Trouble::EmailBounce);
            }
        }
        Vendor::DropboxSign | Vendor::ESignAnyWhere | Vendor::ScriveFlow => {}
    }
}

fn signer(rng: &mut Rng) -> SignerScript {
    let first = *rng.pick(&["Ada", "Bela", "Clara", "Dario", "Edda", "Farid", "Greta", "Hugo"]);
    let last = *rng.pick(&["Weber", "Rossi", "Novak", "Martin", "Silva", "Jensen"]);
    let tag = rng.between(1, 99);
    SignerScript::new(
        format!("{first} {last}"),
        format!("{}.{}+{tag}@example.org", first.to_lowercase(), last.to_lowercase()),
    )
}

/// Mostly 20 to 400 KB, sometimes up to 6 MB.
fn document_bytes(rng: &mut Rng) -> u64 {
    if rng.chance(0.93) { rng.between(20_000, 400_000) } else { rng.between(600_000, 6_000_000) }
}

fn metadata(rng: &mut Rng, vendor: Vendor, number: u64) -> String {
    let json = format!(r#"{{"case":"{number}","unit":{{"id":{}}},"amount":12.5}}"#, rng.between(1, 9));
    if vendor != Vendor::ESignAnyWhere {
        return if rng.chance(0.3) { String::new() } else { json };
    }
    match rng.below(10) {
        0..4 => format!("<MetaData><Case>{number}</Case><Unit>hr</Unit></MetaData>"),
        4..6 => json,
        6 => format!("case {number}"),
        7 => format!("<MetaData><Case>{number}</Cas"),
        _ => String::new(),
    }
}

/// Makes one bulk of two or three neighbours.
fn gather_bulk(rng: &mut Rng, scripts: &mut [EnvelopeScript]) {
    if scripts.len() < 6 {
        return;
    }
    let children = usize::try_from(rng.between(2, 3)).unwrap_or(2);
    let parent = rng.guid();
    let start = scripts[1].start_after_minutes;
    for script in &mut scripts[1..=children] {
        script.bulk_parent = Some(parent.clone());
        script.api_version = ApiVersion::V6;
        script.start_after_minutes = start;
    }
}

/// Few files are big: one in a batch of 20 or more, and one of the largest size in a hundred.
fn enlarge_some(rng: &mut Rng, scripts: &mut [EnvelopeScript]) {
    let count = scripts.len() as u64;
    for (every, low, high) in [(20, 8_000_000, 16_000_000), (100, 40_000_000, 50_000_000)] {
        for _ in 0..(count / every).min(1) {
            let index = usize::try_from(rng.below(count)).unwrap_or(0);
            scripts[index].documents[0].bytes = rng.between(low, high);
        }
    }
}

/// Decides which envelopes have an unlucky end.
fn spoil_some(rng: &mut Rng, faults: FaultProfile, scripts: &mut [EnvelopeScript]) {
    let count = scripts.len();
    let (withheld, deleted) = match faults {
        FaultProfile::Off => return,
        FaultProfile::Normal => {
            ((count * 6 / 100).max(usize::from(count >= 8)), usize::from(count >= 20 && rng.chance(0.5)))
        }
        FaultProfile::Hard => ((count * 15 / 100).max(usize::from(count >= 4)), (count / 20).min(2)),
    };
    let mut ended: Vec<usize> = (1..count)
        .filter(|&index| matches!(scripts[index].outcome, Outcome::Completed | Outcome::Declined))
        .collect();
    for _ in 0..withheld.min(ended.len()) {
        let at = usize::try_from(rng.below(ended.len() as u64)).unwrap_or(0);
        scripts[ended.swap_remove(at)].withhold_final = true;
    }
    ended.retain(|&index| scripts[index].outcome == Outcome::Completed);
    for _ in 0..deleted.min(ended.len()) {
        let at = usize::try_from(rng.below(ended.len() as u64)).unwrap_or(0);
        scripts[ended.swap_remove(at)].deleted_by_other = true;
    }
    for index in ended {
        scripts[index].early_final = rng.chance(faults.rate());
    }
}

#[cfg(test)]
mod tests {
    use super::{ApiVersion, Trouble, batch};
    use crate::config::{FaultProfile, Vendor};
    use crate::ledger::Outcome;

    #[test]
    fn the_same_seed_gives_the_same_scripts_and_another_seed_others() {
        let scripts = |seed| batch(seed, FaultProfile::Hard, Vendor::ESignAnyWhere, "hr", 0, 40);
        assert_eq!(scripts(5), scripts(5));
        assert_ne!(scripts(5), scripts(6));
    }

    #[test]
    fn some_flows_have_many_documents_and_nobody_else_has() {
        let counts = |vendor| {
            let scripts = batch(3, FaultProfile::Normal, vendor, "hr", 0, 100);
            scripts.iter().map(|script| script.documents.len()).collect::<Vec<_>>()
        };
        let flows = counts(Vendor::ScriveFlow);
        let many = flows.iter().filter(|&&count| (5..=12).contains(&count)).count();
        assert!((5..40).contains(&many), "{flows:?}");
        assert!(flows.iter().any(|&count| count > 10));
        for vendor in Vendor::ALL.into_iter().filter(|&vendor| vendor != Vendor::ScriveFlow) {
            assert!(counts(vendor).iter().all(|&count| count <= 2));
        }
    }

    #[test]
    fn now_and_then_an_invitation_to_a_scrive_document_bounces_and_nothing_else_goes_wrong_there() {
        let scripts = batch(3, FaultProfile::Off, Vendor::Scrive, "hr", 0, 100);
        let troubles: Vec<_> = scripts.iter().flat_map(|s| &s.signers).filter_map(|s| s.trouble).collect();
        assert!((5..60).contains(&troubles.len()), "{}", troubles.len());
        assert!(troubles.iter().all(|&trouble| trouble == Trouble::EmailBounce));
    }

    #[test]
    fn a_batch_is_a_mix_with_few_large_files_and_bounded_misfortune() {
        for seed in 0..20 {
            for vendor in Vendor::ALL {
                let scripts = batch(seed, FaultProfile::Hard, vendor, "hr", 0, 40);
                let completed = scripts.iter().filter(|s| s.outcome == Outcome::Completed).count();
                assert!((18..=38).contains(&completed), "{completed}");
                let large =
                    scripts.iter().flat_map(|s| &s.documents).filter(|d| d.bytes > 10_000_000).count();
                assert!(large <= 2);
                assert!(scripts.iter().any(|s| s.withhold_final));
                assert!(scripts.iter().filter(|s| s.deleted_by_other).count() <= 2);
                if vendor == Vendor::DropboxSign {
                    assert!(scripts.iter().all(|s| s.api_version == ApiVersion::V6));
                }
            }
        }
    }
}
