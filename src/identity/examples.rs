//! Example values for the API description.

use mainstay_kernel::http::openapi::examples::Example;
use serde_json::json;

const CUSTOMER: &str = "0197b5ea-51d0-7f4c-b6d5-93a1c8e0f417";
const ADMIN: &str = "01979ef8-6b0a-7c11-9d3e-2f5b8a7c4e60";
const MEMBER: &str = "0197b5eb-07f4-7a39-8c5e-6f0d21b7a984";
const INVITATION: &str = "0197b5f2-4c6e-7d10-a9b3-1e8f5c2d7046";
const SESSION: &str = "0197b5ef-8812-7660-b1f9-c0ffee5e5510";
const ROLE: &str = "0197b5f2-40aa-7e19-8d27-5b1c9e0f7a31";
const DELETION: &str = "0197b601-5d3e-7c42-8f19-2a6b7c8d9e0f";
const DATA_EXPORT: &str = "0197b602-1f7a-7b35-9c48-d1e2f3a4b5c6";
const LINKED_IDENTITY: &str = "0197b603-2c8e-7f16-9a4b-c7d8e9f0a1b2";
const PASSKEY: &str = "0197b606-7d2e-7a51-b3c8-4f5a6b7c8d9e";
const DEVICE: &str = "0197b607-4e1c-7b29-8d5f-3a4b5c6d7e8f";
const OAUTH_CLIENT: &str = "0197b608-1a2b-7c3d-8e4f-5a6b7c8d9e0f";
const SERVICE_KEY: &str = "01979f00-3d21-7d5e-8b44-7c6b5a493827";

const ACCOUNT_DOMAIN: &str = "0197b606-3d2e-7f59-b4a7-9c0d1e2f3a4b";
const ACCOUNT_PROVIDER: &str = "0197b608-4d3e-7a15-9b26-8c7d6e5f4a3b";
const IMPERSONATION: &str = "0197b605-2c1d-7e48-a3f6-8b9c0d1e2f3a";

