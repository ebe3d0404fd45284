//! Calls to a provider: discovery, the exchange of a code, and the claims about the person.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chrono::DateTime;
use http::{HeaderValue, Method, header};
use moka::sync::Cache;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::sync::Semaphore;
use url::{Url, form_urlencoded};

use super::{
    discovery::{Discovery, Metadata},
    documents::Documents,
    github,
    model::{Answer, Attempt, Claims, Expected, Person, TokenFault},
    places::Places,
};
use crate::identity::{
    account_provider::{id::AccountProviderId, model::AccountProvider, ops as account_provider},
    config::{IdentityConfig, Preset, Provider},
};
use mainstay_kernel::{
    app::App,
    clock::Clock,
    error::{Error, Reason, Result},
    outbound::{self, Kind, Receivers},
};

/// The maximum number of accounts' providers whose metadata and keys are kept in memory, and how long an unused one is.
const MAX_OF_ACCOUNTS: u64 = 1000;
const IDLE: Duration = Duration::from_secs(3600);
/// The maximum number of concurrent calls to the providers of all accounts.
const MAX_CALLS: usize = 64;

/// The providers of the configuration, and those of accounts.
#[derive(Debug)]
pub struct Providers {
    configured: Vec<Arc<ProviderClient>>,
    /// The clients of accounts' providers, by the id and the version.
    of_accounts: Cache<(AccountProviderId, i64), Arc<ProviderClient>>,
    /// The places at them, by the id alone.
    places: Cache<AccountProviderId, Places>,
    receivers: Receivers,
}

impl Providers {
    /// Opens a client of each provider of the configuration. It calls none of them: one that is unavailable must not stop the
    /// start.
    ///
    /// # Errors
    /// If the system has no root certificates.
    pub fn open(app: &App) -> anyhow::Result<Self> {
        let config = app.config.section::<IdentityConfig>();
        let public_url = config.public_url.as_deref().unwrap_or_default();
        let client = |provider: &Provider| -> anyhow::Result<Arc<ProviderClient>> {
            let places = Places::default();
            Ok(Arc::new(ProviderClient {
                redirect_uri: format!("{public_url}/auth/oidc/{}/callback", provider.name),
                documents: Documents::open(&provider.name, app)?,
                clock: app.clock.clone(),
                discovery: Discovery::new(&places),
                returns: places.returns,
                config: provider.clone(),
                of_account: None,
            }))
        };
        let allow_private = config.allow_private_providers;
        Ok(Self {
            configured: config.providers.iter().map(client).collect::<anyhow::Result<_>>()?,
            of_accounts: Cache::builder().max_capacity(MAX_OF_ACCOUNTS).time_to_idle(IDLE).build(),
            places: Cache::builder().max_capacity(MAX_OF_ACCOUNTS).time_to_idle(IDLE).build(),
            receivers: Receivers::new(allow_private, MAX_CALLS)?.named("account_provider"),
        })
    }

    /// Returns a provider of the configuration by its name.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    pub fn find(&self, name: &str) -> Result<Arc<ProviderClient>> {
        let found = self.configured.iter().find(|provider| provider.config.name == name).cloned();
        found.ok_or_else(|| Error::not_found("sign-in provider"))
    }

    /// Returns the client of an account's provider.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if the secret is sealed under another `SECRET_KEY`.
    pub fn of_account(&self, app: &App, provider: &AccountProvider) -> Result<Arc<ProviderClient>> {
        let key = (provider.id, provider.version);
        if let Some(client) = self.of_accounts.get(&key) {
            return Ok(client);
        }
        let (name, places) = (provider.id.to_string(), self.places.get_with(provider.id, Places::default));
        let client = Arc::new(ProviderClient {
            redirect_uri: account_provider::redirect_uri(app, provider.id),
            documents: Documents::guarded(name.clone(), self.receivers.clone(), places.calls.clone()),
            clock: app.clock.clone(),
            discovery: Discovery::new(&places),
            returns: places.returns,
            of_account: Some(OfAccount { id: provider.id, groups_claim: provider.groups_claim.clone() }),
            config: Provider {
                name,
                label: provider.display_name.clone(),
                preset: Preset::Oidc,
                issuer: provider.issuer.clone(),
                client_id: provider.client_id.clone(),
                client_secret: account_provider::open(&app.secret, provider)?,
                scopes: Preset::Oidc.scopes().to_owned(),
                domains: Vec::new(),
            },
        });
        self.of_accounts.insert(key, client.clone());
        Ok(client)
    }

    /// Returns the issuers of all providers of the configuration.
    pub fn issuers(&self) -> Vec<String> {
        self.all().map(|provider| provider.issuer.clone()).collect()
    }

    /// Returns the configuration of all its providers, in its order.
    pub fn all(&self) -> impl Iterator<Item = &Provider> {
        self.configured.iter().map(|provider| &provider.config)
    }
}

