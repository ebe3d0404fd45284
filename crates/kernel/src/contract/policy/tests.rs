//! Tests of each fault of a contract, of each default, and of access, on small contracts.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use prost_reflect::DescriptorPool;
use protox::{
    Compiler, Error,
    file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver},
};
use uuid::Uuid;

use super::*;

mod access;
mod defaults;
mod faults;

/// In-memory source files, by name.
struct Sources(Vec<(&'static str, String)>);

impl FileResolver for Sources {
    fn open_file(&self, name: &str) -> Result<File, Error> {
        let file = self.0.iter().find(|(other, _)| *other == name);
        file.map_or_else(|| Err(Error::file_not_found(name)), |(_, source)| File::from_source(name, source))
    }
}

/// Compiles a contract from these files and from the kernel's files that they import.
pub(crate) fn compile(sources: Vec<(&'static str, String)>) -> DescriptorPool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names: Vec<_> = sources.iter().map(|(name, _)| PathBuf::from(name)).collect();
    let mut resolver = ChainFileResolver::new();
    resolver.add(Sources(sources));
    resolver.add(IncludeFileResolver::new(root.join("proto")));
    resolver.add(IncludeFileResolver::new(root.join("third_party")));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).open_files(names).expect("the test's files compile");
    compiler.open_file("mainstay/policy/v1/grant_sets.proto").expect("the shared grant sets compile");
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).expect("a descriptor set")
}

/// Reads the policies of such a contract.
pub(crate) fn read(sources: Vec<(&'static str, String)>) -> Result<Policies, Vec<String>> {
    Policies::read(&compile(sources))
}

/// The policies of a service with a method that reads and a method that signs in.
pub(crate) fn get_and_login() -> Policies {
    let service = "syntax = \"proto3\"; package fleet.v1;
         import \"google/api/annotations.proto\"; import \"mainstay/policy/v1/method.proto\";
         service Vehicles {
           rpc Get(Request) returns (Request) {
             option (google.api.http) = {get: \"/api/v1/vehicles\"};
             option (mainstay.policy.v1.method) = {access: \"authenticated\" scope: \"fleet.vehicles.read\"};
           }
           rpc Login(Request) returns (Request) {
             option (google.api.http) = {post: \"/api/v1/login\" body: \"*\"};
             option (mainstay.policy.v1.method) = {access: \"public\" rate_class: RATE_CLASS_LOGIN};
           }
         }
         message Request {}";
    let module = module_file("fleet.v1", FLEET);
    read(vec![("fleet/v1/module.proto", module), ("fleet/v1/vehicles.proto", service.to_owned())]).expect("it holds")
}

/// The policies of a service with one public method, whose responses may be cached for a minute.
pub(crate) fn public_get() -> Policies {
    let service = service_file("", GET, &policy("access: \"public\" public_max_age_seconds: 60"), DATA);
    read(vec![("fleet/v1/module.proto", module_file("fleet.v1", FLEET)), ("fleet/v1/vehicles.proto", service)])
        .expect("it holds")
}

/// The module option of a package.
pub(crate) fn module_file(package: &str, option: &str) -> String {
    format!(
        "syntax = \"proto3\"; package {package}; import \"mainstay/policy/v1/module.proto\";
         option (mainstay.policy.v1.module) = {{{option}}};"
    )
}

/// A service of one method, `Do`, with these options and further declarations.
fn service_file(service: &str, http: &str, method: &str, rest: &str) -> String {
    format!(
        "syntax = \"proto3\"; package fleet.v1;
         import \"google/api/annotations.proto\"; import \"google/protobuf/timestamp.proto\";
         import \"mainstay/policy/v1/method.proto\"; import \"mainstay/policy/v1/value.proto\";
         service Vehicles {{ {service} rpc Do(Request) returns (Response) {{ {http} {method} }} }}
         message Request {{ string color = 1; }}
         enum State {{
           STATE_UNSPECIFIED = 0;
           STATE_SOLD = 1;
           STATE_PENDING = 2 [(mainstay.policy.v1.is_pending) = true];
           STATE_ORDERED = 3 [(mainstay.policy.v1.is_pending) = true, (mainstay.policy.v1.is_public) = true];
         }}
         enum Color {{ COLOR_UNSPECIFIED = 0; COLOR_RED = 1; }}
         message Vehicle {{
           string id = 1; int64 version = 2; google.protobuf.Timestamp update_time = 3; State state = 4; Color color = 5;
         }}
         {rest}"
    )
}

const FLEET: &str = r#"name: "fleet" scopes: [{name: "fleet.vehicles.read" summary: "Read vehicles."}]"#;
const GET: &str = r#"option (google.api.http) = {get: "/api/v1/do"};"#;
const DATA: &str = "message Response { Vehicle data = 1; }";

fn policy(fields: &str) -> String {
    format!("option (mainstay.policy.v1.method) = {{{fields}}};")
}
