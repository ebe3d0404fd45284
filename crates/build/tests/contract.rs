//! A small contract that imports packages of another crate, compiled from a temporary directory.

use std::{fs, path::Path};

use mainstay_build::{Contract, Error};
use prost_reflect::DescriptorPool;
use tempfile::TempDir;

/// The rules that the tests use, as in buf's own file.
const VALIDATE: &str = r#"
syntax = "proto2";
package buf.validate;
import "google/protobuf/descriptor.proto";
extend google.protobuf.FieldOptions { optional FieldRules field = 1159; optional PredefinedRules predefined = 1160; }
extend google.protobuf.MessageOptions { optional MessageRules message = 1159; }
message Rule { optional string expression = 3; }
message PredefinedRules { repeated Rule cel = 1; }
message MessageRules { repeated Rule cel = 3; repeated MessageOneofRule oneof = 4; }
message MessageOneofRule { repeated string fields = 1; }
message FieldRules {
  repeated string cel_expression = 29;
  optional bool required = 25;
  oneof type { StringRules string = 14; FloatRules float = 1; }
}
message StringRules {
  optional uint64 max_len = 3;
  optional string pattern = 6;
  optional string novel = 99;
  extensions 1000 to max;
}
message FloatRules {
  oneof less_than { float lt = 2; }
  oneof greater_than { float gt = 4; }
  extensions 1000 to max;
}
extend FloatRules { optional bool round = 1000; }
extend StringRules { optional string shape = 1000 [(predefined) = {cel: {expression: 'this.matches(rule)'}}]; }
"#;

const PAGE: &str = r#"
syntax = "proto3";
package kernel.common.v1;
import "google/protobuf/descriptor.proto";
extend google.protobuf.MethodOptions { string policy = 50100; }
message Page { int32 size = 1; }
enum Order { ORDER_UNSPECIFIED = 0; }
service PageService { rpc GetPage(Page) returns (Page); }
"#;

const FLEET: &str = r#"
syntax = "proto3";
package fleet.v1;
import "buf/validate/validate.proto";
import "google/protobuf/timestamp.proto";
import "kernel/common/v1/page.proto";
// A comment.
message Vehicle {
  string name = 1 [(buf.validate.field).string.max_len = 20];
  kernel.common.v1.Page page = 2 [(buf.validate.field).required = true];
  google.protobuf.Timestamp since = 3;
  oneof power { Engine engine = 4; string type = 5; }
  message Engine { repeated kernel.common.v1.Order orders = 1; }
}
service VehicleService {
  rpc PutVehicle(Vehicle) returns (kernel.common.v1.Page) { option (kernel.common.v1.policy) = "all"; }
}
"#;

/// The directories of two crates' `.proto` files, and of the generated code.
fn contract_dir(fleet: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let files = [
        ("fleet/fleet/v1/vehicle.proto", fleet),
        ("kernel/kernel/common/v1/page.proto", PAGE),
        ("kernel/buf/validate/validate.proto", VALIDATE),
        ("out/empty", ""),
    ];
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
    dir
}

fn contract(dir: &Path) -> Contract {
    Contract::new([dir.join("fleet")])
        .include(dir.join("kernel"))
        .messages_path("crate::proto")
        .validation_path("::kernel::validate")
        .out_dir(dir.join("out"))
}

fn compile(dir: &TempDir) -> Result<(), Error> {
    contract(dir.path()).extern_path("kernel.common", "::kernel::proto::kernel::common").compile()
}