/// Returns the example of a field, by its message and its name.
pub(super) fn by_name(message: &str, field: &str) -> Option<Example> {
    Some(match (message, field) {
        ("BatchGetUsersRequest", "ids") => json!(CUSTOMER).into(),
        ("AccountDomain", "id") | (_, "account_domain_id") => json!(ACCOUNT_DOMAIN).into(),
        ("AccountDomain" | "CreateAccountDomainRequest", "domain") => json!("engines.example").into(),
        ("AccountDomain", "state") => json!("ACCOUNT_DOMAIN_STATE_VERIFIED").into(),
        ("AccountDomain", "record_name") => json!("_mainstay-challenge.engines.example").into(),
        ("AccountDomain", "record_value") => json!("mainstay-verification=11111111222222223333333344444444").into(),
        ("AccountDomain", "failed_checks") => json!(0).into(),
        ("AccountDomain", "verify_time") => json!("2026-03-02T08:20:11Z").into(),
        (_, "collection") => json!("Users").into(),
        (_, "resource_id") => json!(CUSTOMER).into(),
        ("QueryScimResourcesRequest", "filter") => json!("userName eq \"ada@engines.example\"").into(),
        ("QueryScimResourcesRequest", "start_index") => json!(1).into(),
        ("QueryScimResourcesRequest", "count") => json!(100).into(),
        (_, "attributes") => json!("userName,active").into(),
        (_, "excluded_attributes") => json!("members").into(),
        ("AccountProvider", "id") | (_, "account_provider_id") => json!(ACCOUNT_PROVIDER).into(),
        ("AccountProvider" | "CreateAccountProviderRequest", "issuer") => json!("https://id.engines.example").into(),
        ("AccountProvider" | "CreateAccountProviderRequest", "client_id") => json!("mainstay").into(),
        (_, "client_secret") => json!("q7v0Zk3yT1n8XcW5").into(),
        ("AccountProvider", "has_client_secret") => json!(true).into(),
        (_, "display_name") if message.contains("AccountProvider") => json!("Engines").into(),
        (_, "enforced") => json!(false).into(),
        (_, "groups_claim") => json!("groups").into(),
        ("AccountProviderGroup", "group") => json!("engineers").into(),
        ("AccountProviderGroup", "role") => json!("MEMBER_ROLE_ADMIN").into(),
        (_, "default_role") => json!("MEMBER_ROLE_MEMBER").into(),
        ("AccountProvider", "redirect_uri") => {
            json!("https://shop.example/auth/oidc/0197b608-4d3e-7a15-9b26-8c7d6e5f4a3b/callback").into()
        }
        ("OauthClient", "id") | (_, "oauth_client_id") if message != "Session" => json!(OAUTH_CLIENT).into(),
        ("Session", "oauth_client_id") => Example::Omitted,
        ("OauthClient" | "CreateOauthClientRequest" | "OauthClientPatch", "name") | (_, "client_name") => {
            json!("Ticket reports").into()
        }
        (_, "redirect_uris") => json!("https://reports.example/callback").into(),
        (_, "post_logout_redirect_uris") => json!("https://reports.example/signed-out").into(),
        (_, "grant_types") => json!("OAUTH_GRANT_TYPE_AUTHORIZATION_CODE").into(),
        ("OauthClient" | "CreateOauthClientRequest" | "OauthClientPatch" | "OauthConsent", "scopes") => {
            json!("support.tickets.read").into()
        }
        (_, "confidential") => json!(true).into(),
        (_, "first_party") => json!(false).into(),
        ("OauthClient", "earlier_secret_expire_time") => Example::Omitted,
        ("OauthClient" | "CreateOauthClientRequest", "account_id") => Example::Omitted,
        ("RotateOauthClientSecretRequest", "overlap_seconds") => json!(86_400).into(),
        ("CreateOauthClientResponse" | "RotateOauthClientSecretResponse", "secret") => {
            json!("mcs_2fJw9bR4tYp6LqXz").into()
        }
        ("Member", "id") | (_, "member_id") => json!(MEMBER).into(),
        ("Invitation", "id") | (_, "invitation_id") => json!(INVITATION).into(),
        ("Deletion", "id") | (_, "deletion_id") => json!(DELETION).into(),
        ("Deletion" | "CreateDeletionRequest" | "ListDeletionsRequest", "account_id") => Example::Omitted,
        ("Deletion" | "ListDeletionsRequest", "state") => json!("DELETION_STATE_DONE").into(),
        ("Deletion", "finish_time") => json!("2026-03-16T08:15:41Z").into(),
        (_, "requested_by") => json!(CUSTOMER).into(),
        (_, "erase_time") => json!("2026-03-16T08:15:30Z").into(),
        ("ErasedTable", "table") => json!("email_changes").into(),
        ("ErasedTable", "action") => json!("ERASURE_ACTION_ERASED").into(),
        ("ErasedTable", "rows") => json!("2").into(),
        ("ErasedTable", "reason") => json!("").into(),
        ("User" | "Account", "deletion_time") => Example::Omitted,
        (_, "session_idle_seconds") => json!(3600).into(),
        (_, "session_max_age_seconds") => json!(28_800).into(),
        ("DataExport", "id") | (_, "data_export_id") => json!(DATA_EXPORT).into(),
        ("DataExport" | "CreateDataExportRequest", "account_id") => Example::Omitted,
        ("DataExport", "state") => json!("DATA_EXPORT_STATE_SUCCEEDED").into(),
        ("DataExport", "items_total" | "items_done") => json!("27").into(),
        ("DataExport", "finish_time") => json!("2026-03-02T08:15:41Z").into(),
        ("DataExport", "expire_time") => json!("2026-03-09T08:15:41Z").into(),
        ("DataExport", "size_bytes") => json!("18342").into(),
        ("DataExport", "download_url") => {
            json!("/archives/5e2f8c4a-9071-8a02-b7a1-9e447c81a0b7?expires=1772439941&signature=q7v0Zk3yT1n8XcW5").into()
        }
        (_, "custom_role_id") => Example::Omitted,
        (
            "Member"
            | "MemberPatch"
            | "Membership"
            | "Invitation"
            | "InvitationPreview"
            | "CreateInvitationRequest"
            | "AccountDomain"
            | "CreateAccountDomainRequest",
            "role",
        ) => json!("MEMBER_ROLE_MEMBER").into(),
        ("ListMembersRequest", "roles") => json!("MEMBER_ROLE_OWNER").into(),
        ("Account" | "AccountPatch" | "CreateAccountRequest", "name") => json!("Analytical Engines Ltd").into(),
        ("ListAccountsRequest", "name_prefix") => json!("Analytical").into(),
        (_, "invited_by") => json!(CUSTOMER).into(),
        (_, "inviter_name") => json!("Ada Lovelace").into(),
        (_, "is_registered") => json!(false).into(),
        ("ServiceKey" | "CreateServiceKeyRequest", "account_id") | ("ServiceKey", "user_id") => Example::Omitted,
        ("LinkedIdentity", "id") | (_, "linked_identity_id") => json!(LINKED_IDENTITY).into(),
        ("Passkey", "id") | (_, "passkey_id") => json!(PASSKEY).into(),
        ("Passkey" | "ConfirmPasskeyRequest" | "RenamePasskeyRequest", "name") => json!("Phone").into(),
        ("Passkey", "synced") => json!(true).into(),
        ("Passkey" | "RememberedDevice", "use_time") => json!("2026-03-02T09:41:07Z").into(),
        ("PasskeyCeremony" | "ConfirmPasskeyRequest" | "LoginWithPasskeyRequest" | "PasskeyProof", "token") => {
            json!("mpc_AZe17kz0f8qJx2Yd").into()
        }
        ("PasskeyCeremony", "options") => json!(r#"{"challenge":"q7v0Zk3yT1n8XcW5","rpId":"shop.example"}"#).into(),
        (_, "credential") => json!(r#"{"rawId":"q7v0Zk3yT1n8XcW5","response":{}}"#).into(),
        (_, "passkey" | "passkey_options") if message != "AddedPasskey" => Example::Omitted,
        ("MailLogin" | "LoginWithMailRequest", "binding") => json!("mmb_AZe17kz0f8qJx2Yd").into(),
        ("LoginWithMailRequest", "token") => Example::Omitted,
        ("LoginWithMailRequest", "code") => json!("49203917").into(),
        ("ListSignInProvidersResponse", "mail") => json!(true).into(),
        ("SecondFactor", "totp") => json!(true).into(),
        ("SecondFactor", "passkeys") => json!(1).into(),
        ("LinkedIdentity", "provider") | ("SignInProvider", "name") => json!("google").into(),
        ("LinkedIdentity", "issuer") => json!("https://accounts.google.com").into(),
        ("SignInProvider", "label") => json!("Google").into(),
        ("Impersonation", "id") | (_, "impersonation_id") => json!(IMPERSONATION).into(),
        (_, "impersonator_id") => json!(ADMIN).into(),
        ("Impersonation" | "StartImpersonationRequest", "reason") => json!("Ticket 4711: the list is empty").into(),
        ("StartImpersonationRequest", "minutes") => json!(15).into(),
        (_, "allow_writes" | "allows_writes") => json!(false).into(),
        ("RememberedDevice", "expire_time") => json!("2026-03-31T09:41:07Z").into(),
        ("Impersonation", "expire_time") => json!("2026-03-02T08:30:30Z").into(),
        ("Impersonation", "end_time") => Example::Omitted,
        ("User", "id") | (_, "user_id") => json!(CUSTOMER).into(),
        ("Session", "id") | (_, "session_id") => json!(SESSION).into(),
        ("ServiceKey", "id") | (_, "service_key_id") => json!(SERVICE_KEY).into(),
        ("ServiceKey" | "CreateServiceKeyRequest", "kind") => json!("SERVICE_KEY_KIND_PLATFORM").into(),
        ("ServiceKey" | "CreateServiceKeyRequest", "allowed_networks") => json!("203.0.113.0/24").into(),
        ("ServiceKey", "last_use_time") => json!("2026-03-02T09:41:07Z").into(),
        ("ServiceKey", "earlier_secret_expire_time") => Example::Omitted,
        ("RotateServiceKeyRequest", "overlap_seconds") => json!(86_400).into(),
        ("Role", "id") | (_, "role_id") => json!(ROLE).into(),
        ("User" | "SetUserRoleRequest", "staff_role_id") => Example::Omitted,
        ("Role" | "CreateRoleRequest" | "RolePatch", "name") => json!("Support lead").into(),
        ("Role" | "CreateRoleRequest" | "RolePatch", "description") => json!("Answers and exports tickets").into(),
        ("Role" | "CreateRoleRequest" | "RolePatch" | "MyAccess", "scopes") => json!("support.tickets.export").into(),
        ("Role", "built_in") => json!(false).into(),
        ("ServiceKey" | "CreateServiceKeyRequest", "name") => json!("billing-sync").into(),
        ("ServiceKey" | "CreateServiceKeyRequest", "scopes") => json!("support.tickets.read").into(),
        (_, "created_by") => json!(ADMIN).into(),
        ("SetUserRoleRequest", "role") => json!("ROLE_AGENT").into(),
        (_, "language") => json!("de").into(),
        ("User", "avatar_url") => json!("/avatars/5e2f8c4a-9071-8a02-b7a1-9e447c81a0b7/256").into(),
        ("User", "role") => json!("ROLE_CUSTOMER").into(),
        ("User" | "ListUsersRequest", "state") => json!("USER_STATE_ACTIVE").into(),
        ("User", "deactivate_time" | "deactivation_reason") => Example::Omitted,
        ("DeactivateUserRequest", "reason") => json!("Left the company").into(),
        (_, "current_password") => json!("measure twice, cut once").into(),
        ("ServiceKey" | "CreateServiceKeyRequest" | "RotateServiceKeyRequest", "expire_time") => {
            json!("2026-12-31T23:59:59Z").into()
        }
        (_, "password") => json!("correct horse battery staple").into(),
        (_, "account_name") => json!("Analytical Engines Ltd").into(),
        ("SecondFactorChallenge", "token") | (_, "challenge_token") => json!("mch_AZe17kz0f8qJx2Yd").into(),
        (_, "remember_seconds") => json!(2_592_000).into(),
        (_, "remember_device") => json!(true).into(),
        ("RememberedDevice", "id") | (_, "device_id") => json!(DEVICE).into(),
        (_, "code") => json!("492039").into(),
        ("TotpSecret", "secret") => json!("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").into(),
        ("TotpSecret", "uri") => {
            json!("otpauth://totp/Mainstay:ada%40example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Mainstay")
        }
        .into(),
        (_, "recovery_codes") => json!("k4qd-7xw2-mjrb-za3e").into(),
        (_, "recovery_codes_left") => json!(10).into(),
        ("User", "second_factor_time")
        | ("SecondFactor", "reset_time")
        | ("LoginResponse" | "LoginWithMailResponse", "challenge") => Example::Omitted,
        (_, "require_second_factor" | "second_factor_required") => json!(false).into(),
        (_, "token" | "refresh_token") => json!("mrt_q7v0Zk3yT1n8XcW5").into(),
        (_, "device_token") => json!("mdv_8Jc2mQz5RkT0wYpN").into(),
        (_, "access_token") => json!("eyJhbGciOiJFZERTQSJ9.eyJyb2xlIjoiY3VzdG9tZXIifQ.MEUCIQ").into(),
        (_, "token_type") => json!("Bearer").into(),
        (_, "expires_in") => json!(900).into(),
        (_, "secret") => json!("msk_2fJw9bR4tYp6LqXz").into(),
        (_, "user_agent") => json!("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0").into(),
        (_, "ip_address") => json!("203.0.113.7").into(),
        (_, "current") => json!(true).into(),
        (_, "refresh_time") => json!("2026-03-02T09:41:07Z").into(),
        ("ServiceKey", "revoke_time") => Example::Omitted,
        _ => return None,
    })
}
