//! Scrive's times, with what its own samples get wrong.

use aftersign_core::Timestamp;

use crate::lenient::parse_date;

/// Digits of a fraction that a [`Timestamp`] holds.
const FRACTION_DIGITS_MAX: usize = 9;
/// Longest text looked at: a time with every oddity stays far below.
const TEXT_BYTES_MAX: usize = 64;

/// Reads a UTC time. Fractions longer than nine digits are cut (the Flow article's samples have ten), a
/// second fraction is dropped (`16:26:54.87.00000Z` in the Flow guide); an impossible time, such as second 67
/// of the article's `failed` sample, is `None`, because any repair would be an invention.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let Some((whole, rest)) = text.split_once('.') else { return parse_date(text) };
    let fraction_end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (fraction, rest) = rest.split_at(fraction_end);
    let zone = match rest.strip_prefix('.') {
        Some(second) => second.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    let fraction = &fraction[..fraction.len().min(FRACTION_DIGITS_MAX)];
    let point = if fraction.is_empty() { "" } else { "." };
    parse_date(&format!("{whole}{point}{fraction}{zone}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_times_are_read_and_impossible_ones_are_none() {
        let read = |text| parse(text).map(|at| at.to_string());
        for (text, time) in [
            ("2021-03-10T16:40:17.332350921Z", "2021-03-10T16:40:17.332350921Z"),
            ("2021-06-15T09:38:28.8361469582Z", "2021-06-15T09:38:28.836146958Z"),
            ("2020-09-22T16:26:54.87.00000Z", "2020-09-22T16:26:54.87Z"),
            ("1997-01-01T12:00:27.87.00000Z", "1997-01-01T12:00:27.87Z"),
            ("2020-10-10T00:00:10Z", "2020-10-10T00:00:10Z"),
            ("2020-10-10T00:00:10.Z", "2020-10-10T00:00:10Z"),
            (" 2024-10-10T00:00:10.29649Z ", "2024-10-10T00:00:10.29649Z"),
            ("2021-03-15T13:43:60Z", "2021-03-15T13:43:59Z"),
        ] {
            assert_eq!(read(text).as_deref(), Some(time), "{text}");
        }
        for text in ["2021-03-15T13:43:67.4589254893Z", "", ".", "..Z", "soon", "1.2.3.4", "ü.ü.ü"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read(&format!("2020-10-10T00:00:10.{}Z", "1".repeat(100))), None);
    }
}
