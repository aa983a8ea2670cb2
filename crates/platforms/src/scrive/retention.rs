//! After how many days Scrive itself puts documents into the trash.

use aftersign_core::Error;
use aftersign_core::envelope::EnvelopeStatus;
use aftersign_core::platform::{Access, Call, Next, Retention};
use serde_json::{Map, Value};

use super::api::Api;
use super::wire::id_text;
use crate::exchange::Asking;

/// The policies of an answer: the user's own and that of the company. The stricter one holds.
const POLICIES: [&str; 2] = ["data_retention_policy", "company_data_retention_policy"];
/// A policy's member for each status, in days; `null` where documents are kept.
const TIMEOUTS: [(&str, EnvelopeStatus); 5] = [
    ("idle_doc_timeout_closed", EnvelopeStatus::Completed),
    ("idle_doc_timeout_rejected", EnvelopeStatus::Declined),
    ("idle_doc_timeout_canceled", EnvelopeStatus::Cancelled),
    ("idle_doc_timeout_timedout", EnvelopeStatus::Expired),
    ("idle_doc_timeout_error", EnvelopeStatus::Failed),
];

/// `GET dataretentionpolicy`. It needs `FULL_ACCESS`. The days are those until the trash, from where a document goes
/// after 30 more, or at once: it is told of the earlier day.
pub(super) fn retention(access: &Access) -> Result<Call<Retention>, Error> {
    let api = Api::new("scrive read retention", access)?;
    let request = api.get("dataretentionpolicy")?;
    Ok(api.clone().then(request, move |response| {
        let answer: Map<String, Value> = api.answer(&response)?;
        read(&answer)
            .map(Next::Done)
            .ok_or_else(|| api.unintelligible("the answer holds no retention policy"))
    }))
}

/// `None` if the answer speaks of none of it: that must not be taken for "kept for ever".
fn read(answer: &Map<String, Value>) -> Option<Retention> {
    let mut policies: Vec<_> = POLICIES.iter().filter_map(|name| answer.get(*name)?.as_object()).collect();
    if policies.is_empty() {
        policies.push(answer);
    }
    let is_policy =
        |policy: &&Map<String, Value>| TIMEOUTS.iter().any(|(name, _)| policy.contains_key(*name));
    if !policies.iter().any(is_policy) {
        return None;
    }
    let shortest = |name: &str| {
        let days = policies.iter().filter_map(|policy| id_text(policy.get(name)?)?.parse::<u32>().ok());
        days.min()
    };
    let days = TIMEOUTS.iter().filter_map(|(name, status)| Some((*status, shortest(name)?)));
    Some(Retention { days: days.collect() })
}
