//! A sample item and its transitions.

{% if uses.map %}
use std::collections::BTreeMap;

{% endif %}
use chrono::{DateTime, {{ "NaiveDate, " if uses.date }}Utc};
use mainstay_kernel::{
    id::{AccountId, ids},
{% if uses.money %}
    money::Money,
{% endif %}
{% if uses.enum %}
    numbered::numbered,
{% endif %}
};
{% if uses.uuid %}
use uuid::Uuid;
{% endif %}
{% for resource in referenced %}
{{ "
" if loop.first }}use crate::{{ resource.name }}::model::{{ resource.id }};
{% endfor %}

ids! {
    /// A sample item.
    SampleItemId
}
{% for field in fields if field.variants %}

numbered! {
    /// {{ field.summary }}
    {{ field.rust }} {
{% for variant in field.variants %}
        {{ variant.rust }} = {{ loop.index }},
{% endfor %}
    }
}
{% endfor %}

/// A sample item; its fields are documented in `sample_item.proto`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleItem {
    pub id: SampleItemId,
    pub account: AccountId,
{% for field in fields %}
    pub {{ field.name }}: {{ field.value }},
{% endfor %}
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// The fields that a caller sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
{% for field in settable %}
    pub {{ field.name }}: {{ field.value }},
{% endfor %}
}

/// New values for some of the fields of a sample item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
{% for field in settable %}
    pub {{ field.name }}: Option<{{ field.value }}>,
{% endfor %}
}

impl SampleItem {
    /// Makes a new sample item.
    pub fn new(account: AccountId, values: Values, now: DateTime<Utc>) -> Self {
        let Values { {{ settable_names }} } = values;
        Self { id: SampleItemId::generate(now), account, {{ settable_names }}, {% for field in output %}{{ field.name }}: {{ field.initial }}, {% endfor %}version: 1, created_at: now, updated_at: now }
    }

    /// Returns the next version, or `None` if nothing changes.
    pub fn apply(&self, patch: Patch, now: DateTime<Utc>) -> Option<Self> {
        let Patch { {{ settable_names }} } = patch;
        let mut next = self.clone();
{% for field in settable %}
        if let Some({{ field.name }}) = {{ field.name }} {
            next.{{ field.name }} = {{ field.name }};
        }
{% endfor %}
        (next != *self).then(|| Self { version: self.version + 1, updated_at: now, ..next })
    }
}
