//! What `mainstay add` adds to a repository that `mainstay new` wrote.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Once,
};

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use minijinja::{Value, context};

use super::{
    changes::{Changes, Outcome},
    edit,
    field::{Field, Kind, Target},
    name::{self, Resource},
    template::{self, Names},
};

/// Files to write and to change below a folder.
struct Addition<'a> {
    root: &'a Path,
    module: String,
    names: Names,
    values: Value,
    changes: Changes,
}

/// Adds a resource.
///
/// # Errors
/// Every fault of the names and the fields.
pub(super) fn resource(
    root: &Path,
    name: &str,
    plural: Option<&str>,
    fields: &[String],
    now: DateTime<Utc>,
) -> anyhow::Result<Outcome> {
    let resource = Resource::parse(name, plural);
    let default = ["name:string".to_owned()];
    let fields = Field::parse_all(root, resource.as_ref().ok(), if fields.is_empty() { &default } else { fields });
    let (resource, fields) = both(resource, fields)?;
    ensure!(
        fields.iter().any(|field| !field.is_output),
        "callers need a field that they set: leave out the `!` of one"
    );
    let Resource { name, plural } = &resource;
    let mut addition = Addition::new(root, resource.names(), values(&resource, &fields))?;
    addition.stamp(&format!("create_{plural}"), now);
    let table = format!("diesel::table! {{\n    {}.{plural} (", addition.module);
    let schema = fs::read_to_string(root.join("src/schema.rs")).unwrap_or_default();
    ensure!(
        root.join(format!("src/{name}.rs")).exists() || !schema.contains(&table),
        "src/schema.rs: The table {plural} already exists. Choose another name for the resource, or another --plural. To \
         replace the table, first remove it from src/schema.rs and its migration from migrations/."
    );
    addition.create("resource")?;
    addition.changes.edit(root.join("src/lib.rs"), |text| {
        let text = edit::add_mod(text, &format!("pub mod {name};"))?;
        let text =
            edit::add_call(&text, &format!(".service({name}::service::server)"), &[".service(", ".migrations("])?;
        // Before the resources that it refers to: an erasure deletes its rows first.
        let text = edit::add_call(&text, &format!(".personal({name}::PERSONAL)"), &[".migrations("])?;
        edit::add_call(
            &text,
            &format!(".retention([{name}::RETENTION])"),
            &[".retention(", ".personal(", ".migrations("],
        )
    })?;
    let block = addition.piece("resource_insert", "schema.rs")?;
    addition.changes.edit(root.join("src/schema.rs"), |text| Ok(edit::set_block(text, &table, "\n}\n", &block)))?;
    let scope = format!("\"{}.{plural}.read\"", addition.module);
    addition.declare("resource_insert", &scope)?;
    addition.changes.edit(root.join("tests/it/main.rs"), |text| edit::add_mod(text, &format!("mod {plural};")))?;
    addition.changes.finish()
}

/// Adds a method that changes a resource.
pub(super) fn rpc(root: &Path, resource: &str, name: &str) -> anyhow::Result<Outcome> {
    let (resource, mut addition) = Addition::about(root, resource, name)?;
    let Resource { name: of, .. } = &resource;
    let (camel, method) = (name::camel(of), format!("{}{}", name::camel(name), name::camel(of)));
    let plural = name::camel(&resource.plural);
    addition.create("rpc")?;
    let contract = format!("proto/{}/v1/{of}_service.proto", addition.module);
    let (rpc, service) = (format!("rpc {method}("), format!("service {camel}Service {{"));
    addition.insert("rpc_insert/method.proto", &contract, &rpc, |text, piece| {
        edit::add_to_block(text, &service, "}", piece)
    })?;
    let request = format!("message {method}Request");
    addition.insert("rpc_insert/messages.proto", &contract, &request, append)?;
    for (file, marker, block) in [
        ("service", format!("async fn {name}_{of}("), Some(format!("impl {camel}Service for {plural} {{"))),
        ("ops", format!("pub async fn {name}("), None),
        ("model", format!("pub fn {name}("), Some(format!("impl {camel} {{"))),
    ] {
        let path = format!("src/{of}/{file}.rs");
        addition.insert(&format!("rpc_insert/{file}.rs"), &path, &marker, |text, piece| match &block {
            Some(block) => edit::add_to_block(text, block, "}", piece),
            None => append(text, piece),
        })?;
    }
    addition.test(&format!("{of}_{name}"))?;
    addition.changes.finish()
}

