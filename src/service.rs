//! What a listener serves: the RPC services and the pages, behind the perimeter.

use tonic::service::Routes;

use crate::{
    app::App,
    contract::{DESCRIPTOR_SET, Policies, policy},
    health::Readiness,
    pages::Pages,
    perimeter::{self, middleware::Next},
    services, telemetry,
};

/// Builds the whole server as one service.
///
/// # Errors
/// Methods without a policy or an HTTP rule, and rules that collide, all named.
pub async fn build(app: &App, readiness: Readiness) -> anyhow::Result<impl Next + Sync> {
    let policies =
        Policies::load().map_err(|faults| anyhow::anyhow!("the contract does not hold:\n  {}", faults.join("\n  ")))?;
    let routes = services::routes(app);
    let routes = add_health(routes).await;
    let routes = add_reflection(routes)?;
    let pages = Pages { app: app.clone(), metrics: telemetry::metrics(), readiness };
    perimeter::around(app, policies, routes, pages.router()).map_err(|faults| anyhow::anyhow!("{faults}"))
}

/// Adds `grpc.health.v1`, per service and overall.
async fn add_health(routes: Routes) -> Routes {
    let (reporter, health) = tonic_health::server::health_reporter();
    for service in policy::services() {
        reporter.set_service_status(service.full_name(), tonic_health::ServingStatus::Serving).await;
    }
    routes.add_service(health)
}

/// Adds server reflection, in both versions that tools use.
fn add_reflection(routes: Routes) -> anyhow::Result<Routes> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(routes.add_service(builder().build_v1()?).add_service(builder().build_v1alpha()?))
}
