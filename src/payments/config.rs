//! The settings of payments: the gateway and its time limits.

use std::time::Duration;

use chrono::TimeDelta;

use mainstay_kernel::{
    config::{Reader, Section, Tls, Variable},
    outbound::Bounds,
};

/// The variable that selects the gateway by its name.
pub(crate) const GATEWAY: &str = "PAYMENT_GATEWAY";

/// The name of the sandbox.
pub(crate) const SANDBOX: &str = "sandbox";

/// Returns whether PAYMENT_GATEWAY selects the gateway of a name, so that a section requires its settings only then.
pub fn is_selected(read: &mut Reader, name: &str) -> bool {
    read.parse::<String>(GATEWAY) == name
}

#[derive(Debug, Clone)]
pub struct PaymentsConfig {
    /// The name of the gateway.
    pub gateway: String,
    /// The timeout of one attempt to call the gateway.
    pub attempt_timeout: Duration,
    /// Maximum concurrent calls to the gateway.
    pub max_concurrency: usize,
    /// The lease on a payment, after which another worker may take over.
    pub settle: Duration,
    /// The first wait before an unknown outcome is queried again.
    pub retry_wait: Duration,
    /// The age from which the gateway's search reliably finds a payment.
    pub lookup_lag: Duration,
}

/// The part of the lease that is reserved for committing the outcome.
const COMMIT_TIME: Duration = Duration::from_millis(500);
/// The number of attempts of one call.
const MAX_ATTEMPTS: u32 = 3;

impl Section for PaymentsConfig {
    const VARIABLES: &'static [Variable] = &[
        Variable::plain(
            GATEWAY,
            SANDBOX,
            "Payment gateway: stripe, sandbox, which moves no money, or one that a module declares",
        ),
        Variable::plain("GATEWAY_TIMEOUT", "5s", "Timeout of one attempt to call the gateway"),
        Variable::plain("GATEWAY_MAX_IN_FLIGHT", "64", "Maximum concurrent calls to the gateway"),
        Variable::plain("GATEWAY_LOOKUP_LAG", "1h", "Maximum lag of the gateway's search index behind its writes"),
        Variable::plain(
            "PAYMENT_SETTLE_TIMEOUT",
            "15s",
            "Lease on a payment, after which another worker may take over",
        ),
        Variable::plain(
            "PAYMENT_RETRY_WAIT",
            "5s",
            "Shortest wait before an unknown outcome is queried again; grows with its age, up to 64-fold",
        ),
    ];

    fn read(read: &mut Reader) -> Self {
        let payments = Self {
            gateway: read.parse(GATEWAY),
            attempt_timeout: read.positive_duration("GATEWAY_TIMEOUT"),
            max_concurrency: read.positive("GATEWAY_MAX_IN_FLIGHT"),
            settle: read.duration("PAYMENT_SETTLE_TIMEOUT"),
            retry_wait: read.positive_duration("PAYMENT_RETRY_WAIT"),
            lookup_lag: read.positive_duration("GATEWAY_LOOKUP_LAG"),
        };
        if payments.settle < COMMIT_TIME * 2 {
            read.fault("PAYMENT_SETTLE_TIMEOUT", "must be at least 1s");
        }
        if payments.attempt_timeout >= payments.settle.saturating_sub(COMMIT_TIME) {
            // Otherwise the whole call would end first, and the circuit breaker would never see an attempt time out.
            read.fault("GATEWAY_TIMEOUT", "must be shorter than PAYMENT_SETTLE_TIMEOUT less 500ms");
        }
        payments
    }
}

/// Returns a warning about client certificates with `payments.write` alone, which included charges and refunds in earlier
/// versions. It permits nothing to a service, which has no account.
pub(crate) fn warn_of_certificates(tls: Option<&Tls>) -> Option<&'static str> {
    let has = |scopes: &[String], name: &str| scopes.iter().any(|scope| scope == name);
    let is_old = |scopes: &[String]| {
        has(scopes, "payments.write")
            && !has(scopes, "payments.payments.charge_any")
            && !has(scopes, "payments.refunds.create")
    };
    tls?.principals.iter().any(|(_, scopes)| is_old(scopes)).then_some(
        "TLS_PRINCIPALS: a certificate has payments.write alone, which permits no charge and no refund to a service: add \
         payments.payments.charge_any or payments.refunds.create, or remove it",
    )
}