/// A part of a resource: a type in a separate file, which a call of the module registers.
pub(super) struct Part {
    /// The folder of its templates, which ends the name of its file.
    folder: &'static str,
    /// The end of the name of the type.
    suffix: &'static str,
    /// The call, and the trait of the call if it has one.
    call: &'static str,
    uses: Option<&'static str>,
}

pub(super) const JOB: Part = Part { folder: "job", suffix: "", call: ".queue::<", uses: None };
pub(super) const MAIL: Part =
    Part { folder: "mail", suffix: "Mail", call: ".mail::<", uses: Some("use mainstay::mail::ops::SendsMail as _;") };
pub(super) const TILE: Part = Part {
    folder: "tile",
    suffix: "Tile",
    call: ".tile::<",
    uses: Some("use mainstay::dashboard::tile::ops::ShowsTiles as _;"),
};

/// Adds a part of a resource.
pub(super) fn part(root: &Path, part: &Part, resource: &str, name: &str) -> anyhow::Result<Outcome> {
    let (resource, mut addition) = Addition::about(root, resource, name)?;
    let Resource { name: of, .. } = &resource;
    let &Part { folder, suffix, call, uses } = part;
    let file = format!("{name}_{folder}");
    addition.create(folder)?;
    let add_mod = |text: &str| edit::add_mod(text, &format!("pub mod {file};"));
    addition.changes.edit(root.join(format!("src/{of}.rs")), add_mod)?;
    let registration = format!("{call}{of}::{file}::{}{}{suffix}>()", name::camel(name), name::camel(of));
    addition.changes.edit(root.join("src/lib.rs"), |text| {
        let text = uses.map_or_else(|| Ok(text.to_owned()), |line| edit::add_use(text, line))?;
        edit::add_call(&text, &registration, &[call, ".queue::<", ".service(", ".migrations("])
    })?;
    addition.test(&format!("{of}_{file}"))?;
    addition.changes.finish()
}

/// Adds a kind of event of a resource.
pub(super) fn event(root: &Path, resource: &str, name: &str) -> anyhow::Result<Outcome> {
    let (resource, mut addition) = Addition::about(root, resource, name)?;
    let Resource { name: of, .. } = &resource;
    addition.create("event")?;
    let kind = format!("\"{}.{of}.{name}\"", addition.module);
    addition.declare("event_insert", &kind)?;
    addition.insert("event_insert/events.rs", &format!("src/{of}/events.rs"), &kind, |text, piece| {
        edit::add_to_block(text, "mainstay_kernel::event_kinds! {", "}", piece)
    })?;
    addition.test(&format!("{of}_{name}"))?;
    addition.changes.finish()
}

/// Adds a migration with further columns of a resource.
pub(super) fn migration(root: &Path, resource: &str, fields: &[String], now: DateTime<Utc>) -> anyhow::Result<Outcome> {
    let resource = find(root, resource);
    let fields = Field::parse_all(root, resource.as_ref().ok(), fields);
    let fields = fields.and_then(|fields| {
        let required = fields.iter().filter(|field| !field.is_optional && !field.kind.is_collection());
        let faults: Vec<_> = required
            .map(|field| format!("{}: the previous version stores rows without it, so it needs a `?`", field.name))
            .collect();
        if faults.is_empty() { Ok(fields) } else { Err(faults) }
    });
    let (resource, fields) = both(resource, fields)?;
    let mut addition = Addition::new(root, resource.names(), values(&resource, &fields))?;
    let columns = fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join("_and_");
    let is_repeated = addition.stamp(&format!("add_{columns}_to_{}", resource.plural), now);
    addition.names.push(("the_columns", columns));
    addition.create("migration")?;
    let block = addition.piece("migration_insert", "schema.rs")?;
    let table = format!("    {}.{} (", addition.module, resource.plural);
    addition.changes.edit(root.join("src/schema.rs"), |text| {
        let present = text.split_once(&table).and_then(|(_, rest)| rest.split("\n    }").next()).unwrap_or_default();
        if is_repeated && format!("{present}\n").contains(&block) {
            return Ok(text.to_owned());
        }
        let is_present = |name: &&str| present.lines().any(|line| line.trim().starts_with(&format!("{name} -> ")));
        let names = block.lines().filter_map(|line| line.split_whitespace().next());
        let doubled: Vec<_> = names.filter(is_present).collect();
        ensure!(doubled.is_empty(), "the table {} already has the column {}", resource.plural, doubled.join(" and "));
        edit::add_to_block(text, &table, "    }", &block)
    })?;
    addition.changes.finish()
}

