//! Compares a shape with the previous one: every operation that the previous version performs must still be possible.

use tokio_postgres::Client;

use super::{
    ID,
    example::{self, Field},
    shape::{Check, Column, Reference, Relation, Shape, Unique},
};

const KEEP: &str = "Keep it in this release, beside its replacement, and run COMMENT ON … IS 'to be contracted: why'; a \
                    migration of a later release may then change or remove it";
const FILL: &str = "Give it a default, or let it be null until a later release";
const WAIT: &str = "Let this release write what the rule permits, correct the rows, and run COMMENT ON COLUMN … IS 'to be \
                    contracted: why'; a migration of a later release may then add the rule";

/// Returns the operations that the previous version can no longer perform, with the remedy for each.
pub(super) async fn compare(client: &Client, before: &Shape, after: &Shape) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, old) in before.relations.iter().filter(|(_, old)| !old.is_contracted) {
        let Some(new) = after.relations.get(name) else {
            faults.push(format!("{name} was dropped or renamed. {KEEP}"));
            continue;
        };
        let pair = Pair { client, name, old, new };
        pair.columns(&mut faults);
        for check in &new.checks {
            faults.extend(pair.check(check).await);
        }
        for unique in &new.uniques {
            faults.extend(pair.unique(unique).await);
        }
        faults.extend(new.references.iter().filter_map(|reference| pair.reference(reference)));
    }
    let functions =
        before.functions.iter().filter(|(name, contracted)| !**contracted && !after.functions.contains_key(*name));
    faults.extend(
        functions.map(|(name, _)| format!("the function {name} was dropped, or its signature changed. {KEEP}")),
    );
    faults
}

/// A table before and after a migration.
struct Pair<'a> {
    client: &'a Client,
    name: &'a str,
    old: &'a Relation,
    new: &'a Relation,
}

