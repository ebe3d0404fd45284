//! Periods of revenue: whole days, weeks or months of a time zone.

use chrono::{DateTime, Datelike as _, Days, LocalResult, Months, NaiveDate, NaiveTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;

use crate::payments::ledger::model::sums::{Figures, Sum};
use mainstay_kernel::{
    error::{Error, Result},
    money::Currency,
    numbered::numbered,
};

/// The maximum number of periods of one answer, which has as many comparison periods in addition.
const MAX_PERIODS: usize = 100;
/// The years in which every period must begin, including the comparison periods and the day after the last period. In
/// all of these years, the days of every time zone begin on a quarter of an hour of UTC.
const YEARS: std::ops::RangeInclusive<i32> = 2000..=2099;

numbered! {
    /// The length of a period.
    Interval {
        /// A day.
        Day = 1,
        /// A week, from Monday.
        Week = 2,
        /// A month.
        Month = 3,
    }
}

impl Interval {
    /// Returns the first day of the period that contains a day.
    fn first_day(self, day: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Day => Some(day),
            Self::Week => day.checked_sub_days(Days::new(day.weekday().num_days_from_monday().into())),
            Self::Month => day.with_day(1),
        }
    }

    /// Returns the first day of the period `count` periods later, or earlier.
    fn shift(self, first_day: NaiveDate, count: i32) -> Option<NaiveDate> {
        let days = |each: i64| first_day.checked_add_signed(TimeDelta::days(each * i64::from(count)));
        match self {
            Self::Day => days(1),
            Self::Week => days(7),
            Self::Month if count < 0 => first_day.checked_sub_months(Months::new(count.unsigned_abs())),
            Self::Month => first_day.checked_add_months(Months::new(count.unsigned_abs())),
        }
    }

    /// Returns the default number of periods.
    fn default_count(self) -> i32 {
        match self {
            Self::Day => 30,
            Self::Week | Self::Month => 12,
        }
    }
}

/// A query; empty texts mean unspecified.
#[derive(Debug, Clone)]
pub struct Query {
    pub interval: Interval,
    pub time_zone: String,
    pub start_date: String,
    pub end_date: String,
}

/// Consecutive periods, and as many comparison periods before them.
#[derive(Debug, Clone)]
pub struct Periods {
    pub interval: Interval,
    pub zone: Tz,
    /// The first days of all periods, the comparison periods first, and the day after the last.
    days: Vec<NaiveDate>,
    /// The beginnings of those days.
    bounds: Vec<DateTime<Utc>>,
}

/// One period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    pub first_day: NaiveDate,
    pub from: DateTime<Utc>,
    /// The end, exclusive.
    pub until: DateTime<Utc>,
    pub figures: Figures,
    /// The figures of its comparison period.
    pub previous: Figures,
}

/// Revenue in one currency, by period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrencyRevenue {
    pub currency: Currency,
    pub periods: Vec<Period>,
}

/// Revenue by currency and period.
#[derive(Debug, Clone)]
pub struct Revenue {
    pub periods: Periods,
    /// The time up to which all bookings are included.
    pub as_of: DateTime<Utc>,
    pub currencies: Vec<CurrencyRevenue>,
}

impl Periods {
    /// Returns the requested periods.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for an unknown time zone, an invalid day, and a range that is empty, too long or outside the
    /// supported years.
    pub fn of(query: &Query, now: DateTime<Utc>) -> Result<Self> {
        let Query { interval, time_zone, start_date, end_date } = query;
        let zone = zone(time_zone)?;
        let end = day("endDate", end_date)?.unwrap_or_else(|| now.with_timezone(&zone).date_naive());
        let start = day("startDate", start_date)?;
        let too_early = || {
            // Without a start, the end determines where the periods begin.
            let field = if start.is_some() { "startDate" } else { "endDate" };
            let year = YEARS.start();
            let why =
                format!("must be later: the preceding periods, which are compared, begin in {year} at the earliest");
            Error::field(field, why)
        };
        let too_late =
            || Error::field("endDate", format!("must be in a period that ends before {}-12-31", YEARS.end()));
        let last = interval.first_day(end).ok_or_else(too_early)?;
        let first = match start {
            Some(start) if start > end => return Err(Error::field("startDate", "must not be after endDate")),
            Some(start) => interval.first_day(start),
            None => interval.shift(last, 1 - interval.default_count()),
        };
        let first = first.ok_or_else(too_early)?;
        let mut days = vec![first];
        while days.last().is_some_and(|day| *day <= last) {
            if days.len() > MAX_PERIODS {
                return Err(Error::field("startDate", format!("the range may have at most {MAX_PERIODS} periods")));
            }
            days.push(interval.shift(first, i32::try_from(days.len()).unwrap_or(i32::MAX)).ok_or_else(too_late)?);
        }
        let count = i32::try_from(days.len() - 1).unwrap_or(i32::MAX);
        let preceding = (0..count).map(|number| interval.shift(first, number - count).ok_or_else(too_early));
        let days: Vec<_> = preceding.chain(days.into_iter().map(Ok)).collect::<Result<_>>()?;
        if days.first().is_some_and(|day| day.year() < *YEARS.start()) {
            return Err(too_early());
        }
        if days.last().is_some_and(|day| day.year() > *YEARS.end()) {
            return Err(too_late());
        }
        let bounds = days.iter().map(|day| start_of_day(*day, zone)).collect();
        Ok(Self { interval: *interval, zone, days, bounds })
    }

