//! Batch gets (AIP-231): several resources by their ids, in the order of the ids, all or none.

use std::{collections::HashMap, hash::Hash};

use crate::error::{Error, Result};

/// Returns the rows in the order of `ids`. A repeated id yields its row repeatedly.
///
/// # Errors
/// `NOT_FOUND` names every element of the request's `ids` without a row; `what` is the kind of resource.
pub fn in_order<I: Copy + Eq + Hash, T: Clone>(
    what: &'static str,
    ids: &[I],
    rows: Vec<T>,
    id: impl Fn(&T) -> I,
) -> Result<Vec<T>> {
    let rows: HashMap<I, T> = rows.into_iter().map(|row| (id(&row), row)).collect();
    let (mut matches, mut missing) = (Vec::with_capacity(ids.len()), Vec::new());
    for (index, id) in ids.iter().enumerate() {
        match rows.get(id) {
            Some(row) => matches.push(row.clone()),
            None => missing.push((format!("ids[{index}]"), format!("there is no such {what}"))),
        }
    }
    if missing.is_empty() { Ok(matches) } else { Err(Error::not_found(what).about(missing)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reason;

    #[test]
    fn rows_are_in_the_order_of_their_ids_or_there_are_none() {
        let rows = || vec![(1, "one"), (2, "two"), (3, "three")];
        let matches = in_order("row", &[3, 1, 3], rows(), |row| row.0).expect("all are there");
        assert_eq!(matches, [(3, "three"), (1, "one"), (3, "three")]);
        let error = in_order("row", &[7, 1, 8], rows(), |row| row.0).expect_err("two are missing");
        assert_eq!(error.reason(), Reason::NotFound);
        let fields: Vec<_> = error.fields().iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["ids[0]", "ids[2]"]);
    }
}
