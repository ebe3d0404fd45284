-- Purpose: sample items, which belong to accounts.
-- Lock: SHARE ROW EXCLUSIVE on accounts{% for table in referenced_tables %} and {{ table }}{% endfor %} for a moment, because sample_items refers to {{ "them" if references else "it" }}; the table is new.
-- Rollout: before the first server with this resource starts.

-- The schema is the module's own and comes first in the search path; it exists when this runs.
{% for field in fields if field.variants %}
-- {{ field.name }}: the numbers of my_module.v1.{{ field.proto }}:{% for variant in field.variants %} {{ loop.index }} {{ variant.name }}{{ "," if not loop.last else "." }}{% endfor %}

{% endfor %}
CREATE TABLE sample_items (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts (id),
{% for column in columns %}
    {{ column.name }} {{ column.sql }}{{ " NOT NULL" if not column.is_optional }}{{ " REFERENCES " ~ column.references ~ " (id)" if column.references }}{{ " CHECK (" ~ column.check ~ ")" if column.check }},
{% endfor %}
{% for field in fields if field.kind == "money" and field.is_optional %}
    CHECK (({{ field.name }}_minor IS NULL) = ({{ field.name }}_currency IS NULL)),
{% endfor %}
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX sample_items_created_at_idx ON sample_items (created_at DESC, id DESC);
CREATE INDEX sample_items_account_idx ON sample_items (account_id, created_at DESC, id DESC);
{% for field in references %}
CREATE INDEX sample_items_{{ field.name }}_idx ON sample_items ({{ field.name }});
{% endfor %}

-- Callers of an account reach its rows only.
SELECT isolate_rows('sample_items');
