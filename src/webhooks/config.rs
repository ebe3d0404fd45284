//! The settings of webhooks, inbound and outbound.

mod encoding;
mod generic;
mod keys;
mod secret;
mod verify_tokens;

use std::time::Duration;

use mainstay_kernel::config::{Reader, Requirement, Section, Variable, Verdict};

pub(crate) use encoding::base64;
pub(crate) use generic::{Encoding, GenericScheme};
pub use keys::Keys;
use secret::{public_key, read_secrets};
pub use verify_tokens::VerifyTokens;

/// Maximum concurrent webhooks to one endpoint.
pub const PER_ENDPOINT: usize = 8;

#[derive(Debug, Clone)]
pub struct WebhooksConfig {
    /// The keys of senders that follow the Standard Webhooks specification; webhooks of a provider without keys are
    /// rejected.
    pub(crate) standard: Option<Keys>,
    pub(crate) github: Option<Keys>,
    /// The points of SendGrid's public keys.
    pub(crate) sendgrid: Vec<Vec<u8>>,
    /// The keys and the signature scheme of the provider of the operator's choice.
    pub(crate) generic: Option<Keys>,
    /// The tokens in that provider's challenges.
    pub(crate) generic_tokens: Option<VerifyTokens>,
    pub(crate) scheme: GenericScheme,
    /// Whether endpoints may be in private networks and without TLS. For development only: users who create endpoints
    /// can then reach every host that this server can reach.
    pub allow_private: bool,
    /// The number of endpoints that a worker serves concurrently, each with at most [`PER_ENDPOINT`] webhooks. An
    /// endpoint that takes over a second releases its slot.
    pub concurrency: usize,
    /// The maximum wait before a webhook's second attempt; it triples with each further attempt.
    pub first_wait: Duration,
    /// How long all attempts to an endpoint may fail before it is disabled.
    pub patience: Duration,
}

/// What webhooks need in production.
pub(super) const PRODUCTION: &[Requirement] = &[Requirement {
    name: "webhook-targets",
    text: "Webhook endpoints are outside of private networks, and are called with TLS",
    check: |config| {
        let is_open = config.section::<WebhooksConfig>().allow_private;
        Verdict::of(!is_open, "WEBHOOK_ALLOW_PRIVATE is true: users can reach the own network")
    },
}];

impl Section for WebhooksConfig {
    const VARIABLES: &'static [Variable] = &[
        Variable::secret(
            "WEBHOOK_SECRETS_STANDARD",
            "Signing secrets (whsec_ and base64) of Standard Webhooks senders, separated by commas; if absent, they are not accepted",
        ),
        Variable::secret("WEBHOOK_SECRETS_GITHUB", "Signing secrets of GitHub webhooks, likewise"),
        Variable::secret("WEBHOOK_KEYS_SENDGRID", "Verification keys of SendGrid's event webhooks, likewise"),
        Variable::secret("WEBHOOK_SECRETS_GENERIC", "Signing secrets of another provider of your choice, likewise"),
        Variable::secret(
            "WEBHOOK_VERIFY_TOKENS_GENERIC",
            "Tokens by which that provider verifies the URL before it sends events (hub.verify_token), separated by commas; if absent, it can't",
        ),
        generic::SIGNATURE_HEADER,
        generic::PREFIX,
        generic::ALGORITHM,
        generic::ENCODING,
        generic::TIMESTAMP_HEADER,
        generic::SIGNED,
        generic::ID_HEADER,
        generic::ID_FIELD,
        generic::TYPE_HEADER,
        Variable::plain(
            "WEBHOOK_ALLOW_PRIVATE",
            "false",
            "Allows webhook endpoints in private networks and without TLS; for development only",
        ),
        Variable::plain(
            "WEBHOOK_CONCURRENCY",
            "16",
            "Maximum webhook endpoints that a worker calls concurrently. One endpoint receives up to 8 concurrent deliveries. An endpoint that takes over 1s frees its slot for another one",
        ),
        Variable::plain(
            "WEBHOOK_FIRST_WAIT",
            "10s",
            "Longest wait before a webhook's second attempt, and half of it the shortest; triples with each attempt, up to 12h",
        ),
        Variable::plain(
            "WEBHOOK_PATIENCE",
            "5d",
            "Time for which all attempts must have failed before an endpoint is disabled",
        ),
    ];

    fn read(read: &mut Reader) -> Self {
        let scheme = GenericScheme::read(read);
        let generic = Keys::read_for(read, "WEBHOOK_SECRETS_GENERIC", scheme.algorithm);
        let generic_tokens = VerifyTokens::read(read, "WEBHOOK_VERIFY_TOKENS_GENERIC");
        if generic_tokens.is_some() && generic.is_none() {
            read.fault(
                "WEBHOOK_VERIFY_TOKENS_GENERIC",
                "needs WEBHOOK_SECRETS_GENERIC: the events of the provider are signed",
            );
        }
        Self {
            standard: Keys::read_standard(read, "WEBHOOK_SECRETS_STANDARD"),
            github: Keys::read(read, "WEBHOOK_SECRETS_GITHUB"),
            sendgrid: read_secrets(read, "WEBHOOK_KEYS_SENDGRID", public_key),
            generic,
            generic_tokens,
            scheme,
            allow_private: read.parse("WEBHOOK_ALLOW_PRIVATE"),
            concurrency: read.positive("WEBHOOK_CONCURRENCY"),
            first_wait: read.positive_duration("WEBHOOK_FIRST_WAIT"),
            patience: read.duration("WEBHOOK_PATIENCE"),
        }
    }
}