fn read(dir: &TempDir, name: &str) -> String {
    fs::read_to_string(dir.path().join("out").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn messages_of_another_crate_are_named_and_not_generated() {
    let dir = contract_dir(FLEET);
    compile(&dir).expect("it compiles");
    let contract = read(&dir, "contract.rs");
    assert!(
        contract.contains("fleet.v1.rs") && !contract.contains("kernel") && !contract.contains("buf"),
        "{contract}"
    );
    let messages = read(&dir, "fleet.v1.rs");
    assert!(messages.contains("::kernel::proto::kernel::common::v1::Page"), "{messages}");
    assert!(messages.contains("pub mod vehicle_service_server"), "{messages}");
    // The validation module is another one here, so its default path must not occur.
    assert!(messages.contains("::kernel::validate::Codec::default()") && !messages.contains("Prost"), "{messages}");
    assert!(!dir.path().join("out/kernel.common.v1.rs").exists());
}

#[test]
fn validation_names_the_other_crate_and_descends_into_its_messages() {
    let dir = contract_dir(FLEET);
    compile(&dir).expect("it compiles");
    let validation = read(&dir, "validation.rs");
    assert!(validation.contains("use ::kernel::validate::{Path, Validate, Violations, check, text};"), "{validation}");
    let implementations: Vec<_> = validation.lines().filter_map(|line| line.strip_prefix("impl ")).collect();
    let expected = ["crate::proto::fleet::v1::Vehicle", "crate::proto::fleet::v1::vehicle::Engine"];
    assert_eq!(implementations, expected.map(|path| format!("Validate for {path} {{")));
    for field in ["page", "since", "engine"] {
        let descent = format!("value.validate(&path.field({field:?}), violations);");
        assert!(validation.contains(&descent), "{descent} is not in {validation}");
    }
    assert!(validation.contains("crate::proto::fleet::v1::vehicle::Power::Type(value)"), "{validation}");
    assert!(validation.contains("must be at most 20 characters"), "{validation}");
    assert!(validation.contains("{ let value = &mut self.name; text::normalize(value); }"), "{validation}");
    assert!(validation.contains("if let Some(value) = &mut self.page { value.normalize(); }"), "{validation}");
    let orders =
        "path.field(\"orders\").item(index), if !matches!(*value, 0) { Some(\"must be one of ORDER_UNSPECIFIED\") }";
    assert!(validation.contains(orders), "an enum has values without a rule: {validation}");
}

#[test]
fn one_descriptor_set_has_imports_comments_and_options() {
    let dir = contract_dir(FLEET);
    compile(&dir).expect("it compiles");
    let bytes = fs::read(dir.path().join("out/descriptors.binpb")).expect("a descriptor set");
    let pool = DescriptorPool::decode(bytes.as_slice()).expect("a descriptor set");
    assert!(pool.get_message_by_name("kernel.common.v1.Page").is_some());
    let file = pool.get_file_by_name("fleet/v1/vehicle.proto").expect("the file");
    let comments = file.file_descriptor_proto().source_code_info.as_ref().expect("source info");
    assert!(comments.location.iter().any(|location| location.leading_comments() == " A comment.\n"));
    let policy = pool.get_extension_by_name("kernel.common.v1.policy").expect("the option");
    let method = pool.services().find(|service| service.name() == "VehicleService").expect("the service");
    let method = method.methods().next().expect("a method");
    assert_eq!(method.options().get_extension(&policy).as_str(), Some("all"));
}

#[test]
fn an_import_without_a_rust_path_names_the_cure() {
    let dir = contract_dir(FLEET);
    let error = contract(dir.path()).compile().expect_err("no Rust path").to_string();
    assert!(error.contains("fleet.v1.Vehicle.page") && error.contains(".extern_path(\"kernel.common.v1\""), "{error}");
}

#[test]
fn a_fault_of_a_policy_names_the_file_and_the_method() {
    let compile = |module: &str, method: &str| {
        let dir = tempfile::tempdir().expect("a directory");
        let folder = dir.path().join("fleet/v1");
        fs::create_dir_all(&folder).expect("a directory");
        let service = format!(
            "syntax = \"proto3\"; package fleet.v1;
             import \"google/api/annotations.proto\"; import \"mainstay/policy/v1/method.proto\";
             import \"mainstay/policy/v1/grant_sets.proto\";
             service VehicleService {{
               rpc GetVehicle(Vehicle) returns (Vehicle) {{
                 option (google.api.http) = {{get: \"/api/v1/vehicles\"}}; {method}
               }}
             }}
             message Vehicle {{}}"
        );
        let module = format!(
            "syntax = \"proto3\"; package fleet.v1; import \"mainstay/policy/v1/module.proto\";
             option (mainstay.policy.v1.module) = {{{module}}};"
        );
        fs::write(folder.join("vehicle.proto"), service).expect("a file");
        fs::write(folder.join("module.proto"), module).expect("a file");
        let kernel = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernel");
        let contract = Contract::new([dir.path()])
            .include(kernel.join("proto"))
            .include(kernel.join("third_party"))
            .validation_path("::kernel::contract::validate")
            .out_dir(dir.path());
        contract.compile().err().map(|error| error.to_string()).unwrap_or_default()
    };
    let module = "name: \"fleet\" scopes: [{name: \"fleet.vehicles.read\" summary: \"Read vehicles.\"}]";
    let policy = |fields: &str| format!("option (mainstay.policy.v1.method) = {{{fields}}};");
    assert_eq!(compile(module, &policy("access: \"account\" scope: \"fleet.vehicles.read\"")), "");
    let method = "fleet/v1/vehicle.proto: fleet.v1.VehicleService.GetVehicle: ";
    for (module, options, fault) in [
        (module, "", format!("{method}no policy: ")),
        (module, &*policy("access: \"acount\""), format!("{method}there is no grant set \"acount\", only ")),
        (
            module,
            &*policy("access: \"self\" scope: \"fleet.drive\""),
            format!("{method}there is no scope \"fleet.drive\""),
        ),
        (
            module,
            &*(policy("access: \"self\"") + "option deprecated = true;"),
            format!("{method}a deprecated method has dates"),
        ),
        (
            "name: \"Fleet\"",
            &*policy("access: \"self\""),
            "fleet/v1/module.proto: the module's name \"Fleet\"".to_owned(),
        ),
    ] {
        let faults = compile(module, options);
        assert!(faults.starts_with(&fault) && faults.lines().count() == 1, "{faults} instead of {fault}");
    }
}

#[test]
fn a_rule_that_cannot_be_compiled_names_its_field() {
    let with = |field: &str| FLEET.replace("message Engine {", &format!("message Engine {{ {field} "));
    let of_engine = "fleet.v1.Vehicle.Engine";
    for (field, fault) in [
        ("float power = 2 [(buf.validate.field).cel_expression = 'this >'];", ".power: the rule `this >`: "),
        (
            "float power = 2 [(buf.validate.field).cel_expression = 'this.size > 0'];",
            ".power: the rule `this.size > 0`: double has no field size",
        ),
        (
            "float power = 2 [(buf.validate.field).cel_expression = 'that > 0'];",
            ".power: the rule `that > 0`: the name that is unknown",
        ),
        (
            "float power = 2 [(buf.validate.field).cel_expression = 'this + 1 > 2.0'];",
            ".power: the rule `this + 1 > 2.0`: the operator _+_ does not apply to double and int",
        ),
        (
            "float power = 2 [(buf.validate.field).cel_expression = 'this.round() > 0.0'];",
            ".power: the rule `this.round() > 0.0`: the function round is unknown",
        ),
        (
            "float power = 2 [(buf.validate.field).cel_expression = 'this.isEmail()'];",
            ".power: the rule `this.isEmail()`: the method isEmail does not apply to double",
        ),
        (
            "string power = 2 [(buf.validate.field).cel_expression = 'this.startsWith(5)'];",
            ".power: the rule `this.startsWith(5)`: the method startsWith does not apply to string, int",
        ),
        (
            "string power = 2 [(buf.validate.field).cel_expression = 'startsWith(this, this)'];",
            ".power: the rule `startsWith(this, this)`: the function startsWith does not apply to string, string",
        ),
        (
            "string power = 2 [(buf.validate.field).cel_expression = 'this.matches(\"[\")'];",
            ".power: the rule `this.matches(\"[\")`: the pattern is no regular expression",
        ),
        (
            "string power = 2 [(buf.validate.field).cel_expression = 'this.matches(this)'];",
            ".power: the rule `this.matches(this)`: the pattern of matches is neither",
        ),
        (
            "string power = 2 [(buf.validate.field).string.(buf.validate.shape) = '['];",
            ".power: the rule `this.matches(rule)`: the pattern is no regular expression",
        ),
        (
            "repeated string power = 2 [(buf.validate.field).cel_expression = 'this.all(rule, rule.matches(rule))'];",
            ".power: the rule `this.all(rule, rule.matches(rule))`: rule is a variable of all rules",
        ),
        (
            "float power = 2 [(buf.validate.field).cel_expression = 'this'];",
            ".power: the rule `this`: the result is double, and neither a bool nor a string",
        ),
        (
            "option (buf.validate.message).cel = {expression: 'this.power > 0'};",
            ": the rule `this.power > 0`: fleet.v1.Vehicle.Engine has no field power",
        ),
        (
            "option (buf.validate.message).cel = {expression: 'now == now'};",
            ": the rule `now == now`: a rule of a message names a field of `this`",
        ),
        ("option (buf.validate.message).cel = {};", ": a rule in CEL has no expression"),
        (
            "float power = 2 [(buf.validate.field).float.(buf.validate.round) = true];",
            ".power: the rule (buf.validate.round) has no expression",
        ),
        ("string power = 2 [(buf.validate.field).string.novel = 'a'];", ".power: the rule novel has no check yet"),
        ("string power = 2 [(buf.validate.field).float.gt = 0];", ".power: float rules on a field of type string"),
        ("repeated float power = 2 [(buf.validate.field).float.gt = 0];", ".power: float rules on a list"),
        ("map<string, float> power = 2 [(buf.validate.field).float.gt = 0];", ".power: float rules on a map"),
        (
            "float power = 2 [(buf.validate.field).float = {gt: 5 lt: 5}];",
            ".power: no value is greater than 5 and less than 5",
        ),
        (
            "option (buf.validate.message).oneof = {fields: 'power'};",
            ": a oneof rule names the field power, which does not",
        ),
        ("option (buf.validate.message).oneof = {};", ": a oneof rule names no field"),
    ] {
        let error = compile(&contract_dir(&with(field))).expect_err(field).to_string();
        assert!(error.starts_with(&format!("{of_engine}{fault}")), "{field}: {error}");
    }
}

#[test]
fn a_message_with_rules_in_cel_has_a_table_and_the_descriptors_of_its_fields() {
    let rule = "option (buf.validate.message).cel = {expression: 'size(this.orders) < 3'};";
    let dir = contract_dir(&FLEET.replace("message Engine {", &format!("message Engine {{ {rule}")));
    compile(&dir).expect("it compiles");
    let validation = read(&dir, "validation.rs");
    for part in [
        ", cel};",
        "cel::pool(include_bytes!(\"cel.binpb\"))",
        "cel::Rules::new(&POOL, \"fleet.v1.Vehicle.Engine\", &[",
    ] {
        assert!(validation.contains(part), "{part} is not in {validation}");
    }
    assert_eq!(validation.matches("cel::Rules::new").count(), 1, "other messages have no table: {validation}");
    let descriptors = fs::read(dir.path().join("out/cel.binpb")).expect("a file");
    let pool = DescriptorPool::decode(descriptors.as_slice()).expect("descriptors");
    let mut files: Vec<_> = pool.files().map(|file| file.name().to_owned()).collect();
    files.sort();
    // Neither the options of the rules nor the messages of services are needed.
    assert_eq!(files, ["fleet/v1/vehicle.proto", "google/protobuf/timestamp.proto", "kernel/common/v1/page.proto"]);
}

#[test]
fn maps_are_ordered_and_their_entries_are_checked() {
    let fleet = FLEET.replace("message Engine {", "map<string, Engine> spares = 6; message Engine {");
    let dir = contract_dir(&fleet);
    compile(&dir).expect("it compiles");
    assert!(read(&dir, "fleet.v1.rs").contains("BTreeMap<"), "equal messages have equal bytes");
    let validation = read(&dir, "validation.rs");
    for part in ["for (key, value) in &self.spares", "value.validate(&path, violations);", "value.normalize();"] {
        assert!(validation.contains(part), "{part} is not in {validation}");
    }
}

#[test]
fn a_pattern_is_checked_and_compiles() {
    let with = |pattern: &str| {
        let rules = format!("{{ max_len: 20 pattern: \"{pattern}\" }}");
        FLEET.replace(".string.max_len = 20", &format!(".string = {rules}"))
    };
    let dir = contract_dir(&with("^[A-Z]$"));
    compile(&dir).expect("it compiles");
    let validation = read(&dir, "validation.rs");
    assert!(validation.contains("check::Pattern::new(\"^[A-Z]$\")"), "{validation}");
    assert!(validation.contains("must match ^[A-Z]$"), "{validation}");
    let error = compile(&contract_dir(&with("^[A-Z$"))).expect_err("no expression").to_string();
    assert!(error.starts_with("fleet.v1.Vehicle.name: the pattern is no regular expression"), "{error}");
}

#[test]
fn the_message_for_an_enum_names_no_value_twice() {
    let kind = "enum Kind { option allow_alias = true; KIND_UNSPECIFIED = 0; KIND_A = 1; KIND_B = 2; KIND_FIRST = 1; }";
    let dir = contract_dir(&FLEET.replace("message Engine {", &format!("{kind} message Engine {{ Kind kind = 2;")));
    compile(&dir).expect("it compiles");
    let validation = read(&dir, "validation.rs");
    let names = validation.split("must be one of KIND_").nth(1).and_then(|rest| rest.split('"').next());
    assert_eq!(names.map(|names| names.split(", ").count()), Some(2), "{validation}");
}

#[test]
fn a_fault_in_a_file_has_its_place() {
    let fleet = FLEET.replace("repeated kernel.common.v1.Order", "repeated kernel.common.v1.Ordr");
    let error = compile(&contract_dir(&fleet)).expect_err("no such enum").to_string();
    assert!(error.contains("fleet/v1/vehicle.proto:") && error.contains("Ordr"), "{error}");
}

#[test]
fn an_unknown_dependency_is_named() {
    let dir = contract_dir(FLEET);
    let error = contract(dir.path()).uses("mainstay-kernel").compile().expect_err("not a build script").to_string();
    assert!(error.contains("links = \"mainstay-kernel\""), "{error}");
}
