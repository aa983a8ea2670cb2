//! The store's own limits, with unit and reason.

/// Rows of one page of a list: more is a job for an export.
pub const PAGE_ROWS_MAX: usize = 500;
/// Timeline lines and attempts shown with one envelope or transfer.
pub const DETAIL_ROWS_MAX: usize = 200;
