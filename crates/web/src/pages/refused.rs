//! What we do not take from a browser; the desk is not asked, or does not answer in time.

/// Why a request was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    /// A form that no page of ours sent.
    CrossSite,
    /// A form from a browser that shows no key: it keeps no cookies, or waited longer than a day.
    NoCookie,
    /// A form beyond its limit.
    TooLarge,
    /// A body that is no form.
    NoForm,
    /// A form that cannot be read.
    BrokenForm,
    /// A form that does not come to its end.
    TooSlow,
    /// More at once than the desk is asked.
    Busy,
    /// The desk takes longer than a browser is kept waiting.
    DeskSlow,
    /// The same on a way back: the consent is used up, and a draft is perhaps being sent.
    ReturnSlow,
}
