//! diesel's definitions of the kernel's tables.

diesel::table! {
    attempt_limits (key_hash) { key_hash -> Binary, arrives_at -> Timestamptz, }
}
diesel::table! {
    changes (writer, number) {
        writer -> BigInt, number -> BigInt, topic -> Text, resource_id -> Uuid, account_id -> Uuid,
        principal_id -> Nullable<Uuid>, version -> BigInt, is_deleted -> Bool, noted_at -> Timestamptz,
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
