//! The entry point of a module's build script. It compiles `.proto` files to messages and services, the checks of their
//! field rules, and one descriptor set from which everything else is derived.
//!
//! ```no_run
//! // build.rs
//! fn main() -> Result<(), mainstay_build::Error> {
//!     mainstay_build::Contract::new(["proto"])
//!         // Messages, rules and `.proto` files of the crate whose Cargo.toml says `links = "mainstay-kernel"`.
//!         .uses("mainstay-kernel")
//!         .compile()
//! }
//! ```
//!
//! The output is in `OUT_DIR`, for the crate to include:
//!
//! | file | content | include it |
//! |---|---|---|
//! | `contract.rs` | messages, clients and servers, nested like their packages, with the kernel's codec | in the module [`Contract::messages_path`] names |
//! | `validation.rs` | one `Validate` implementation per message | anywhere |
//! | `cel.binpb` | the descriptors that rules in CEL need | `validation.rs` does |
//! | `reasons.rs` | the facts of every error reason | anywhere |
//! | `servers.rs` | one `Server` implementation per gRPC server | anywhere |
//! | `descriptors.binpb` | a `FileDescriptorSet` with imports, comments and custom options | with `include_bytes!` |
//!
//! # One contract in several crates
//!
//! Each package is compiled in one crate, and other crates refer to its types. A crate takes from another:
//!
//! - the directory of its `.proto` files, to import them: [`Contract::include`];
//! - the Rust path of each package, to name its messages: [`Contract::extern_path`];
//! - the Rust path of the `Validate` trait: [`Contract::validation_path`].
//!
//! Cargo can pass all three on: a crate with a `links` key in its Cargo.toml shares them, and [`Contract::uses`] takes
//! them.
//!
//! # Modules
//!
//! The policies of methods are checked with `mainstay-policy`, which the kernel serves by.
//!
//! - `packages`: which package is compiled here, is compiled in another crate, or has no validation.
//! - `validation`: turns `buf.validate` rules into Rust; `rules` reads them.
//! - `names`: the identifiers that prost generates.
//! - `messages`: runs tonic's generator on the packages that are compiled here.
//! - `shared`: the data that build scripts share.

mod error;
mod messages;
mod names;
mod packages;
mod reasons;
mod servers;
mod shared;
mod validation;

use std::{
    collections::HashSet,
    env, fs,
    path::{Path, PathBuf},
};

use mainstay_policy::Policies;
use prost_reflect::DescriptorPool;

pub use error::Error;
use packages::Packages;
use shared::Shared;

/// The contract of one crate, and the options of its compilation.
#[derive(Debug, Clone)]
pub struct Contract {
    roots: Vec<PathBuf>,
    includes: Vec<PathBuf>,
    uses: Vec<String>,
    packages: Packages,
    validation_path: Option<String>,
    boxed: Vec<String>,
    out_dir: Option<PathBuf>,
}

impl Contract {
    /// Creates a contract of all `.proto` files below these directories, to which their imports are relative.
    pub fn new(roots: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self {
            roots: roots.into_iter().map(Into::into).collect(),
            includes: Vec::new(),
            uses: Vec::new(),
            packages: Packages::default(),
            validation_path: None,
            boxed: Vec::new(),
            out_dir: None,
        }
    }

    /// Adds a directory of `.proto` files that may be imported. No code is generated for them; each package whose
    /// messages are used needs an [`extern_path`](Self::extern_path).
    #[must_use]
    pub fn include(mut self, root: impl Into<PathBuf>) -> Self {
        self.includes.push(root.into());
        self
    }

    /// Names the Rust module of a Protobuf package, and of the packages below it, that another crate compiles:
    /// `.extern_path("mainstay.error.v1", "::mainstay_kernel::contract::proto::mainstay::error::v1")`.
    ///
    /// No messages, services or validation are generated for these packages, even if they are below a root. Their
    /// messages must implement `Validate`, unless the package is [`foreign`](Self::foreign). A path that begins with `crate::`
    /// is that of a re-export, which this crate shares.
    #[must_use]
    pub fn extern_path(mut self, package: &str, rust_path: &str) -> Self {
        self.packages.add_extern(package, rust_path);
        self
    }

    /// Takes the `.proto` files, extern paths and validation path of a dependency: of the crate whose Cargo.toml has
    /// this value of `links`, and whose build script calls [`compile`](Self::compile). It must be a direct dependency,
    /// under the name of its package.
    #[must_use]
    pub fn uses(mut self, links: &str) -> Self {
        self.uses.push(links.to_owned());
        self
    }

    /// Declares that a Protobuf package, and the packages below it, are third-party: their messages have no validation.
    /// `google` and `buf` are always third-party.
    #[must_use]
    pub fn foreign(mut self, package: &str) -> Self {
        self.packages.add_foreign(package);
        self
    }

    /// The Rust path of the module that includes `contract.rs`; `crate::contract::proto` by default.
    #[must_use]
    pub fn messages_path(mut self, rust_path: &str) -> Self {
        rust_path.clone_into(&mut self.packages.messages_path);
        self
    }