/// Finds a resource in a repository.
fn find(root: &Path, resource: &str) -> anyhow::Result<Resource> {
    let target = Target::find(root, resource)?;
    Resource::parse(resource, Some(&target.plural))
}

/// Returns both, or all faults of both.
fn both<A, B>(one: anyhow::Result<A>, other: Result<B, Vec<String>>) -> anyhow::Result<(A, B)> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (one, other) => {
            let faults = one.err().map(|fault| format!("{fault:#}")).into_iter();
            let faults: Vec<_> = faults.chain(other.err().unwrap_or_default()).collect();
            bail!("nothing was written:\n  {}", faults.join("\n  "))
        }
    }
}

fn append(text: &str, piece: &str) -> anyhow::Result<String> {
    Ok(format!("{text}{piece}"))
}

impl<'a> Addition<'a> {
    fn new(root: &'a Path, mut names: Names, values: Value) -> anyhow::Result<Self> {
        let module = module_of(root)?;
        names.push(("my_module", module.clone()));
        Ok(Self { root, module, names, values, changes: Changes::default() })
    }

    /// Begins the addition of an action to a resource.
    fn about(root: &'a Path, resource: &str, name: &str) -> anyhow::Result<(Resource, Self)> {
        let (resource, action) =
            both(find(root, resource), name::action(name).map_err(|fault| vec![format!("{fault:#}")]))?;
        let mut names = resource.names();
        names.extend(action);
        let values = values(&resource, &[]);
        Ok((resource, Self::new(root, names, values)?))
    }

    /// Sets the version of the migration with a name: the present version if the migration exists, and otherwise the
    /// current time, unless another migration has that version. Returns whether the migration exists.
    fn stamp(&mut self, name: &str, now: DateTime<Utc>) -> bool {
        let entries = fs::read_dir(self.root.join("migrations")).into_iter().flatten().flatten();
        let names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        let own = names.iter().find_map(|other| other.strip_suffix(name)?.strip_suffix('_'));
        let is_known = |stamp: &str| names.iter().any(|name| name.starts_with(stamp));
        let times = (0..).map(|seconds| (now + TimeDelta::seconds(seconds)).format("%Y-%m-%d-%H%M%S").to_string());
        let stamp = own.map(str::to_owned).into_iter().chain(times.skip_while(|stamp| is_known(stamp))).next();
        self.names.push(("0000-00-00-000000", stamp.expect("the times do not end")));
        own.is_some()
    }

    /// Adds the files of a template folder.
    fn create(&mut self, folder: &str) -> anyhow::Result<()> {
        for (file, text) in template::files(folder, &self.names) {
            let text = template::fill(&text, &self.values).with_context(|| format!("the template of {file}"))?;
            let text = if file.ends_with(".rs") { formatted(self.root, text) } else { text };
            self.changes.create(self.root.join(file), text);
        }
        Ok(())
    }

    /// Returns a piece that is inserted into a file.
    fn piece(&self, folder: &str, name: &str) -> anyhow::Result<String> {
        let piece = template::files(folder, &self.names).find_map(|(file, text)| (file == name).then_some(text));
        template::fill(&piece.with_context(|| format!("no template {folder}/{name}"))?, &self.values)
    }

    /// Inserts a piece into a file that has not its `marker`.
    fn insert(
        &mut self,
        template: &str,
        file: &str,
        marker: &str,
        insert: impl FnOnce(&str, &str) -> anyhow::Result<String>,
    ) -> anyhow::Result<()> {
        let (folder, name) = template.split_once('/').unwrap_or_default();
        let (piece, root) = (self.piece(folder, name)?, self.root);
        self.changes.insert(root.join(file), marker, &piece, |text| {
            let inserted = insert(text, &piece)?;
            // A file that its author formats otherwise is left in that form.
            let is_formatted = file.ends_with(".rs") && formatted(root, text.to_owned()) == text;
            Ok(if is_formatted { formatted(root, inserted) } else { inserted })
        })
    }

    /// Declares scopes and events in `module.proto`.
    fn declare(&mut self, folder: &str, marker: &str) -> anyhow::Result<()> {
        let piece = self.piece(folder, "module.proto")?;
        let file = self.root.join(format!("proto/{}/v1/module.proto", self.module));
        self.changes.edit(file, |text| {
            if text.contains(marker) {
                return Ok(text.to_owned());
            }
            edit::add_to_block(text, "option (mainstay.policy.v1.module) = {", "}", &piece)
        })
    }

