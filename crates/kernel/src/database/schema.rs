//! diesel's definitions of the kernel's tables.

diesel::table! {
    attempt_limits (key_hash) { key_hash -> Binary, arrives_at -> Timestamptz, }
}
diesel::table! {
    audit_chain (is_only) {
        is_only -> Bool, number -> BigInt, hash -> Binary, link_id -> Uuid, writer -> BigInt, entry_id -> Uuid,
    }
}
diesel::table! {
    audit_entries (id) {
        id -> Uuid, writer -> BigInt, method -> Text, outcome -> SmallInt, actor_kind -> SmallInt,
        actor_id -> Nullable<Uuid>, account_id -> Nullable<Uuid>, resource_kind -> Text,
        resource_id -> Nullable<Uuid>, request_id -> Nullable<Text>, changes -> Json, salt -> Nullable<Binary>,
        personal -> Nullable<Json>, personal_digest -> Nullable<Binary>,
    }
}
diesel::table! {
    audit_links (id) {
        id -> Uuid, number -> BigInt, entry_id -> Uuid, digest -> Binary, hash -> Binary, seal -> Nullable<Binary>,
    }
}
diesel::table! {
    changes (writer, number) {
        writer -> BigInt, number -> BigInt, topic -> Text, resource_id -> Uuid, account_id -> Uuid,
        principal_id -> Nullable<Uuid>, version -> BigInt, is_deleted -> Bool, noted_at -> Timestamptz,
    }
}
diesel::table! {
    effects (id) {
        id -> Uuid, kind -> Text, resource_id -> Uuid, request -> Json, attempts -> Integer,
        lookup_at -> Nullable<Timestamptz>, repeat_until -> Nullable<Timestamptz>, created_at -> Timestamptz,
    }
}
diesel::table! {
    jobs (id) {
        id -> BigInt, kind -> Text, key -> Text, serial_key -> Nullable<Text>, payload -> Json,
        traceparent -> Nullable<Text>,
        due_at -> Timestamptz, attempts -> Integer, max_attempts -> Integer, lease -> Nullable<Uuid>,
        last_error -> Nullable<Text>, dead_at -> Nullable<Timestamptz>, created_at -> Timestamptz,
    }
}
diesel::table! {
    idempotency_keys (scope_hash) {
        scope_hash -> Binary, fingerprint -> Binary, error_code -> Nullable<Text>, answer -> Nullable<Binary>,
        operation_id -> Nullable<Uuid>, visibility -> Binary, created_at -> Timestamptz,
    }
}
diesel::table! {
    scheduled_tasks (name) {
        name -> Text, last_started_at -> Nullable<Timestamptz>, last_finished_at -> Nullable<Timestamptz>,
        last_succeeded_at -> Nullable<Timestamptz>, last_error -> Nullable<Text>,
    }
}
