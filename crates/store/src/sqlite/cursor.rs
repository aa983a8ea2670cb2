//! Cursors: where the next page begins, as opaque text.
//!
//! A cursor holds the sort key of the last row given, never an offset: rows that come or go meanwhile neither
//! repeat nor hide others.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::limits::PAGE_ROWS_MAX;
use crate::{Listing, PageRequest, StoreError};

/// The lists; a cursor of one is no cursor of another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum List {
    Callbacks = 1,
    Envelopes = 2,
    Transfers = 3,
    Tasks = 4,
    Journal = 5,
    Mails = 6,
}

/// A row's place: its sort time (0 where rows are sorted by number alone) and its number.
pub(super) type Place = (i64, i64);

/// Where a page ends that begins at the newest.
const NEWEST: Place = (i64::MAX, i64::MAX);

/// The place before which (in descending order) the page begins, and its number of rows.
pub(super) fn begin(list: List, page: &PageRequest) -> Result<(Place, usize), StoreError> {
    let rows = page.limit.clamp(1, PAGE_ROWS_MAX);
    let Some(text) = &page.cursor else { return Ok((NEWEST, rows)) };
    let bad = || StoreError::BadCursor(text.chars().take(80).collect());
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad())?;
    let bytes: [u8; 17] = bytes.try_into().map_err(|_| bad())?;
    if bytes[0] != list as u8 {
        return Err(bad());
    }
    let number = |from: usize| {
        let mut eight = [0u8; 8];
        eight.copy_from_slice(&bytes[from..from + 8]);
        i64::from_be_bytes(eight)
    };
    Ok(((number(1), number(9)), rows))
}

/// The page of `rows` rows out of one row more than that, if there is one.
pub(super) fn page<T>(list: List, rows: usize, mut found: Vec<(Place, T)>) -> Listing<T> {
    let more = found.len() > rows;
    found.truncate(rows);
    let next_cursor = found.last().filter(|_| more).map(|((at, n), _)| {
        let mut bytes = [0u8; 17];
        bytes[0] = list as u8;
        bytes[1..9].copy_from_slice(&at.to_be_bytes());
        bytes[9..].copy_from_slice(&n.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    });
    Listing { rows: found.into_iter().map(|(_, row)| row).collect(), next_cursor }
}

/// How many rows to ask the database for, to know whether there are more.
pub(super) fn ask(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX - 1) + 1
}

#[cfg(test)]
mod tests {
    use super::{List, begin, page};
    use crate::PageRequest;

    #[test]
    fn a_cursor_leads_on_in_its_own_list_only() {
        let listing = page(List::Tasks, 1, vec![((5, 7), "a"), ((4, 6), "b")]);
        let next = PageRequest { cursor: listing.next_cursor, limit: 9_999 };
        assert_eq!(begin(List::Tasks, &next).unwrap(), ((5, 7), 500));
        assert!(begin(List::Journal, &next).is_err());
        let foreign = PageRequest { cursor: Some("'; DROP TABLE".into()), limit: 1 };
        assert!(begin(List::Tasks, &foreign).is_err());
        assert_eq!(page(List::Tasks, 2, vec![((5, 7), "a"), ((4, 6), "b")]).next_cursor, None);
    }
}