    /// Declares a file of tests.
    fn test(&mut self, file: &str) -> anyhow::Result<()> {
        self.changes.edit(self.root.join("tests/it/main.rs"), |text| edit::add_mod(text, &format!("mod {file};")))
    }
}

/// Returns the values that the templates of a resource insert.
fn values(resource: &Resource, fields: &[Field]) -> Value {
    let code: Vec<_> = fields.iter().map(|field| field.code(&resource.name, &resource.plural)).collect();
    let (output, settable): (Vec<_>, Vec<_>) = code.iter().partition(|field| field.is_output);
    let columns: Vec<_> = code.iter().flat_map(|field| field.columns.clone()).collect();
    let listed = |names: Vec<&str>| names.join(", ");
    let references: Vec<_> = code.iter().filter(|field| field.reference.is_some()).collect();
    let referenced: BTreeSet<_> = references.iter().filter_map(|field| field.reference.as_ref()).collect();
    let tables: Vec<_> = referenced.iter().map(|target| &target.plural).collect();
    let has = |of: fn(&Kind) -> bool| fields.iter().any(|field| of(&field.kind));
    let is_cleared = settable.iter().any(|field| field.is_required);
    let converts = |text: &str| settable.iter().any(|field| field.create.contains(text) || field.patch.contains(text));
    let uses = BTreeMap::from([
        ("date", has(|kind| *kind == Kind::Date)),
        ("money", has(|kind| *kind == Kind::Money)),
        ("uuid", has(|kind| *kind == Kind::Uuid)),
        ("parsed_uuid", converts("Uuid::")),
        ("enum", has(|kind| matches!(kind, Kind::Enum(_)))),
        ("map", has(|kind| *kind == Kind::Map)),
        ("corrupt", has(|kind| matches!(kind, Kind::Enum(_) | Kind::Map))),
        ("parse", converts("parse::")),
        ("error", is_cleared || converts("Error::")),
        ("cleared", is_cleared),
        ("optional", code.iter().any(|field| field.is_optional)),
        ("clearable", settable.iter().any(|field| !field.is_required)),
        ("checked", settable.iter().any(|field| field.is_checked)),
    ]);
    let personal: Vec<_> = columns.iter().filter(|column| column.is_personal()).collect();
    let settable_names = fields.iter().filter(|field| !field.is_output).map(|field| field.name.as_str());
    context! {
        personal,
        names => listed(fields.iter().map(|field| field.name.as_str()).collect()),
        settable_names => listed(settable_names.collect()),
        column_names => listed(columns.iter().map(|column| column.name.as_str()).collect()),
        has_required_reference => references.iter().any(|field| !field.is_optional),
        referenced_tables => tables,
        fields => code,
        output, settable,
        references, referenced, columns, uses,
    }
}

/// Returns the name of the module in a folder.
fn module_of(root: &Path) -> anyhow::Result<String> {
    let packages = fs::read_dir(root.join("proto")).into_iter().flatten().flatten();
    let mut modules: Vec<_> = packages
        .filter(|package| package.path().join("v1/module.proto").is_file())
        .map(|package| package.file_name().to_string_lossy().into_owned())
        .collect();
    match (modules.pop(), modules.is_empty()) {
        (Some(module), true) => Ok(module),
        (None, _) => bail!("there is no proto/<module>/v1/module.proto here: run this in a folder that `new` wrote"),
        (Some(_), false) => bail!("there are several modules in proto/: run this in a folder with one"),
    }
}

/// Formats Rust, because names change the lengths of lines. Without rustfmt, the code compiles unformatted.
fn formatted(root: &Path, text: String) -> String {
    let run = || {
        let root: PathBuf = if root.as_os_str().is_empty() { ".".into() } else { root.to_owned() };
        let mut rustfmt = Command::new("rustfmt");
        rustfmt.args(["--edition", "2024"]).current_dir(root);
        rustfmt.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = rustfmt.spawn().ok()?;
        child.stdin.take()?.write_all(text.as_bytes()).ok()?;
        let output = child.wait_with_output().ok()?;
        output.status.success().then(|| String::from_utf8(output.stdout).ok()).flatten()
    };
    run().unwrap_or_else(|| {
        static WARNING: Once = Once::new();
        WARNING.call_once(|| eprintln!("mainstay: rustfmt did not format the code; run `cargo fmt` later"));
        text
    })
}
