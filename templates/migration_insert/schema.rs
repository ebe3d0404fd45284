{% for column in columns %}
        {{ column.name }} -> {{ "Nullable<" ~ column.schema ~ ">" if column.is_optional else column.schema }},
{% endfor %}
