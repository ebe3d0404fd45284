//! The tables with data about people and accounts.

use mainstay_kernel::personal::{ANONYMOUS, BATCH, Personal};

use crate::identity::{data_export::ops as data_export, member::store as members, user::ops as user};

/// No password has this hash.
const ANONYMIZE_USER: &str = "email = 'erased-' || id || '@erased.invalid', name = 'Deleted user', language = 'en', role = 1, \
    staff_role_id = NULL, second_factor_at = NULL, version = version + 1, \
    password_hash = '$argon2id$v=19$m=7168,t=5,p=1$N2ViOTQ2YzE3ZGYwNTFhYg$k1x0rM3TzJv3eQm7cX3o1s5sZs1o9lW9bBq8m4aX2yE'";

pub(super) const TABLES: [Personal; 53] = [
    // Before the memberships, with which personal access tokens end.
    Personal::of_account("service_keys", "account_id").erased(),
    Personal::of_user("service_keys", "user_id").erased(),
    Personal::of_user("service_keys", "created_by").kept(ANONYMOUS),
    Personal::of_account("members", "account_id")
        .erased_by(|connection, account, _| Box::pin(members::erase(connection, account, BATCH))),
    Personal::of_user("members", "user_id")
        .erased_by(|connection, user, _| Box::pin(members::erase(connection, user, BATCH))),
    Personal::of_account("invitations", "account_id").erased(),
    Personal::of_user("invitations", "invited_by").erased().not_exported(),
    Personal::of_user("invitations", "email").matching("email = (SELECT email FROM users WHERE id = $1)").erased(),
    Personal::of_account("roles", "account_id").erased(),
    Personal::of_account("account_domains", "account_id").erased(),
    // The row has a sealed secret.
    Personal::of_account("account_providers", "account_id").erased().not_exported(),
    Personal::of_account("domain_exclusions", "account_id").erased().not_exported(),
    Personal::of_user("domain_exclusions", "user_id")
        .kept("The row keeps a removed member from joining by the mail domain again, and has a hash of the address.")
        .not_exported(),
    Personal::of_account("scim_group_members", "account_id").erased(),
    Personal::of_user("scim_group_members", "user_id").erased(),
    Personal::of_account("scim_groups", "account_id").erased(),
    Personal::of_account("scim_users", "account_id").erased(),
    Personal::of_user("scim_users", "user_id").erased(),
    Personal::of_user("registrations", "email").matching("email = (SELECT email FROM users WHERE id = $1)").erased(),
    Personal::of_user("password_resets", "user_id").erased(),
    Personal::of_user("email_changes", "user_id").erased(),
    Personal::of_user("email_changes", "new_email").matching("user_id = $1").erased().not_exported(),
    Personal::of_user("email_changes", "old_email").matching("user_id = $1").erased().not_exported(),
    Personal::of_user("mail_logins", "user_id").erased().not_exported(),
    Personal::of_user("mail_logins", "email")
        .matching("email = (SELECT email FROM users WHERE id = $1)")
        .erased()
        .not_exported(),
    Personal::of_user("second_factors", "user_id").erased().not_exported(),
    Personal::of_user("passkeys", "user_id").erased(),
    Personal::of_user("remembered_devices", "user_id").erased(),
    Personal::of_user("remembered_devices", "ip_address").matching("user_id = $1").erased().not_exported(),
    Personal::of_user("sessions", "user_id").erased(),
    Personal::of_user("sessions", "ip_address").matching("user_id = $1").erased().not_exported(),
    Personal::of_account("sessions", "account_id").erased().not_exported(),
    Personal::of_account("oauth_clients", "account_id").erased(),
    Personal::of_user("oauth_codes", "user_id").erased().not_exported(),
    Personal::of_user("oauth_devices", "user_id").erased().not_exported(),
    Personal::of_user("oauth_devices", "ip_address").matching("user_id = $1").erased().not_exported(),
    Personal::of_user("oauth_consents", "user_id").erased(),
    Personal::of_user("linked_identities", "user_id").erased(),
    Personal::of_user("linked_identities", "email").matching("user_id = $1").erased().not_exported(),
    // Refused sign-ins, invitations, memberships and orders name the address. It is anonymized later.
    Personal::of_user("audit_entries", "actor_id")
        .matching(
            "personal #>> '{fields,email,after}' = (SELECT email FROM users WHERE id = $1) OR \
             coalesce(personal #>> '{fields,email,before}', lower(personal #>> '{fields,confirmationEmail,after}')) \
                 = (SELECT email FROM users WHERE id = $1)",
        )
        .anonymized("salt = NULL, personal = NULL", "salt IS NOT NULL")
        .not_exported(),
    Personal::of_user("impersonations", "user_id").erased(),
    Personal::of_account("impersonations", "account_id").erased(),
    Personal::of_user("impersonations", "impersonator_id").kept(ANONYMOUS),
    Personal::of_user("data_exports", "user_id")
        .erased_by(|connection, user, now| Box::pin(data_export::erase(connection, user, now))),
    Personal::of_account("data_exports", "account_id")
        .erased_by(|connection, account, now| Box::pin(data_export::erase(connection, account, now))),
    Personal::of_user("deletions", "user_id").kept("It is the report of the erasure."),
    Personal::of_account("deletions", "account_id").kept("It is the report of the erasure."),
    Personal::of_user("deletions", "requested_by").kept(ANONYMOUS).not_exported(),
    Personal::of_user("deletion_notices", "user_id").kept("The address is removed a day after the last mail."),
    Personal::of_user("deletion_notices", "email")
        .matching("user_id = $1")
        .kept("The address is removed a day after the last mail.")
        .not_exported(),
    Personal::of_user("users", "avatar_id")
        .matching("id = $1")
        .erased_by(|connection, id, now| Box::pin(user::erase_avatar(connection, id, now)))
        .not_exported(),
    Personal::of_user("users", "email")
        .matching("id = $1")
        .anonymized(ANONYMIZE_USER, "email <> 'erased-' || id || '@erased.invalid'")
        .last(),
    Personal::of_account("accounts", "name")
        .matching("id = $1")
        .anonymized("name = 'Deleted account', version = version + 1", "name <> 'Deleted account'")
        .last(),
];
