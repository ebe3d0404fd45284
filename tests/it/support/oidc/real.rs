//! A provider of another author.

use crate::support::{TestApp, oidc::SECRET, python};

/// The implementation of another author (npm's `oidc-provider`), as a process. Its only person is `grace@real.example`. The
/// process ends with this value.
#[derive(Debug)]
pub(crate) struct RealProvider {
    child: std::process::Child,
    port: u16,
}

impl RealProvider {
    /// Starts a provider for the name `real` in the configuration.
    pub(crate) async fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "how `make test` passes the path of the packages")]
        let packages =
            std::env::var("OIDC_PROVIDER_PACKAGES").expect("OIDC_PROVIDER_PACKAGES, which scripts/test sets");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/processes/oidc_provider/server.mjs");
        let mut command = std::process::Command::new("node");
        command.args([script, packages.as_str(), "http://app.example/auth/oidc/real/callback"]);
        let (child, port) = python::listening(command, "oidc_provider").await;
        Self { child, port }
    }

    /// Starts an app that signs people in with this provider.
    pub(crate) async fn app(&self) -> TestApp {
        let app = TestApp::builder().set("PUBLIC_URL", "http://app.example").set("OIDC_PROVIDERS", "real");
        let app = app.set("OIDC_REAL_ISSUER", format!("http://127.0.0.1:{}", self.port));
        app.set("OIDC_REAL_CLIENT_ID", "mainstay").set("OIDC_REAL_CLIENT_SECRET", SECRET).start().await
    }
}

impl Drop for RealProvider {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}
