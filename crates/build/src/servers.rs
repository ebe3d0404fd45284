//! The common interface of generated gRPC servers, as implementations of the kernel's `Server`. tonic generates the
//! same methods for each server, but no trait.

use std::{collections::BTreeSet, fmt::Write as _};

use heck::{ToSnakeCase as _, ToUpperCamelCase as _};
use prost_reflect::DescriptorPool;

use crate::packages::Packages;

/// Generates `servers.rs`; `path` is the Rust path of the module with the trait.
pub(crate) fn generate(pool: &DescriptorPool, packages: &Packages, generated: &BTreeSet<String>, path: &str) -> String {
    let mut text = String::new();
    for service in pool.services().filter(|service| generated.contains(service.package_name())) {
        let module =
            format!("{}::{}_server", packages.rust_path(service.package_name()), service.name().to_snake_case());
        let name = service.name().to_upper_camel_case();
        writeln!(
            text,
            "impl<T: {module}::{name}> {path}::Server for {module}::{name}Server<T> {{
    fn configure(self) -> Self {{
        use ::tonic::codec::CompressionEncoding::{{Gzip, Zstd}};
        self.max_decoding_message_size({path}::MAX_MESSAGE_BYTES)
            .accept_compressed(Gzip)
            .accept_compressed(Zstd)
            .send_compressed(Gzip)
            .send_compressed(Zstd)
    }}

    fn add_to(self, routes: ::tonic::service::Routes) -> ::tonic::service::Routes {{
        routes.add_service(self)
    }}
}}"
        )
        .expect("a string takes it");
    }
    text
}