    /// Returns the beginnings of all periods, the comparison periods first, and the end of the last.
    pub fn bounds(&self) -> &[DateTime<Utc>] {
        &self.bounds
    }

    /// Returns the number of periods, without the comparison periods.
    fn count(&self) -> usize {
        (self.days.len() - 1) / 2
    }

    /// Returns the first day, and its beginning.
    pub fn first(&self) -> (NaiveDate, DateTime<Utc>) {
        (self.days[self.count()], self.bounds[self.count()])
    }

    /// Returns the last day, and its end.
    pub fn last(&self) -> (NaiveDate, DateTime<Utc>) {
        let end = self.days.len() - 1;
        (self.days[end].pred_opt().unwrap_or(self.days[end]), self.bounds[end])
    }

    /// Arranges sums by currency and period. The sums must be sorted by currency.
    pub fn arrange(&self, sums: &[Sum]) -> Vec<CurrencyRevenue> {
        let of_currency = |sums: &[Sum]| {
            let mut figures = vec![Figures::default(); self.days.len() - 1];
            for sum in sums {
                figures[sum.period] += sum.figures;
            }
            let period = |number: usize| Period {
                first_day: self.days[number],
                from: self.bounds[number],
                until: self.bounds[number + 1],
                figures: figures[number],
                previous: figures[number - self.count()],
            };
            let periods = (self.count()..self.days.len() - 1).map(period).collect();
            CurrencyRevenue { currency: sums[0].currency, periods }
        };
        sums.chunk_by(|a, b| a.currency == b.currency).map(of_currency).collect()
    }
}

impl CurrencyRevenue {
    /// Returns the sums of the periods and of the comparison periods.
    pub fn totals(&self) -> (Figures, Figures) {
        let mut totals = (Figures::default(), Figures::default());
        for period in &self.periods {
            totals.0 += period.figures;
            totals.1 += period.previous;
        }
        totals
    }
}

/// Parses the name of a time zone.
fn zone(name: &str) -> Result<Tz> {
    match name {
        "" => Ok(Tz::UTC),
        name => name.parse().map_err(|_| {
            Error::field("timeZone", "must be the IANA name of a time zone, such as Europe/Berlin or America/New_York")
        }),
    }
}

/// Parses a day; `None` if the text is empty.
fn day(field: &str, text: &str) -> Result<Option<NaiveDate>> {
    if text.is_empty() {
        return Ok(None);
    }
    // The parser also accepts a sign and single digits.
    let day = text.parse().ok().filter(|day: &NaiveDate| day.to_string() == text);
    day.map(Some).ok_or_else(|| Error::field(field, "must be a day that exists, as YYYY-MM-DD"))
}

/// Returns the beginning of a day: the first of two midnights, or without a midnight, the end of the gap. So a day that
/// a time zone skipped is empty.
fn start_of_day(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let midnight = day.and_time(NaiveTime::MIN);
    // A gap is a few hours, or the whole day when a country crosses the date line.
    for quarters in 0..=4 * 26 {
        match zone.from_local_datetime(&(midnight + TimeDelta::minutes(15 * quarters))) {
            LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => return time.to_utc(),
            LocalResult::None => {}
        }
    }
    midnight.and_utc()
}

#[cfg(test)]
mod tests;