/// The client of one provider.
#[derive(Debug)]
pub struct ProviderClient {
    pub config: Provider,
    redirect_uri: String,
    documents: Documents,
    clock: Clock,
    discovery: Discovery,
    /// The people who return, which a provider of the configuration does not limit.
    returns: Arc<Semaphore>,
    of_account: Option<OfAccount>,
}

/// What the provider of an account has beyond one of the configuration.
#[derive(Debug)]
struct OfAccount {
    id: AccountProviderId,
    /// The claim with the groups of a person.
    groups_claim: String,
}

/// The response of a token endpoint.
#[derive(Deserialize)]
struct Tokens {
    #[serde(default)]
    id_token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
}

impl ProviderClient {
    /// Returns the URL at which the person signs in. With `is_fresh`, the provider must authenticate the person again, and say
    /// when it did (OpenID Connect Core 1.0, 3.1.2.1).
    ///
    /// # Errors
    /// `UPSTREAM_FAILED` and others of a call, if the provider's metadata must be read and can't be.
    pub async fn authorization_url(&self, attempt: &Attempt, is_fresh: bool) -> Result<String> {
        let endpoint = self.metadata().await?.authorization_endpoint;
        let mut url = endpoint.parse::<Url>().map_err(|error| self.documents.wrong("authorization_endpoint", error))?;
        let mut query = url.query_pairs_mut();
        query.append_pair("response_type", "code");
        query.append_pair("client_id", &self.config.client_id);
        query.append_pair("redirect_uri", &self.redirect_uri);
        query.append_pair("scope", &self.config.scopes);
        query.append_pair("state", &attempt.state);
        query.append_pair("code_challenge", &attempt.challenge());
        query.append_pair("code_challenge_method", "S256");
        if self.config.preset != Preset::GitHub {
            query.append_pair("nonce", &attempt.nonce);
        }
        if is_fresh {
            query.append_pair("prompt", "login").append_pair("max_age", "0");
        }
        if self.is_form_post() {
            query.append_pair("response_mode", "form_post");
        }
        drop(query);
        Ok(url.into())
    }

    /// Returns whether the response arrives as a form, from a page of the provider.
    pub fn is_form_post(&self) -> bool {
        // Apple refuses a request for the address without it.
        self.config.preset == Preset::Apple
    }

    /// Exchanges the code of a response, and returns the person.
    ///
    /// # Errors
    /// `INVALID_TOKEN` if the issuer of the response, the code or the ID token is wrong; `UPSTREAM_FAILED` and others of a call;
    /// `CIRCUIT_OPEN` if too many people return from the provider of an account.
    pub async fn person(&self, attempt: &Attempt, answer: &Answer) -> Result<Person> {
        let _place = self.documents.take_place(&self.returns)?;
        let metadata = self.metadata().await?;
        // Another provider may have sent the person here, to learn the code of this one (RFC 9207).
        let has_issuer = answer.iss.is_some() || metadata.authorization_response_iss_parameter_supported;
        let issuer = match self.config.preset {
            Preset::GitHub => github::response_issuer(&self.config.issuer),
            _ => self.config.issuer.clone(),
        };
        if has_issuer && answer.iss.as_deref() != Some(issuer.as_str()) {
            return Err(self.refuse("the iss of the response is wrong"));
        }
        let code = answer.code.as_deref().ok_or_else(|| self.refuse("the response has no code"))?;
        let Tokens { id_token, access_token } = self.exchange(&metadata, attempt, code).await?;
        let access_token = access_token.map(SecretString::from);
        if self.config.preset == Preset::GitHub {
            let token = access_token.ok_or_else(|| self.refuse("GitHub refused the code"))?;
            return github::person(&self.documents, &self.config.issuer, &token).await;
        }
        let token = id_token.ok_or_else(|| self.refuse("the token response has no ID token"))?;
        let claims = self.verify(&metadata, attempt, &token).await?;
        self.complete(&metadata, claims, access_token).await
    }

