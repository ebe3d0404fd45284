//! What a listener serves: the RPC services and the pages, behind the perimeter.

use tonic::service::Routes;

use crate::{
    app::App,
    contract::{DESCRIPTOR_SET, Policies},
    health::Readiness,
    pages::Pages,
    perimeter::{self, middleware::Next},
    services, telemetry,
};

/// Builds the whole server as one service.
///
/// # Errors
/// Methods without policy or HTTP rule, and rules that collide, all named.
pub fn build(app: &App, readiness: Readiness) -> anyhow::Result<impl Next + Sync> {
    let policies =
        Policies::load().map_err(|faults| anyhow::anyhow!("the contract does not hold:\n  {}", faults.join("\n  ")))?;
    let routes = services::routes(app);
    let routes = routes.add_service(readiness.service());
    let routes = add_reflection(routes)?;
    let pages = Pages { app: app.clone(), metrics: telemetry::metrics(), readiness };
    perimeter::around(app, policies, routes, pages.router()).map_err(|faults| anyhow::anyhow!("{faults}"))
}

/// Reflection, in both versions that tools ask for.
fn add_reflection(routes: Routes) -> anyhow::Result<Routes> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(routes.add_service(builder().build_v1()?).add_service(builder().build_v1alpha()?))
}