    /// The Rust path of the module with `Validate`, `Path`, `Violations`, `cel`, `check` and `text`; by default that of the
    /// first crate that this one [`uses`](Self::uses), else `crate::contract::validate`.
    #[must_use]
    pub fn validation_path(mut self, rust_path: &str) -> Self {
        self.validation_path = Some(rust_path.to_owned());
        self
    }

    /// Boxes a field, by its Protobuf path, so that a oneof is not as large as its largest member:
    /// `.boxed("mainstay.support.v1.ExportTicketsResponse.item.data")`.
    #[must_use]
    pub fn boxed(mut self, field: &str) -> Self {
        self.boxed.push(format!(".{}", field.trim_start_matches('.')));
        self
    }

    /// The directory of the generated files; cargo's `OUT_DIR` by default.
    #[must_use]
    pub fn out_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.out_dir = Some(directory.into());
        self
    }

    /// Compiles the contract, and shares it if the crate's Cargo.toml has a `links` key.
    ///
    /// # Errors
    /// The first fault in a `.proto` file, in a rule, or in the options above, with its location; or all faults of the
    /// policies, one line each. Faults that only several crates together have, such as routes that collide, stop the start.
    pub fn compile(mut self) -> Result<(), Error> {
        let mut used = Vec::new();
        for links in std::mem::take(&mut self.uses) {
            let shared = Shared::read(&links)?;
            shared.roots.iter().try_for_each(|root| collect(root, &mut used))?;
            self.includes.extend(shared.roots);
            for (package, rust_path) in shared.packages {
                self.packages.add_extern(&package, &rust_path);
            }
            self.validation_path.get_or_insert(shared.validation_path);
        }
        let validation_path = self.validation_path.as_deref().unwrap_or("crate::contract::validate");
        let out = self.out_dir.clone().map_or_else(|| variable("OUT_DIR").map(PathBuf::from), Ok)?;

        let mut files = Vec::new();
        for root in &self.roots {
            println!("cargo::rerun-if-changed={}", root.display());
            collect(root, &mut files)?;
        }
        for root in &self.includes {
            println!("cargo::rerun-if-changed={}", root.display());
        }
        let mut compiler = protox::Compiler::new(self.roots.iter().chain(&self.includes))?;
        compiler.include_imports(true).include_source_info(true).open_files(files.iter().map(|(path, _)| path))?;
        // The bytes keep the custom options; prost-types would drop them silently.
        let bytes = compiler.encode_file_descriptor_set();
        write(&out.join("descriptors.binpb"), &bytes)?;

        let pool = DescriptorPool::decode(bytes.as_slice()).map_err(Error::new)?;
        let names: HashSet<String> = files.into_iter().map(|(_, name)| name).collect();
        let generated = self.packages.generated_packages(&pool, &names);
        self.packages.check_imports(&pool, &generated)?;
        let (validation, evaluated) = validation::generate(&pool, &self.packages, &generated, validation_path)?;
        write(&out.join("validation.rs"), validation.as_bytes())?;
        write(&out.join(validation::CEL_FILE), &evaluated)?;
        let reason_path = validation_path.replace("::validate", "::reason");
        let reasons = reasons::generate(&pool, &self.packages, &generated, &reason_path)?;
        write(&out.join("reasons.rs"), reasons.as_bytes())?;
        let grpc_path = validation_path.replace("::contract::validate", "::grpc");
        let servers = servers::generate(&pool, &self.packages, &generated, &grpc_path);
        write(&out.join("servers.rs"), servers.as_bytes())?;
        let set = compiler.file_descriptor_set();
        // A policy may name a grant set or a scope of a used crate without an import. Such files must not become part of the
        // set, so they are opened last.
        compiler.open_files(used.into_iter().map(|(_, name)| name))?;
        check_policies(&compiler.descriptor_pool())?;
        messages::generate(set, &self.packages, &generated, &self.boxed, &grpc_path, &out)?;
        shared::write(&self.roots, &self.packages, &generated, validation_path)
    }
}

/// Checks the policies of all methods. A contract whose crates have no policies needs none.
fn check_policies(pool: &DescriptorPool) -> Result<(), Error> {
    if pool.get_extension_by_name("mainstay.policy.v1.method").is_none() {
        return Ok(());
    }
    Policies::read(pool).map(drop).map_err(|faults| Error::new(faults.join("\n")))
}

/// Collects the `.proto` files below a root: their paths, and their names in imports.
fn collect(root: &Path, files: &mut Vec<(PathBuf, String)>) -> Result<(), Error> {
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        let reading = |error| Error::io("reading", &directory, &error);
        for entry in fs::read_dir(&directory).map_err(reading)? {
            let path = entry.map_err(reading)?.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "proto") {
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                files.push((path, name));
            }
        }
    }
    // Directory order differs between machines, and would change the descriptor set.
    files.sort();
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(|error| Error::io("writing", path, &error))
}

/// Reads a variable that cargo sets for build scripts.
#[expect(clippy::disallowed_methods, reason = "how cargo talks to a build script")]
fn variable(name: &str) -> Result<String, Error> {
    env::var(name).map_err(|_| Error::new(format!("{name} is not set: call this from a build script")))
}
