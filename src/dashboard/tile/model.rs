//! The values of tiles.

use mainstay_kernel::{money::Currency, page::Total};

/// The maximum number of rows of a tile; further rows are not shown.
pub const MAX_ROWS: usize = 10;

/// The value of a tile.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number.
    Number(i64),
    /// A number of which only this lower bound is known, because the count ended there.
    AtLeast(i64),
    /// A sum of money in minor units, which may be negative.
    Money(i64, Currency),
    /// A rate: 1 is 100 %.
    Rate(f64),
    /// Numbers with labels, which the console shows as bars.
    Rows(Vec<Row>),
}

impl From<Total> for Value {
    fn from(total: Total) -> Self {
        if total.lower_bound { Self::AtLeast(total.rows) } else { Self::Number(total.rows) }
    }
}

/// A row of a tile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The label, in the language of the team.
    pub label: String,
    /// The number.
    pub number: i64,
}