impl PaymentsConfig {
    /// Returns a warning for the operator, if the settings call for one.
    pub(crate) fn warning(&self) -> Option<&'static str> {
        self.is_sandbox().then_some("PAYMENT_GATEWAY=sandbox: payments succeed and no money moves")
    }

    pub(crate) fn is_sandbox(&self) -> bool {
        self.gateway == SANDBOX
    }

    /// The time limits of calls to the gateway.
    pub fn bounds(&self) -> Bounds {
        let total = self.settle.saturating_sub(COMMIT_TIME);
        Bounds {
            total,
            attempt_timeout: self.attempt_timeout,
            max_concurrency: self.max_concurrency,
            max_attempts: MAX_ATTEMPTS,
        }
    }

    /// The lease on a payment, after which another worker may take over.
    pub fn lease(&self) -> TimeDelta {
        delta(self.settle)
    }

    /// The first wait before an unknown outcome is queried again.
    pub fn retry_wait(&self) -> TimeDelta {
        delta(self.retry_wait)
    }

    /// The age from which the gateway's search reliably finds a payment.
    pub fn lookup_lag(&self) -> TimeDelta {
        delta(self.lookup_lag)
    }
}

fn delta(duration: Duration) -> TimeDelta {
    // A duration out of range exceeds every wait here.
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::days(365))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::tests::invalid_variables;

    #[test]
    fn a_certificate_with_the_scope_of_before_is_warned_of() {
        let warning = |scopes: &[&str]| {
            let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
            let tls = Tls {
                certificate: "certificate.pem".into(),
                key: "key.pem".into(),
                client_authorities: Some("authorities.pem".into()),
                principals: vec![("spiffe://example/billing".to_owned(), scopes)],
            };
            warn_of_certificates(Some(&tls))
        };
        assert!(warning(&["payments.write"]).is_some_and(|text| text.contains("payments.refunds.create")));
        for good in [&["payments.write", "payments.refunds.create"][..], &["payments.payments.charge_any"], &[]] {
            assert_eq!(warning(good), None, "{good:?}");
        }
        assert_eq!(warn_of_certificates(None), None);
    }

    #[test]
    fn a_key_goes_out_encrypted_or_not_at_all() {
        let stripe = |url| {
            invalid_variables(&[
                ("PAYMENT_GATEWAY", "stripe"),
                ("STRIPE_SECRET_KEY", "sk_test"),
                ("STRIPE_BASE_URL", url),
            ])
        };
        for good in ["https://api.stripe.com", "http://127.0.0.1:9000", "http://[::1]:9000", "http://localhost:1"] {
            assert!(stripe(good).is_empty(), "{good}");
        }
        for bad in ["http://api.stripe.com", "http://10.0.0.1", "ftp://localhost", "nonsense"] {
            assert_eq!(stripe(bad), ["STRIPE_BASE_URL"], "{bad}");
        }
        assert_eq!(invalid_variables(&[("PAYMENT_GATEWAY", "stripe")]), ["STRIPE_SECRET_KEY"]);
        for key in ["pk_live_1", "pk_test_1", "whsec_1", "nonsense"] {
            assert_eq!(
                invalid_variables(&[("PAYMENT_GATEWAY", "stripe"), ("STRIPE_SECRET_KEY", key)]),
                ["STRIPE_SECRET_KEY"]
            );
        }
        assert_eq!(
            invalid_variables(&[("GATEWAY_TIMEOUT", "3s"), ("PAYMENT_SETTLE_TIMEOUT", "3500ms")]),
            ["GATEWAY_TIMEOUT"]
        );
        assert!(invalid_variables(&[("GATEWAY_TIMEOUT", "3s"), ("PAYMENT_SETTLE_TIMEOUT", "3501ms")]).is_empty());
        assert_eq!(invalid_variables(&[("PAYMENT_GATEWAY", "cash")]), ["PAYMENT_GATEWAY"]);
        let both = [("PAYMENT_GATEWAY", "stripe"), ("STRIPE_SECRET_KEY", "pk_live_1"), ("STRIPE_BASE_URL", "nonsense")];
        assert_eq!(invalid_variables(&both), ["STRIPE_SECRET_KEY", "STRIPE_BASE_URL"]);
        let none = [
            ("GATEWAY_TIMEOUT", "0s"),
            ("GATEWAY_MAX_IN_FLIGHT", "0"),
            ("PAYMENT_RETRY_WAIT", "0s"),
            ("GATEWAY_LOOKUP_LAG", "0s"),
        ];
        assert_eq!(invalid_variables(&none), none.map(|(name, _)| name), "each by its own name");
        assert!(invalid_variables(&[]).is_empty());
    }
}