    /// Returns the claims of an ID token. An unknown key may be new: the keys are read again, at most once a minute.
    async fn verify(&self, metadata: &Metadata, attempt: &Attempt, token: &str) -> Result<Claims> {
        let mut verified = self.discovery.keys(&self.documents, metadata, &self.clock, false).await?.verify(token);
        if verified == Err(TokenFault::UnknownKey) {
            verified = self.discovery.keys(&self.documents, metadata, &self.clock, true).await?.verify(token);
        }
        let claims = verified.map_err(|fault| self.refuse(&format!("the ID token: {fault:?}")))?;
        let (issuer, client_id) = (self.config.issuer.as_str(), self.config.client_id.as_str());
        let expected = Expected { issuer, client_id, nonce: &attempt.nonce, now: self.clock.now() };
        claims.check(expected).map_err(|claim| self.refuse(&format!("the ID token has a wrong {claim}")))?;
        Ok(claims)
    }

    /// Returns the person of an ID token. Some providers have the address at their userinfo endpoint only.
    async fn complete(&self, metadata: &Metadata, claims: Claims, token: Option<SecretString>) -> Result<Person> {
        #[derive(Deserialize)]
        struct UserInfo {
            sub: String,
            #[serde(default)]
            email: Option<String>,
            #[serde(default, deserialize_with = "super::model::truth")]
            email_verified: Option<bool>,
            #[serde(default)]
            name: Option<String>,
        }
        let authenticated_at = claims.auth_time.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        let of_account = self.of_account.as_ref();
        let person = Person {
            provider: of_account.map(|own| own.id),
            groups: of_account.map(|own| claims.groups(&own.groups_claim)).unwrap_or_default(),
            issuer: claims.iss,
            subject: claims.sub,
            email: claims.email,
            is_verified: claims.email_verified,
            name: claims.name,
            hosted_domain: claims.hd,
            authenticated_at,
        };
        let endpoint = metadata.userinfo_endpoint.as_deref().filter(|_| person.email.is_none());
        let Some((endpoint, token)) = endpoint.zip(token) else { return Ok(person) };
        let Some(info) = self.documents.optional::<UserInfo>(endpoint, &token).await else { return Ok(person) };
        // OpenID Connect Core 1.0, 5.3.4: an access token that was substituted leads to another person.
        if info.sub != person.subject {
            return Err(self.refuse("userinfo has another subject"));
        }
        Ok(Person { email: info.email, is_verified: info.email_verified, name: info.name.or(person.name), ..person })
    }

    async fn exchange(&self, metadata: &Metadata, attempt: &Attempt, code: &str) -> Result<Tokens> {
        match self.documents.send(self.exchange_request(metadata, attempt, code)?).await {
            Ok(response) => self.documents.read(response.body()),
            // RFC 6749, 5.2: such as `invalid_grant`, for a code that was used, or of another client or verifier.
            Err(error) if error.kind == Kind::Rejected => {
                Err(self.refuse("the provider refused the code").caused_by(error))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn exchange_request(&self, metadata: &Metadata, attempt: &Attempt, code: &str) -> Result<outbound::Request> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code").append_pair("code", code);
        form.append_pair("redirect_uri", &self.redirect_uri).append_pair("code_verifier", &attempt.verifier);
        let request = http::Request::builder().method(Method::POST).uri(&metadata.token_endpoint);
        let mut request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        match &self.config.client_secret {
            Some(secret) if metadata.takes_basic() => {
                request = request.header(header::AUTHORIZATION, basic(&self.config.client_id, secret)?);
            }
            secret => {
                form.append_pair("client_id", &self.config.client_id);
                if let Some(secret) = secret {
                    form.append_pair("client_secret", secret.expose_secret());
                }
            }
        }
        let request = request.header(header::ACCEPT, "application/json").body(Bytes::from(form.finish()));
        request.map_err(|error| self.documents.wrong("token_endpoint", error))
    }

    /// Returns the metadata of the provider.
    async fn metadata(&self) -> Result<Metadata> {
        match self.config.preset {
            Preset::GitHub => Ok(github::metadata(&self.config.issuer)),
            _ => self.discovery.metadata(&self.documents, &self.config.issuer, &self.clock).await,
        }
    }

    /// Returns the error for a response that does not prove who the person is.
    fn refuse(&self, why: &str) -> Error {
        tracing::warn!(provider = self.config.name, why, "a sign-in with a provider was refused");
        Reason::InvalidToken.into()
    }
}

/// Returns the credentials of the client (RFC 6749, 2.3.1).
fn basic(id: &str, secret: &SecretString) -> Result<HeaderValue> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(id), encode(secret.expose_secret()));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))).map_err(Error::internal)?;
    value.set_sensitive(true);
    Ok(value)
}
