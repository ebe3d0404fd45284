//! What a listener serves: the RPC services and the pages, behind the middleware stack.

use crate::{
    app::App,
    http::{
        health::Readiness,
        middleware::{self, layer::Next},
        pages, reflection,
    },
    module::Modules,
};

/// Builds the whole server as one service.
///
/// # Errors
/// Reflection that can't read the descriptors, which the check of the modules rules out.
pub fn build(modules: &'static Modules, app: &App, readiness: Readiness) -> anyhow::Result<impl Next + Sync> {
    let routes = modules.routes(app).add_service(readiness.service());
    let routes = reflection::add(routes, &app.contract.descriptors, &app.limiter)?;
    let draining = readiness.draining().clone();
    let (authenticator, pages) = (modules.open_authenticator(app), pages::public(modules, app, readiness));
    middleware::stack(app, &authenticator, routes, pages, draining).map_err(|faults| anyhow::anyhow!("{faults}"))
}
