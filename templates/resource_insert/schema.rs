diesel::table! {
    my_module.sample_items (id) {
        id -> Uuid,
        account_id -> Uuid,
{% for column in columns %}
        {{ column.name }} -> {{ "Nullable<" ~ column.schema ~ ">" if column.is_optional else column.schema }},
{% endfor %}
        version -> BigInt,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}
