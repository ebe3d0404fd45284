//! Identity: sign-in, sessions, users, accounts with their members, roles and invitations, and service keys.

pub mod account;
pub mod account_domain;
pub mod account_provider;
pub mod auth;
pub mod breaches;
pub mod config;
pub mod credential;
pub mod data_export;
pub mod deletion;
pub mod directory;
pub mod email_change;
mod examples;
pub mod impersonation;
pub mod invitation;
mod jobs;
pub mod linked_identity;
pub mod mail_login;
pub mod mails;
pub mod member;
pub mod oauth;
pub mod oauth_client;
pub mod passwords;
mod personal;
mod process;
pub mod provider;
pub mod registration;
mod retention;
pub mod revocation;
pub mod role;
pub mod scim;
pub mod second_factor;
pub mod service_key;
pub mod session;
pub mod sign_in;
pub mod signing_key;
pub mod tokens;
pub mod user;

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use mainstay_kernel::{
    app::App,
    audit::Refusals,
    http::envoy::TokenIssuer,
    module::Module,
    rate_limit::Network,
    schedule::{HOUR, MINUTE},
    telemetry::metrics::Metric,
};

use self::{
    account::service::Accounts,
    account_domain::{dns::Dns, service::AccountDomains},
    account_provider::service::AccountProviders,
    auth::{browser, networks::KnownNetworks, service::Auth},
    breaches::Breaches,
    config::IdentityConfig,
    credential::ops::Credentials,
    data_export::{job::ExportData, service::DataExports},
    deletion::{job::EraseData, service::Deletions},
    impersonation::service::Impersonations,
    invitation::service::Invitations,
    linked_identity::service::LinkedIdentities,
    member::service::Members,
    oauth::service::OauthConsents,
    oauth_client::service::OauthClients,
    passwords::Passwords,
    provider::client::Providers,
    role::service::Roles,
    scim::service::ScimResources,
    second_factor::{
        relying_party::RelyingParty,
        service::{SecondFactors, passkey::Passkeys},
    },
    service_key::service::ServiceKeys,
    session::service::SessionRpcs,
    tokens::Tokens,
    user::service::Users,
};
use crate::mail::ops::SendsMail as _;
use crate::proto::{
    DESCRIPTOR_SET,
    identity::v1::{
        account_domain_service_server::AccountDomainServiceServer,
        account_provider_service_server::AccountProviderServiceServer, account_service_server::AccountServiceServer,
        auth_service_server::AuthServiceServer, data_export_service_server::DataExportServiceServer,
        deletion_service_server::DeletionServiceServer, impersonation_service_server::ImpersonationServiceServer,
        invitation_service_server::InvitationServiceServer,
        linked_identity_service_server::LinkedIdentityServiceServer, member_service_server::MemberServiceServer,
        oauth_client_service_server::OauthClientServiceServer, oauth_consent_service_server::OauthConsentServiceServer,
        passkey_service_server::PasskeyServiceServer, role_service_server::RoleServiceServer,
        scim_resource_service_server::ScimResourceServiceServer,
        second_factor_service_server::SecondFactorServiceServer, service_key_service_server::ServiceKeyServiceServer,
        session_service_server::SessionServiceServer, user_service_server::UserServiceServer,
    },
};

