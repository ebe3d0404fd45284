//! Reads the log from its store or, if the store does not answer, from memory.

use mainstay_kernel::{
    caller::Permit,
    error::{Error, Result},
    page,
};

use crate::dashboard::system_log::{
    logs::SystemLogs,
    model::{Filter, Line},
    store,
};

/// A page of the log.
#[derive(Debug)]
pub struct Page {
    /// The lines, plus one more if another page follows.
    pub lines: Vec<Line>,
    /// Whether only the last lines of this process are available.
    pub is_degraded: bool,
}

/// Returns a page of the log. Succeeds within the store's deadline even if the store fails. The lines may lack their
/// whole texts unless these are requested.
///
/// # Errors
/// `VALIDATION_FAILED` if the end is not after the start.
pub async fn list(logs: &SystemLogs, _: Permit, filter: Filter, page: page::Page, texts: bool) -> Result<Page> {
    if filter.from.zip(filter.until).is_some_and(|(from, until)| from >= until) {
        return Err(Error::field("startTime", "must be before endTime"));
    }
    let conditions = &filter;
    let searches = filter.text.is_some() || filter.method.is_some();
    let read = async |connection: &mut _| store::list(connection, conditions, page.and_next(), texts).await;
    Ok(match logs.run(searches, read).await {
        Ok(lines) => Page { lines, is_degraded: false },
        Err(_) => {
            let size = usize::try_from(page.and_next().size).unwrap_or(0);
            let lines = logs.recent(|recent| filter.select(recent.iter(), page.start, size));
            Page { lines, is_degraded: true }
        }
    })
}
