-- Purpose: more columns of sample items.
-- Lock: ACCESS EXCLUSIVE on sample_items for the time of a scan, in which the checks are validated{% for table in referenced_tables %}; SHARE ROW EXCLUSIVE on {{ table }}{% endfor %}.
-- Rollout: before the first server that uses the columns; earlier servers store rows without them.

ALTER TABLE sample_items
{% for column in columns %}
    ADD COLUMN {{ column.name }} {{ column.sql }}{{ " NOT NULL DEFAULT '{}'" if not column.is_optional }}{{ " REFERENCES " ~ column.references ~ " (id)" if column.references }}{{ " CHECK (" ~ column.check ~ ")" if column.check }}{{ "," if not loop.last else ";" }}
{% endfor %}
{% for field in fields if field.kind == "money" %}
ALTER TABLE sample_items ADD CHECK (({{ field.name }}_minor IS NULL) = ({{ field.name }}_currency IS NULL));
{% endfor %}
{% for field in references %}
CREATE INDEX sample_items_{{ field.name }}_idx ON sample_items ({{ field.name }});
{% endfor %}