pub(crate) fn module() -> Module {
    Module::new("identity", DESCRIPTOR_SET)
        .needs(&["files"])
        .personal(personal::TABLES)
        .retention(retention::TABLES)
        .config::<IdentityConfig>()
        .production(config::PRODUCTION)
        .part(|app| Ok(KnownNetworks::new(app.redis.clone(), app.config.section::<IdentityConfig>().refresh_ttl)))
        .part(|app| {
            let (policies, secret) = (&app.contract.policies, app.secret.clone());
            Ok(Tokens::new(app.config.section(), policies, secret, app.clock.clone()))
        })
        .part(|app| {
            let config = app.config.section::<IdentityConfig>();
            let breaches = Breaches::open(config.breached_passwords_url.as_deref(), &app.alerts)?;
            Ok(Passwords::new(config.max_hashing, &app.secret).checked_by(breaches))
        })
        .part(Providers::open)
        .part(|app| Ok(RelyingParty::new(app.config.section())))
        .part(|app| Ok(Dns::new(&app.config.section::<IdentityConfig>().dns_servers)))
        .part(|_| Ok(Refusals::<Network>::default()))
        .start(|process| Box::pin(process::start(process)))
        .authenticator(|app| Arc::new(Credentials::new(app)))
        .service(|app| AuthServiceServer::new(Auth { app: app.clone() }))
        .service(|app| SecondFactorServiceServer::new(SecondFactors { app: app.clone() }))
        .service(|app| PasskeyServiceServer::new(Passkeys { app: app.clone() }))
        .service(|app| LinkedIdentityServiceServer::new(LinkedIdentities { app: app.clone() }))
        .service(|app| SessionServiceServer::new(SessionRpcs { app: app.clone() }))
        .service(|app| UserServiceServer::new(Users { app: app.clone() }))
        .service(|app| AccountServiceServer::new(Accounts { app: app.clone() }))
        .service(|app| AccountDomainServiceServer::new(AccountDomains { app: app.clone() }))
        .service(|app| AccountProviderServiceServer::new(AccountProviders { app: app.clone() }))
        .service(|app| MemberServiceServer::new(Members { app: app.clone() }))
        .service(|app| InvitationServiceServer::new(Invitations { app: app.clone() }))
        .service(|app| RoleServiceServer::new(Roles { app: app.clone() }))
        .service(|app| ScimResourceServiceServer::new(ScimResources { app: app.clone() }))
        .service(|app| ServiceKeyServiceServer::new(ServiceKeys { app: app.clone() }))
        .service(|app| OauthClientServiceServer::new(OauthClients { app: app.clone() }))
        .service(|app| OauthConsentServiceServer::new(OauthConsents { app: app.clone() }))
        .service(|app| ImpersonationServiceServer::new(Impersonations { app: app.clone() }))
        .service(|app| DeletionServiceServer::new(Deletions { app: app.clone() }))
        .service(|app| DataExportServiceServer::new(DataExports { app: app.clone() }))
        .queue::<EraseData>()
        .queue::<ExportData>()
        .pages([("/.well-known/jwks.json", get(jwks))])
        .pages(browser::pages())
        .pages(browser::form_pages())
        .pages(oauth::pages::pages())
        .contribute(TokenIssuer(|config| config.section::<IdentityConfig>().issuer.clone()))
        .command::<signing_key::command::Keys>()
        .command::<user::command::Users>()
        .every(
            HOUR,
            "expire_revocations",
            "Removes revocations of sessions that would have ended by now",
            jobs::expire_revocations,
        )
        .every(HOUR, "expire_sessions", "Removes sessions SESSIONS_KEPT after they expired", jobs::expire_sessions)
        .every(
            HOUR,
            "expire_registrations",
            "Removes registrations CONFIRMATIONS_KEPT after they expired",
            jobs::expire_registrations,
        )
        .every(
            HOUR,
            "expire_resets",
            "Removes password resets CONFIRMATIONS_KEPT after they expired",
            jobs::expire_resets,
        )
        .every(
            HOUR,
            "expire_email_changes",
            "Removes changes of addresses CONFIRMATIONS_KEPT after they expired",
            jobs::expire_email_changes,
        )
        .every(
            HOUR,
            "expire_mail_logins",
            "Removes sign-ins by mail CONFIRMATIONS_KEPT after they expired",
            jobs::expire_mail_logins,
        )
        .every(
            HOUR,
            "check_account_domains",
            "Looks up the records of verified mail domains, 30 days after the last time",
            |app| async move { account_domain::ops::check_due(&app).await },
        )
        .every(
            HOUR,
            "expire_invitations",
            "Removes invitations INVITATIONS_KEPT after they expired",
            jobs::expire_invitations,
        )
        .every(
            HOUR,
            "forget_deletion_addresses",
            "Removes the addresses for mail about deletions DELETION_NOTICES_KEPT after these ended",
            jobs::forget_deletion_addresses,
        )
        .every(HOUR, "resume_erasures", "Queues late erasures again whose job was given up", jobs::resume_erasures)
        .every(
            HOUR,
            "forget_data_exports",
            "Removes exports of data DATA_EXPORTS_KEPT after they ended",
            jobs::forget_data_exports,
        )
        .every(
            HOUR,
            "expire_oauth_codes",
            "Removes authorization codes and the codes of devices a day after they expired",
            jobs::expire_oauth_codes,
        )
        .every(HOUR, "expire_sign_ins", "Removes the counts of sign-ins after SIGN_INS_KEPT", jobs::expire_sign_ins)
        .every(HOUR, "forget_devices", "Removes remembered devices that have expired", jobs::forget_devices)
        .every(
            MINUTE,
            "reset_second_factors",
            "Removes second factors 24 hours after an admin has reset them",
            |app| async move { second_factor::ops::perform_due_resets(&app).await },
        )
        .metrics([Metric::counter(
            "mainstay_refresh_tokens_reused_total",
            "Reused refresh tokens; each ended its session",
        )])
        .mail::<mails::PasswordReset>()
        .mail::<mails::Registration>()
        .mail::<mails::EmailChange>()
        .mail::<mails::EmailChanged>()
        .mail::<mails::Invitation>()
        .mail::<mails::SignIn>()
        .mail::<mails::MailLogin>()
        .mail::<mails::PasswordChanged>()
        .mail::<mails::SecondFactorAdded>()
        .mail::<mails::SecondFactorRemoved>()
        .mail::<mails::RecoveryCodeUsed>()
        .mail::<mails::SecondFactorReset>()
        .mail::<mails::IdentityLinked>()
        .mail::<mails::IdentityUnlinked>()
        .mail::<mails::PasskeyAdded>()
        .mail::<mails::PasskeyRemoved>()
        .mail::<mails::PasskeyRefused>()
        .mail::<mails::Impersonation>()
        .mail::<mails::DomainLapsed>()
        .mail::<mails::DeletionScheduled>()
        .mail::<mails::DeletionDone>()
        .examples(examples::by_name)
}

/// Loads the keys that sign access tokens, the revocations of tokens and the kinds of password hashes, and keeps them up to
/// date until the app is dropped.
pub async fn start(app: &App) {
    // While Postgres is unreachable, each waits.
    tokio::join!(signing_key::ops::start_refresh(app), revocation::ops::watch(app), passwords::watch_kinds(app));
}

/// The public keys that verify access tokens (RFC 7517).
async fn jwks(State(app): State<App>) -> Response {
    ([(header::CACHE_CONTROL, "public, max-age=60")], Json(app.part::<Tokens>().jwks())).into_response()
}
