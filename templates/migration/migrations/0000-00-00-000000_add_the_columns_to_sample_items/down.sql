ALTER TABLE sample_items
{% for column in columns %}
    DROP COLUMN {{ column.name }}{{ "," if not loop.last else ";" }}
{% endfor %}
