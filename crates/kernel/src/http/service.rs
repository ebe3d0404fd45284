//! What a listener serves: the RPC services and the pages, behind the middleware stack.

use tonic::service::Routes;

use crate::{
    app::App,
    http::{
        health::Readiness,
        middleware::{self, layer::Next},
        pages,
    },
    module::Modules,
};

/// Builds the whole server as one service.
///
/// # Errors
/// Reflection that can't read the descriptors, which the check of the modules rules out.
pub fn build(modules: &'static Modules, app: &App, readiness: Readiness) -> anyhow::Result<impl Next + Sync> {
    let routes = modules.routes(app).add_service(readiness.service());
    let routes = add_reflection(routes, &app.contract.encoded)?;
    let draining = readiness.draining().clone();
    let (authenticator, pages) = (modules.open_authenticator(app), pages::public(modules, app, readiness));
    middleware::stack(app, &authenticator, routes, pages, draining).map_err(|faults| anyhow::anyhow!("{faults}"))
}

/// Reflection, in both versions that tools ask for.
fn add_reflection(routes: Routes, descriptors: &'static [u8]) -> anyhow::Result<Routes> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(routes.add_service(builder().build_v1()?).add_service(builder().build_v1alpha()?))
}
