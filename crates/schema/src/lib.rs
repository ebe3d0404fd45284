//! The tables as diesel sees them; `tests/it/contract/schema.rs` compares them with the migrated database.

#![expect(missing_docs, reason = "the columns are documented in migrations/")]

diesel::table! {
    accounts (id) {
        id -> Uuid, name -> Text, created_at -> Timestamptz, version -> BigInt, updated_at -> Timestamptz,
        deletion_at -> Nullable<Timestamptz>, requires_second_factor -> Bool,
        session_idle_seconds -> Nullable<Integer>, session_max_age_seconds -> Nullable<Integer>,
    }
}
diesel::table! {
    members (id) {
        id -> Uuid, account_id -> Uuid, user_id -> Uuid, role -> Nullable<SmallInt>, custom_role_id -> Nullable<Uuid>,
        version -> BigInt, created_at -> Timestamptz, updated_at -> Timestamptz,
    }
}
diesel::table! {
    invitations (id) {
        id -> Uuid, account_id -> Uuid, email -> Text, role -> Nullable<SmallInt>, custom_role_id -> Nullable<Uuid>,
        invited_by -> Uuid, token_hash -> Nullable<Binary>, version -> BigInt, created_at -> Timestamptz,
        updated_at -> Timestamptz, expires_at -> Timestamptz,
    }
}
diesel::table! {
    users (id) {
        id -> Uuid, email -> Text, name -> Text, role -> SmallInt, language -> Text,
        password_hash -> Text, session_epoch -> Integer, avatar_id -> Nullable<Uuid>, version -> BigInt, created_at -> Timestamptz,
        updated_at -> Timestamptz, deactivated_at -> Nullable<Timestamptz>, deactivation_reason -> Nullable<Text>,
        kept_session_id -> Nullable<Uuid>, staff_role_id -> Nullable<Uuid>, deletion_at -> Nullable<Timestamptz>,
        second_factor_at -> Nullable<Timestamptz>, has_password -> Bool, email_confirmed_at -> Nullable<Timestamptz>,
    }
}
diesel::table! {
    account_domains (id) {
        id -> Uuid, account_id -> Uuid, domain -> Text, role -> SmallInt, token -> Text, state -> SmallInt,
        failures -> SmallInt, verified_at -> Nullable<Timestamptz>, due_at -> Nullable<Timestamptz>, version -> BigInt,
        created_at -> Timestamptz, updated_at -> Timestamptz,
    }
}
diesel::table! {
    account_providers (id) {
        id -> Uuid, account_id -> Uuid, issuer -> Text, client_id -> Text, client_secret -> Nullable<Binary>,
        display_name -> Text, enforced_at -> Nullable<Timestamptz>, groups_claim -> Text, group_names -> Array<Text>,
        group_roles -> Array<Text>, default_role -> SmallInt, version -> BigInt, created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}
diesel::table! {
    domain_exclusions (account_id, user_id) {
        account_id -> Uuid, user_id -> Uuid, address_hash -> Binary,
    }
}
diesel::table! {
    scim_users (account_id, user_id) {
        account_id -> Uuid, user_id -> Uuid, external_id -> Nullable<Text>, role -> Nullable<SmallInt>,
        custom_role_id -> Nullable<Uuid>, version -> BigInt, created_at -> Timestamptz, updated_at -> Timestamptz,
    }
}
diesel::table! {
    scim_groups (id) {
        id -> Uuid, account_id -> Uuid, name -> Text, external_id -> Nullable<Text>, version -> BigInt,
        created_at -> Timestamptz, updated_at -> Timestamptz,
    }
}
diesel::table! {
    scim_group_members (group_id, user_id) {
        account_id -> Uuid, group_id -> Uuid, user_id -> Uuid,
    }
}
diesel::table! {
    audit_export (is_only) {
        is_only -> Bool, link_id -> Uuid, number -> BigInt, sent_at -> Nullable<Timestamptz>,
    }
}
diesel::table! {
    deletions (id) {
        id -> Uuid, user_id -> Nullable<Uuid>, account_id -> Nullable<Uuid>, with_deletion_id -> Nullable<Uuid>,
        requested_by -> Uuid, state -> SmallInt, erase_at -> Timestamptz, created_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
    }
}
diesel::table! {
    deletion_notices (id) {
        id -> Uuid, deletion_id -> Uuid, user_id -> Uuid, email -> Text, language -> Text, token_hash -> Nullable<Binary>,
    }
}
diesel::table! {
    erased_rows (deletion_id, table_name, action, reason) {
        deletion_id -> Uuid, table_name -> Text, action -> SmallInt, rows -> BigInt, reason -> Text,
    }
}
diesel::table! {
    data_exports (id) {
        id -> Uuid, user_id -> Uuid, account_id -> Nullable<Uuid>, state -> SmallInt, items_total -> BigInt,
        items_done -> BigInt, archive_id -> Nullable<Uuid>, size_bytes -> Nullable<BigInt>, created_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>, expires_at -> Nullable<Timestamptz>,
    }
}
diesel::table! {
    roles (id) {
        id -> Uuid, account_id -> Nullable<Uuid>, name -> Text, description -> Text, scopes -> Array<Text>, version -> BigInt,
        created_at -> Timestamptz, updated_at -> Timestamptz, session_idle_seconds -> Nullable<Integer>,
        session_max_age_seconds -> Nullable<Integer>,
    }
}
diesel::table! {
    service_keys (id) {
        id -> Uuid, name -> Text, secret_hash -> Binary, scopes -> Array<Text>, created_by -> Uuid,
        created_at -> Timestamptz, expires_at -> Nullable<Timestamptz>, revoked_at -> Nullable<Timestamptz>,
        account_id -> Nullable<Uuid>, member_id -> Nullable<Uuid>, user_id -> Nullable<Uuid>, version -> BigInt,
        allowed_networks -> Array<Text>, known_networks -> Array<Text>, last_used_at -> Nullable<Timestamptz>,
        earlier_secret_hash -> Nullable<Binary>, earlier_expires_at -> Nullable<Timestamptz>,
    }
}
diesel::table! {
    impersonations (id) {
        id -> Uuid, user_id -> Uuid, account_id -> Uuid, impersonator_id -> Uuid, reason -> Text, allows_writes -> Bool,
        created_at -> Timestamptz, expires_at -> Timestamptz, ended_at -> Nullable<Timestamptz>,
    }
}
diesel::table! {
    signing_keys (id) {
        id -> Text, private_key -> Binary, public_key -> Binary, created_at -> Timestamptz, signs_from -> Timestamptz,
        retired_at -> Nullable<Timestamptz>,
    }
}
diesel::table! {
    revocations (subject) {
        subject -> Uuid, epoch -> Nullable<Integer>, revoked_at -> Timestamptz, kept_session_id -> Nullable<Uuid>,
    }
}
diesel::table! {
    registrations (id) {
        id -> Uuid, email -> Text, token_hash -> Nullable<Binary>, language -> Text, expires_at -> Timestamptz,
    }
}
diesel::table! {
    email_changes (id) {
        id -> Uuid, user_id -> Uuid, new_email -> Text, session_epoch -> Integer, token_hash -> Nullable<Binary>,
        old_email -> Nullable<Text>, confirmed_at -> Nullable<Timestamptz>, expires_at -> Timestamptz,
    }
}
diesel::table! {
    mail_logins (id) {
        id -> Uuid, email -> Text, binding_hash -> Binary, user_id -> Nullable<Uuid>, session_epoch -> Nullable<Integer>,
        token_hash -> Nullable<Binary>, wrong_codes -> SmallInt, expires_at -> Timestamptz,
    }
}
diesel::table! {
    sign_ins (hour, outcome, slot) { hour -> Timestamptz, outcome -> SmallInt, slot -> SmallInt, attempts -> BigInt, }
}
diesel::table! {
    second_factors (user_id) {
        user_id -> Uuid, secret -> Binary, last_step -> BigInt, recovery_codes -> Array<Binary>,
        reset_at -> Nullable<Timestamptz>,
    }
}
diesel::table! {
    sessions (id) {
        id -> Uuid, user_id -> Uuid, epoch -> Integer, generation -> BigInt, account_id -> Nullable<Uuid>,
        member_id -> Nullable<Uuid>, authenticated_at -> Timestamptz, method -> SmallInt, has_second_factor -> Bool,
        user_agent -> Text, ip_address -> Text, created_at -> Timestamptz, refreshed_at -> Timestamptz,
        expires_at -> Timestamptz, ended -> Bool, version -> BigInt, provider_id -> Nullable<Uuid>,
        client_id -> Nullable<Uuid>,
        client_scopes -> Nullable<Array<Text>>, longest_pause_seconds -> Integer,
        proved_at -> Nullable<Timestamptz>,
    }
}
diesel::table! {
    oauth_clients (id) {
        id -> Uuid, name -> Text, redirect_uris -> Array<Text>, grant_types -> Array<SmallInt>, scopes -> Array<Text>,
        is_first_party -> Bool, secret_hash -> Nullable<Binary>, earlier_secret_hash -> Nullable<Binary>,
        earlier_expires_at -> Nullable<Timestamptz>, version -> BigInt, created_at -> Timestamptz,
        updated_at -> Timestamptz, account_id -> Nullable<Uuid>, post_logout_redirect_uris -> Array<Text>,
        credentials_epoch -> Integer,
    }
}
diesel::table! {
    oauth_codes (code_hash) {
        code_hash -> Binary, client_id -> Uuid, user_id -> Uuid, session_id -> Uuid, member_id -> Nullable<Uuid>,
        redirect_uri -> Text, scopes -> Array<Text>, nonce -> Nullable<Text>, challenge -> Binary,
        expires_at -> Timestamptz, grant_id -> Nullable<Uuid>,
    }
}
diesel::table! {
    oauth_consents (user_id, client_id) {
        user_id -> Uuid, client_id -> Uuid, scopes -> Array<Text>, created_at -> Timestamptz, updated_at -> Timestamptz,
    }
}
diesel::table! {
    oauth_devices (code_hash) {
        code_hash -> Binary, user_code_mac -> Binary, client_id -> Uuid, scopes -> Array<Text>, ip_address -> Text,
        created_at -> Timestamptz, expires_at -> Timestamptz, interval_seconds -> SmallInt,
        polled_at -> Nullable<Timestamptz>, is_allowed -> Nullable<Bool>, user_id -> Nullable<Uuid>,
        session_id -> Nullable<Uuid>, member_id -> Nullable<Uuid>, grant_id -> Nullable<Uuid>,
    }
}
diesel::table! {
    passkeys (id) {
        id -> Uuid, user_id -> Uuid, name -> Text, credential_id -> Binary, public_key -> Binary, algorithm -> Integer,
        counter -> BigInt, transports -> Array<Text>, is_synced -> Bool, created_at -> Timestamptz,
        used_at -> Nullable<Timestamptz>,
    }
}
diesel::table! {
    remembered_devices (id) {
        id -> Uuid, user_id -> Uuid, device_hash -> Binary, session_epoch -> Integer, user_agent -> Text, ip_address -> Text,
        created_at -> Timestamptz, used_at -> Nullable<Timestamptz>, expires_at -> Timestamptz,
    }
}
diesel::table! {
    linked_identities (id) {
        id -> Uuid, user_id -> Uuid, issuer -> Text, subject -> Text, email -> Nullable<Text>, created_at -> Timestamptz,
        provider_id -> Nullable<Uuid>,
    }
}
diesel::table! {
    password_resets (token_hash) {
        token_hash -> Binary, user_id -> Uuid, expires_at -> Timestamptz, used_at -> Nullable<Timestamptz>,
    }
}
diesel::table! {
    tickets (id) {
        id -> Uuid, account_id -> Uuid, requester_id -> Nullable<Uuid>, subject -> Text, body -> Text, kind -> SmallInt,
        status -> SmallInt, priority -> SmallInt, queue -> Text, language -> Text, tags -> Array<Text>,
        attachment_ids -> Array<Uuid>, assignee_id -> Nullable<Uuid>, version -> BigInt, created_at -> Timestamptz, updated_at -> Timestamptz,
        resolved_at -> Nullable<Timestamptz>, merged_into_id -> Nullable<Uuid>,
    }
}
diesel::table! {
    comments (id) {
        id -> Uuid, ticket_id -> Uuid, author_id -> Nullable<Uuid>, author_role -> SmallInt, body -> Text,
        attachment_ids -> Array<Uuid>, created_at -> Timestamptz, edited_at -> Nullable<Timestamptz>,
        is_internal -> Bool,
    }
}
diesel::table! {
    activities (id) {
        id -> Uuid, ticket_id -> Uuid, actor_id -> Nullable<Uuid>, actor_role -> SmallInt, kind -> SmallInt,
        detail -> Text, created_at -> Timestamptz,
    }
}
diesel::table! {
    ticket_links (id) {
        id -> Uuid, source_id -> Uuid, target_id -> Uuid, kind -> SmallInt, author_id -> Uuid, created_at -> Timestamptz,
    }
}
diesel::table! {
    canned_answers (id) {
        id -> Uuid, name -> Text, body -> Text, author_id -> Uuid, version -> BigInt, created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}
diesel::table! {
    ticket_counts (account_id, assignee_id, status, priority, writer) {
        account_id -> Uuid, assignee_id -> Uuid, status -> SmallInt, priority -> SmallInt, writer -> Integer,
        tickets -> BigInt,
    }
}
diesel::table! {
    operations (id) {
        id -> Uuid, kind -> Nullable<SmallInt>, state -> SmallInt, owner_id -> Uuid, account_id -> Nullable<Uuid>,
        format -> Nullable<SmallInt>,
        rows_total -> BigInt, rows_done -> BigInt, rows_created -> BigInt, rows_known -> BigInt, rows_failed -> BigInt,
        failure_code -> Nullable<Text>, failure_message -> Nullable<Text>, version -> BigInt,
        created_at -> Timestamptz, updated_at -> Timestamptz, finished_at -> Nullable<Timestamptz>, kind_name -> Text,
    }
}
diesel::table! {
    operation_errors (operation_id, line) { operation_id -> Uuid, line -> BigInt, code -> Text, message -> Text, }
}
diesel::table! {
    changed_tickets (operation_id, ticket_id) {
        operation_id -> Uuid, ticket_id -> Uuid, outcome -> SmallInt, undo_id -> Nullable<Uuid>, version -> Nullable<BigInt>,
        status -> Nullable<SmallInt>, kind -> Nullable<SmallInt>, priority -> Nullable<SmallInt>, queue -> Nullable<Text>,
        tags -> Nullable<Array<Text>>, assignee_id -> Nullable<Uuid>,
    }
}
diesel::table! {
    upload_chunks (operation_id, position) { operation_id -> Uuid, position -> Integer, data -> Binary, }
}
diesel::table! {
    imported_rows (account_id, row_hash, occurrence) {
        account_id -> Uuid, row_hash -> Binary, occurrence -> Integer, ticket_id -> Uuid,
    }
}
diesel::table! {
    products (id) {
        id -> Uuid, name -> Text, currency -> Text, price_minor -> BigInt, archived_at -> Nullable<Timestamptz>,
        version -> BigInt, created_at -> Timestamptz, updated_at -> Timestamptz,
        billing_interval -> Nullable<SmallInt>,
    }
}
diesel::table! {
    orders (id) {
        id -> Uuid, number -> BigInt, account_id -> Uuid, placed_by -> Uuid, confirmation_email -> Nullable<Text>,
        currency -> Text, total_minor -> BigInt, status -> SmallInt, payment_id -> Nullable<Uuid>,
        paid_at -> Nullable<Timestamptz>, ended_at -> Nullable<Timestamptz>, version -> BigInt,
        created_at -> Timestamptz, updated_at -> Timestamptz,
    }
}
diesel::table! {
    order_items (order_id, position) {
        order_id -> Uuid, position -> SmallInt, product_id -> Uuid, name -> Text, quantity -> Integer,
        unit_minor -> BigInt,
    }
}
diesel::table! {
    payments (id) {
        id -> Uuid, account_id -> Uuid, order_id -> Uuid, charged_by -> Uuid, gateway -> Text, method -> Text, customer_id -> Nullable<Text>,
        currency -> Text, amount_minor -> BigInt, refunded_minor -> BigInt, status -> SmallInt,
        gateway_id -> Nullable<Text>, failure_kind -> Nullable<SmallInt>, failure_code -> Nullable<Text>,
        failure_message -> Nullable<Text>, attempt -> Integer, attempt_since -> Timestamptz, key_abandoned_at -> Nullable<Timestamptz>,
        leased_until -> Nullable<Timestamptz>, due_at -> Nullable<Timestamptz>, traceparent -> Nullable<Text>, leases -> Integer, version -> BigInt, created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}
diesel::table! {
    refunds (id) {
        id -> Uuid, payment_id -> Uuid, account_id -> Uuid, refunded_by -> Nullable<Uuid>, currency -> Text, amount_minor -> BigInt,
        status -> SmallInt, gateway_id -> Nullable<Text>, failure_kind -> Nullable<SmallInt>,
        failure_code -> Nullable<Text>, failure_message -> Nullable<Text>, attempt -> Integer,
        attempt_since -> Timestamptz, key_abandoned_at -> Nullable<Timestamptz>, leased_until -> Nullable<Timestamptz>, due_at -> Nullable<Timestamptz>, traceparent -> Nullable<Text>, leases -> Integer, version -> BigInt,
        created_at -> Timestamptz, updated_at -> Timestamptz,
    }
}
diesel::table! {
    ledger_transactions (id) {
        id -> Uuid, kind -> SmallInt, payment_id -> Nullable<Uuid>, refund_id -> Nullable<Uuid>,
        subscription_id -> Nullable<Uuid>, reversed_refund_id -> Nullable<Uuid>, gateway_id -> Text,
        debit_account -> SmallInt, credit_account -> SmallInt, currency -> Text, amount_minor -> BigInt, created_at -> Timestamptz,
    }
}
diesel::table! {
    ledger_sums (span, starts_at, currency) {
        span -> SmallInt, starts_at -> Timestamptz, currency -> Text, gross_minor -> BigInt, refunds_minor -> BigInt,
        sales -> BigInt, refunds -> BigInt,
    }
}
diesel::table! {
    ledger_unsummed (transaction_id) {
        transaction_id -> Uuid, starts_at -> Timestamptz, currency -> Text, gross_minor -> BigInt,
        refunds_minor -> BigInt, sales -> BigInt, refunds -> BigInt,
    }
}
diesel::table! {
    sandbox_movements (key) {
        key -> Text, kind -> SmallInt, subject_id -> Uuid, gateway_id -> Text, currency -> Text, amount_minor -> BigInt,
        refusal_code -> Nullable<Text>, created_at -> Timestamptz, charge_id -> Nullable<Text>,
    }
}
diesel::table! {
    subscriptions (id) {
        id -> Uuid, account_id -> Uuid, product_id -> Uuid, product_name -> Text, currency -> Text, price_minor -> BigInt,
        billing_interval -> SmallInt, subscribed_by -> Uuid, gateway -> Text, method -> Text, customer_id -> Nullable<Text>, status -> SmallInt,
        gateway_id -> Nullable<Text>, period_start -> Nullable<Timestamptz>, period_end -> Nullable<Timestamptz>,
        cancel_at_period_end -> Bool, pending_cancellation -> Nullable<SmallInt>,
        cancelled_at -> Nullable<Timestamptz>, failure_kind -> Nullable<SmallInt>, failure_code -> Nullable<Text>,
        failure_message -> Nullable<Text>, last_query -> BigInt, last_answer -> BigInt, next_sync_at -> Nullable<Timestamptz>,
        attempt -> Integer, attempt_since -> Timestamptz, key_abandoned_at -> Nullable<Timestamptz>, leased_until -> Nullable<Timestamptz>, leases -> Integer,
        version -> BigInt, created_at -> Timestamptz, updated_at -> Timestamptz,
    }
}
diesel::table! {
    sandbox_subscriptions (key) {
        key -> Text, gateway_id -> Text, subject_id -> Uuid, method -> Text, currency -> Text, amount_minor -> BigInt,
        billing_interval -> SmallInt, anchor -> Timestamptz, periods -> Integer, past_due -> Bool,
        cancel_at_period_end -> Bool, cancelled_at -> Nullable<Timestamptz>,
    }
}
diesel::table! {
    gateway_customers (account_id, gateway) {
        account_id -> Uuid, gateway -> Text, customer_id -> Text, created_at -> Timestamptz,
    }
}
diesel::table! {
    inbound_events (id) {
        id -> Uuid, provider -> Nullable<SmallInt>, provider_event_id -> Text, kind -> Text, payload -> Binary,
        state -> SmallInt, attempts -> Integer, failure -> Nullable<Text>, version -> BigInt,
        received_at -> Timestamptz, updated_at -> Timestamptz, finished_at -> Nullable<Timestamptz>,
        provider_name -> Nullable<Text>,
    }
}
diesel::table! {
    webhook_endpoints (id) {
        id -> Uuid, account_id -> Nullable<Uuid>, url -> Text, description -> Text, kinds -> Array<Text>,
        status -> SmallInt, failing_since -> Nullable<Timestamptz>, secret -> Binary, old_secret -> Nullable<Binary>,
        old_secret_until -> Nullable<Timestamptz>, version -> BigInt, created_at -> Timestamptz,
        updated_at -> Timestamptz, older_secrets -> Array<Binary>, older_secrets_until -> Array<Timestamptz>,
    }
}
diesel::table! {
    webhook_deliveries (id) {
        id -> Uuid, endpoint_id -> Uuid, event_id -> Uuid, kind -> Text, payload -> Text, state -> SmallInt,
        attempts -> Integer, attempts_since_resend -> Integer, next_attempt_at -> Nullable<Timestamptz>, version -> BigInt,
        created_at -> Timestamptz, updated_at -> Timestamptz,
    }
}
diesel::table! {
    webhook_attempts (delivery_id, number) {
        delivery_id -> Uuid, number -> Integer, started_at -> Timestamptz, duration_ms -> BigInt,
        status -> Nullable<SmallInt>, failure -> Nullable<Text>,
    }
}
diesel::table! {
    mails (id) {
        id -> Uuid, kind -> Nullable<SmallInt>, topic_id -> Uuid, parent_id -> Nullable<Uuid>, state -> SmallInt,
        attempts -> Integer, failure -> Nullable<Text>, leased_until -> Nullable<Timestamptz>, leases -> Integer,
        due_at -> Nullable<Timestamptz>, traceparent -> Nullable<Text>, counted_at -> Nullable<Timestamptz>,
        expires_at -> Timestamptz, created_at -> Timestamptz, finished_at -> Nullable<Timestamptz>,
        kind_name -> Nullable<Text>, is_urgent -> Bool,
    }
}
diesel::table! {
    mail_suppressions (address, reason) { address -> Text, reason -> SmallInt, created_at -> Timestamptz, }
}
diesel::table! {
    posts (id) {
        id -> Uuid, account_id -> Uuid, author_id -> Uuid, slug -> Text, title -> Text, summary -> Text, body -> Text,
        language -> Text, tags -> Array<Text>, status -> SmallInt, version -> BigInt, created_at -> Timestamptz,
        updated_at -> Timestamptz, published_at -> Nullable<Timestamptz>,
    }
}
diesel::table! {
    earlier_post_slugs (slug) { slug -> Text, post_id -> Uuid, }
}
diesel::table! {
    files (id) {
        id -> Uuid, account_id -> Uuid, owner_id -> Uuid, purpose -> SmallInt, status -> SmallInt, name -> Text,
        content_type -> Text, size_bytes -> BigInt, sha256 -> Nullable<Binary>, object_key -> Nullable<Text>,
        version -> BigInt, created_at -> Timestamptz, updated_at -> Timestamptz, expires_at -> Nullable<Timestamptz>,
    }
}
diesel::table! {
    file_links (file_id, parent_id) {
        file_id -> Uuid, parent_id -> Uuid, account_id -> Nullable<Uuid>, is_public -> Bool,
    }
}
diesel::table! {
    file_usage (account_id) { account_id -> Uuid, size_bytes -> BigInt, }
}
diesel::table! {
    stored_objects (key) {
        key -> Text, delete_at -> Nullable<Timestamptz>, is_deleting -> Bool, account_id -> Nullable<Uuid>,
        size_bytes -> Nullable<BigInt>,
    }
}
diesel::table! {
    system_logs (id) {
        slot -> SmallInt, id -> Uuid, logged_at -> Timestamptz, level -> SmallInt, message -> Text,
        method -> Nullable<Text>, request_id -> Nullable<Text>, principal_id -> Nullable<Text>, line -> Text,
        writer -> BigInt, number -> BigInt,
    }
}
diesel::table! {
    system_log_ring (id) { id -> SmallInt, slot -> SmallInt, lines -> BigInt, began_at -> Timestamptz, }
}
diesel::allow_tables_to_appear_in_same_query!(users, members, accounts, revocations, invitations);
diesel::allow_tables_to_appear_in_same_query!(deletions, members);
diesel::allow_tables_to_appear_in_same_query!(account_domains, accounts);
diesel::allow_tables_to_appear_in_same_query!(account_domains, members);
diesel::allow_tables_to_appear_in_same_query!(account_providers, accounts);
diesel::allow_tables_to_appear_in_same_query!(account_providers, members);
diesel::allow_tables_to_appear_in_same_query!(account_providers, users);
diesel::allow_tables_to_appear_in_same_query!(sessions, users);
diesel::allow_tables_to_appear_in_same_query!(sessions, members);
diesel::joinable!(oauth_consents -> oauth_clients (client_id));
diesel::allow_tables_to_appear_in_same_query!(oauth_clients, revocations);
diesel::allow_tables_to_appear_in_same_query!(oauth_consents, oauth_clients);
diesel::joinable!(password_resets -> users (user_id));
diesel::allow_tables_to_appear_in_same_query!(password_resets, users);
diesel::allow_tables_to_appear_in_same_query!(linked_identities, users);
diesel::allow_tables_to_appear_in_same_query!(files, file_links);
diesel::allow_tables_to_appear_in_same_query!(tickets, comments, activities, users);
diesel::joinable!(ledger_transactions -> refunds (refund_id));
diesel::allow_tables_to_appear_in_same_query!(ledger_transactions, refunds);
diesel::joinable!(webhook_deliveries -> webhook_endpoints (endpoint_id));
diesel::allow_tables_to_appear_in_same_query!(webhook_deliveries, webhook_endpoints);