impl Pair<'_> {
    fn columns(&self, faults: &mut Vec<String>) {
        for (column, old) in self.old.columns.iter().filter(|(_, old)| !old.is_contracted) {
            let place = format!("{}.{column}", self.name);
            let Some(new) = self.new.columns.get(column) else {
                faults.push(format!("the column {place} was dropped or renamed. {KEEP}"));
                continue;
            };
            if new.type_name != old.type_name || !is_as_long(old, new) {
                faults.push(format!("the column {place} has another type: add a column of that type. {KEEP}"));
            }
            if new.is_required && !old.is_required {
                faults.push(format!("the column {place} became NOT NULL. {WAIT}"));
            }
            if new.is_required && old.has_default && !new.has_default {
                faults.push(format!("the column {place} lost its default, and is NOT NULL. {KEEP}"));
            }
            if new.is_generated && !old.is_generated {
                faults.push(format!("the column {place} can't be written any more. {KEEP}"));
            }
        }
        let new_columns =
            self.new.columns.iter().filter(|(column, _)| self.old.is_table && !self.old.columns.contains_key(*column));
        let unfilled = new_columns.filter(|(_, new)| new.is_required && !new.has_default);
        faults.extend(unfilled.map(|(column, _)| {
            format!("the column {}.{column} is new and NOT NULL without a default. {FILL}", self.name)
        }));
    }

    /// Returns whether one of these columns is to be contracted, so that no program relies on its content.
    fn is_contracted(&self, columns: &[String]) -> bool {
        columns.iter().filter_map(|column| self.old.columns.get(column)).any(|column| column.is_contracted)
    }

    /// Returns whether the previous version leaves this column null, because it does not know the column.
    fn stays_null(&self, column: &str) -> bool {
        let is_null = |new: &Column| !new.is_required && !new.has_default;
        !self.old.columns.contains_key(column) && self.new.columns.get(column).is_some_and(is_null)
    }

    /// Searches for a row that the previous checks accepted and this one rejects.
    async fn check(&self, check: &Check) -> Option<String> {
        let is_known = self.old.checks.iter().any(|old| old.condition == check.condition);
        if is_known || self.is_contracted(&check.columns) {
            return None;
        }
        let is_there = |column: &String| self.new.columns.contains_key(column);
        let related = self.old.checks.iter().filter(|old| {
            old.columns.iter().all(is_there) && old.columns.iter().any(|column| check.columns.contains(column))
        });
        let (mut columns, mut texts) = (check.columns.clone(), check.condition.clone());
        let mut condition = format!("({}) IS FALSE", check.condition);
        for old in related {
            columns.extend(old.columns.iter().cloned());
            texts += &old.condition;
            condition += &format!(" AND ({}) IS NOT FALSE", old.condition);
        }
        let example = self.example(columns, &texts, &condition).await?;
        Some(format!("the check {} of {} refuses {example}. {WAIT}", check.name, self.name))
    }

    /// Returns a fault if rows may violate uniqueness that did not before.
    async fn unique(&self, unique: &Unique) -> Option<String> {
        let is_of_old = unique.columns.iter().any(|column| self.old.columns.contains_key(column));
        let never_collides = !unique.nulls_collide && unique.keys.iter().any(|key| self.stays_null(key));
        if !is_of_old || never_collides || self.is_contracted(&unique.columns) {
            return None;
        }
        for old in &self.old.uniques {
            let is_wider = old.keys.iter().all(|key| unique.keys.contains(key));
            // Rows without a null in the old keys were distinct before.
            let may_be_null = |key: &String| self.old.columns.get(key).is_none_or(|column| !column.is_required);
            let nulls_repeat = !old.nulls_collide && old.keys.iter().any(may_be_null);
            if !is_wider || (unique.nulls_collide && nulls_repeat) {
                continue;
            }
            if old.predicate.is_empty() || old.predicate == unique.predicate {
                return None;
            }
            let new = if unique.predicate.is_empty() { "true" } else { &unique.predicate };
            let columns = old.columns.iter().chain(&unique.columns);
            let columns = columns.filter(|column| self.new.columns.contains_key(*column)).cloned().collect();
            let texts = format!("{} {new}", old.predicate);
            let condition = format!("({new}) AND ({}) IS NOT TRUE", old.predicate);
            self.example(columns, &texts, &condition).await?;
        }
        Some(format!("{} of {} is unique over what may be there twice. {WAIT}", unique.name, self.name))
    }

    fn reference(&self, reference: &Reference) -> Option<String> {
        let Reference { name, is_foreign_key, columns, definition } = reference;
        let is_known = self.old.references.iter().any(|old| old.definition == *definition);
        let is_of_old = columns.iter().any(|column| self.old.columns.contains_key(column));
        let stays_null = *is_foreign_key && columns.iter().any(|column| self.stays_null(column));
        let is_fault = !is_known && is_of_old && !stays_null && !self.is_contracted(columns);
        is_fault.then(|| format!("the constraint {name} of {} is new: {definition}. {WAIT}", self.name))
    }

    /// Describes a row of the previous version that meets a condition, or the reason why the search failed.
    async fn example(&self, mut columns: Vec<String>, texts: &str, condition: &str) -> Option<String> {
        columns.sort_unstable();
        columns.dedup();
        let mut fields: Vec<_> = columns.into_iter().map(|column| self.field(column, texts)).collect();
        if let Some(field) = fields.iter().find(|field| field.values.is_empty()) {
            return Some(format!("what {} may hold, as far as this can tell", field.column));
        }
        example::limit(&mut fields);
        match example::find(self.client, &fields, condition).await {
            Ok(None) => None,
            Ok(Some(values)) => {
                let assigned = fields.iter().zip(values).map(|(field, value)| format!("{} = {value}", field.column));
                Some(assigned.collect::<Vec<_>>().join(", "))
            }
            Err(error) => Some(format!("what can't be tried: {}", super::why(&error))),
        }
    }

    fn field(&self, column: String, texts: &str) -> Field {
        let (old, new) = (self.old.columns.get(&column), self.new.columns.get(&column));
        let values = match (old, new) {
            (Some(old), _) => {
                let null = (!old.is_required).then(|| "NULL".to_owned());
                example::values(old, texts, ID).into_iter().chain(null).collect()
            }
            // The previous version does not write this column.
            (None, new) => vec![new.and_then(|new| new.default.clone()).unwrap_or_else(|| "NULL".to_owned())],
        };
        let type_name = old.or(new).map(|column| column.type_name.clone()).unwrap_or_default();
        Field { column, type_name, values }
    }
}

/// Returns whether a column can hold all values of its previous type.
fn is_as_long(old: &Column, new: &Column) -> bool {
    let is_longer = old.type_name == "character varying" && old.modifier != -1 && new.modifier > old.modifier;
    new.modifier == old.modifier || new.modifier == -1 || is_longer
}
