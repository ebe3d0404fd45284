//! Order numbers.

use std::fmt;

use mainstay_kernel::error::{Error, Result};

/// The number of an order: decimal digits, of which the last is a check digit, because people read order numbers aloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderNumber(i64);

/// H. Michael Damm's quasigroup of order 10: the check digit detects every wrong digit and every swap of neighbors.
const DAMM: [[u8; 10]; 10] = [
    [0, 3, 1, 7, 5, 9, 8, 6, 4, 2],
    [7, 0, 9, 2, 1, 5, 4, 8, 6, 3],
    [4, 2, 0, 6, 8, 7, 1, 3, 5, 9],
    [1, 7, 5, 0, 9, 8, 3, 4, 2, 6],
    [6, 1, 2, 3, 0, 4, 5, 9, 7, 8],
    [3, 6, 7, 4, 2, 0, 9, 5, 8, 1],
    [5, 8, 6, 9, 7, 2, 0, 1, 3, 4],
    [8, 9, 4, 5, 3, 6, 2, 0, 1, 7],
    [9, 4, 3, 8, 6, 1, 7, 2, 0, 5],
    [2, 5, 8, 1, 4, 3, 6, 7, 9, 0],
];

/// Returns the check digit of some digits; 0 for digits that end with their check digit.
fn check(digits: &str) -> u8 {
    let digits = digits.bytes().map(|byte| usize::from(byte - b'0'));
    digits.fold(0, |interim, digit| DAMM[usize::from(interim)][digit])
}

impl OrderNumber {
    /// Makes the number of a position in the sequence of all orders.
    pub fn new(position: i64) -> Self {
        Self(position)
    }

    /// Returns the position in the sequence of all orders.
    pub fn position(self) -> i64 {
        self.0
    }

    /// Parses a number; spaces around it are ignored.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` if the text is not a valid order number, as after a typing error.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let is_number = text.len() > 1 && text.bytes().all(|byte| byte.is_ascii_digit()) && check(text) == 0;
        let position =
            text.get(..text.len().saturating_sub(1)).filter(|_| is_number).and_then(|text| text.parse().ok());
        position.map(Self).ok_or_else(|| Error::field("number", "is not the number of an order: check its digits"))
    }
}

impl fmt::Display for OrderNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0, check(&self.0.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_is_found() {
        // The example of Damm's thesis.
        assert_eq!(OrderNumber::new(572).to_string(), "5724");
        let number = OrderNumber::new(100_001);
        let text = number.to_string();
        assert_eq!(OrderNumber::parse(&format!(" {text}\n")).expect("a number"), number);
        for place in 0..text.len() {
            for digit in "0123456789".chars().filter(|digit| Some(*digit) != text.chars().nth(place)) {
                let wrong: String =
                    text.chars().enumerate().map(|(at, c)| if at == place { digit } else { c }).collect();
                assert!(OrderNumber::parse(&wrong).is_err(), "{wrong}");
            }
        }
        for bad in ["", "0", "-5724", "57 24", "٥٧٢٤", "99999999999999999999"] {
            assert!(OrderNumber::parse(bad).is_err(), "{bad}");
        }
    }
}
