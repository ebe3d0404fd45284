//! Kinds of gateways, which modules declare by [`TakesPayments::gateway`].

use std::sync::Arc;

use mainstay_kernel::{
    app::App,
    config::{Config, ConfigError, Requirement, Verdict},
    contribution::Contributions,
    module::{Module, Modules},
};

use crate::payments::{
    config::{GATEWAY, PaymentsConfig},
    gateway::Gateway,
};

/// A kind of gateway. A section of the module's configuration has its settings;
/// [`is_selected`](crate::payments::config::is_selected) says whether they are needed.
pub trait GatewayKind: Gateway + Sized + 'static {
    /// The name, in PAYMENT_GATEWAY and stored with payments, refunds and subscriptions: lower-case words joined by `_`,
    /// after the name of the module and a dot, as in `fleet.fuel_card`, at most 40 characters, which the compiler
    /// checks. Mainstay's own gateways have no name of a module.
    const NAME: &'static str;

    /// Returns whether the selected gateway moves money with this configuration: `Missed` with the reason for a stand-in, or
    /// for a key of a test mode. `config check --production` lists it.
    fn moves_money(config: &Config) -> Verdict;

    /// Opens the gateway, if PAYMENT_GATEWAY selects it.
    ///
    /// # Errors
    /// Any error stops the start.
    fn open(app: &App) -> anyhow::Result<Self>;
}

/// A declared [`GatewayKind`].
#[derive(Debug, Clone, Copy)]
struct Declared {
    name: &'static str,
    open: fn(&App) -> anyhow::Result<Arc<dyn Gateway>>,
}

/// A module that takes payments through a gateway.
pub trait TakesPayments {
    /// Declares a kind of gateway.
    #[must_use]
    fn gateway<G: GatewayKind>(self) -> Self;
}

impl TakesPayments for Module {
    fn gateway<G: GatewayKind>(self) -> Self {
        // As in the tables.
        const { assert!(G::NAME.len() <= 40, "the name of a gateway has at most 40 characters") };
        let open = |app: &App| {
            let gateway = G::open(app)?;
            anyhow::ensure!(gateway.name() == G::NAME, "the gateway {} calls itself {}", G::NAME, gateway.name());
            Ok(Arc::new(gateway) as Arc<dyn Gateway>)
        };
        let check = |config: &Config| {
            let is_selected = config.section::<PaymentsConfig>().gateway == G::NAME;
            if is_selected { G::moves_money(config) } else { Verdict::Met }
        };
        self.needs(&["payments"])
            .kind("payment gateway", G::NAME, &["payments"])
            .production(&[Requirement { name: "payments", text: "Payments move money", check }])
            .contribute(Declared { name: G::NAME, open })
    }
}

/// Opens the gateway that PAYMENT_GATEWAY selects.
///
/// # Errors
/// An error if no module declares it, or if it can't be opened.
pub(crate) fn open(app: &App) -> anyhow::Result<Arc<dyn Gateway>> {
    let declared = selected(Modules::of(app).contributions(), &app.config);
    (declared.map_err(|error| anyhow::anyhow!("{error}"))?.open)(app)
}

/// Checks that a module declares the gateway that PAYMENT_GATEWAY selects.
pub(crate) fn check(all: &Contributions, config: &Config) -> Vec<ConfigError> {
    selected(all, config).err().into_iter().collect()
}

fn selected(all: &Contributions, config: &Config) -> Result<Declared, ConfigError> {
    let name = &config.section::<PaymentsConfig>().gateway;
    let declared = all.all::<Declared>().find(|declared| declared.name == name);
    declared.copied().ok_or_else(|| {
        let names: Vec<_> = all.all::<Declared>().map(|declared| declared.name).collect();
        ConfigError::new(GATEWAY, format!("must be one of {}", names.join(", ")))
    })
}
