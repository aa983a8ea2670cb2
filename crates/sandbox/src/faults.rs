//! What goes wrong on purpose at the API. A decision depends on the seed, the operation and how often that operation was
//! tried, never on timing; and no operation fails more often in a row than the profile allows.

use std::collections::HashMap;

use crate::config::{FaultProfile, Vendor};
use crate::rng::Rng;

/// What kind of operation a request is: decides which faults make sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OperationClass {
    /// Reads JSON.
    Read,
    /// Downloads a file.
    Download,
    /// Changes something.
    Write,
}

/// One injected fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 409 although the file is ready.
    Conflict,
    /// 429.
    TooMany,
    /// 500.
    Internal,
    /// 503.
    Unavailable,
    /// No answer for a while, then a broken connection. A change has taken effect nevertheless.
    TimeOut,
    /// An HTML page with status 200.
    HtmlOk,
    /// An HTML page with status 502.
    HtmlBadGateway,
    /// The announced length is right, the body breaks off.
    CutAnnounced,
    /// A chunked body breaks off.
    CutChunked,
    /// A shorter body that is complete by its announced length.
    CutClean,
}

impl Fault {
    /// The name in the ledger.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::Conflict => "api-409",
            Fault::TooMany => "api-429",
            Fault::Internal => "api-500",
            Fault::Unavailable => "api-503",
            Fault::TimeOut => "api-time-out",
            Fault::HtmlOk => "html-200",
            Fault::HtmlBadGateway => "html-502",
            Fault::CutAnnounced => "cut-announced",
            Fault::CutChunked => "cut-chunked",
            Fault::CutClean => "cut-clean",
        }
    }
}

const READ_FAULTS: &[Fault] = &[
    Fault::TooMany,
    Fault::Internal,
    Fault::Unavailable,
    Fault::TimeOut,
    Fault::HtmlOk,
    Fault::HtmlBadGateway,
];
const WRITE_FAULTS: &[Fault] =
    &[Fault::TooMany, Fault::Internal, Fault::Unavailable, Fault::TimeOut, Fault::HtmlBadGateway];
/// Cuts stand twice: they are what a download is about.
const DOWNLOAD_FAULTS: &[Fault] = &[
    Fault::CutAnnounced,
    Fault::CutChunked,
    Fault::CutClean,
    Fault::CutAnnounced,
    Fault::CutChunked,
    Fault::CutClean,
    Fault::Conflict,
    Fault::TooMany,
    Fault::Internal,
    Fault::Unavailable,
    Fault::TimeOut,
    Fault::HtmlOk,
    Fault::HtmlBadGateway,
];

#[derive(Debug, Default)]
struct Streak {
    tries: u64,
    in_a_row: u32,
}

/// Remembers how often each operation was tried and failed.
#[derive(Debug)]
pub(crate) struct FaultPlan {
    seed: u64,
    profile: FaultProfile,
    streaks: HashMap<String, Streak>,
}

impl FaultPlan {
    pub(crate) fn new(seed: u64, profile: FaultProfile) -> FaultPlan {
        FaultPlan { seed, profile, streaks: HashMap::new() }
    }

    pub(crate) fn profile(&self) -> FaultProfile {
        self.profile
    }

    /// What goes wrong with this try of the operation that `key` names.
    pub(crate) fn draw(&mut self, vendor: Vendor, class: OperationClass, key: &str) -> Option<Fault> {
        if self.profile == FaultProfile::Off {
            return None;
        }
        let streak = self.streaks.entry(key.to_owned()).or_default();
        let mut rng = Rng::keyed(self.seed, &format!("fault/{vendor}/{key}/{}", streak.tries));
        streak.tries += 1;
        if !rng.chance(self.profile.rate()) || streak.in_a_row >= self.profile.consecutive_max() {
            streak.in_a_row = 0;
            return None;
        }
        let choices = match class {
            OperationClass::Read => READ_FAULTS,
            OperationClass::Write => WRITE_FAULTS,
            OperationClass::Download => DOWNLOAD_FAULTS,
        };
        let fault = *rng.pick(choices);
        // 409 belongs to Dropbox Sign's files only.
        let fault =
            if fault == Fault::Conflict && vendor != Vendor::DropboxSign { Fault::Internal } else { fault };
        streak.in_a_row += 1;
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::{FaultPlan, OperationClass};
    use crate::config::{FaultProfile, Vendor};

    #[test]
    fn no_operation_fails_more_often_in_a_row_than_allowed() {
        let mut plan = FaultPlan::new(3, FaultProfile::Hard);
        for operation in 0..200 {
            let mut in_a_row = 0;
            for _ in 0..50 {
                let key = operation.to_string();
                match plan.draw(Vendor::ESignAnyWhere, OperationClass::Download, &key) {
                    Some(_) => in_a_row += 1,
                    None => in_a_row = 0,
                }
                assert!(in_a_row <= 6);
            }
        }
    }
}
