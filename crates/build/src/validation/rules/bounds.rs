//! The bounds of a length or a count.

use super::Check;

/// The bounds of a count, both inclusive.
#[derive(Default)]
pub(super) struct Bounds {
    pub(super) least: Option<u64>,
    pub(super) most: Option<u64>,
}

impl Bounds {
    pub(super) fn exactly(count: u64) -> Self {
        Self { least: Some(count), most: Some(count) }
    }

    /// Returns a check of a measure: `must {verb} {least} to {most}{unit}s`.
    pub(super) fn check(&self, measure: &str, verb: &str, unit: &str) -> Result<Option<Check>, String> {
        let units = |count: u64| if count == 1 { unit.to_owned() } else { format!("{unit}s") };
        let (fault, range) = match (self.least, self.most) {
            (None, None) => return Ok(None),
            (Some(least), Some(most)) if least > most => return Err(format!("at least {least} and at most {most}")),
            (Some(least), Some(most)) if least == most => (format!("{measure} != {least}"), format!("exactly {least}")),
            (Some(least), Some(most)) => {
                (format!("!({least}..={most}).contains(&{measure})"), format!("{least} to {most}"))
            }
            (Some(least), None) => (format!("!({least}..).contains(&{measure})"), format!("at least {least}")),
            (None, Some(most)) => (format!("!(..={most}).contains(&{measure})"), format!("at most {most}")),
        };
        let last = self.most.or(self.least).unwrap_or_default();
        Ok(Some(Check::new(fault, format!("must {verb} {range}{}", units(last)))))
    }
}
