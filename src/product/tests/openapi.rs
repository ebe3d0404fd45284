//! The OpenAPI document.

use std::collections::{BTreeSet, HashSet};

use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::modules;

/// Returns the document of the whole product.
fn document(server: Option<&str>) -> Value {
    modules().openapi(server)
}

/// Returns every operation with its HTTP method and path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
    });
    operations.collect()
}

/// Calls `see` for every key of every object, at any depth.
fn visit(value: &Value, see: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            see(key, value);
            visit(value, see);
        }),
        Value::Array(items) => items.iter().for_each(|item| visit(item, see)),
        _ => {}
    }
}

/// Returns the example of the JSON body of a request or a response, if there is one.
fn example(body: &Value) -> Option<&Value> {
    body["content"]["application/json"].get("example")
}

#[test]
fn every_method_has_its_operation() {
    let document = document(None);
    let operations = operations(&document);
    let ids: HashSet<_> = operations.iter().map(|(_, operation)| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), operations.len(), "duplicate operation id");
    for method in modules().contract.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let id = format!("{}_{}", method.parent_service().name(), method.name());
        assert!(ids.contains(id.as_str()), "{id}");
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    let document = document(None);
    let mut used = HashSet::new();
    visit(&document, &mut |key, value| {
        if key == "$ref" {
            let pointer = value.as_str().unwrap().trim_start_matches('#');
            assert!(document.pointer(pointer).is_some_and(|target| !target.is_null()), "{pointer}");
            used.insert(pointer.to_owned());
        }
    });
    for section in ["parameters", "headers", "responses", "schemas"] {
        for name in document["components"][section].as_object().unwrap().keys() {
            let pointer = format!("/components/{section}/{name}");
            assert!(used.contains(&pointer), "{pointer}");
        }
    }
}

#[test]
fn every_operation_says_what_can_happen() {
    let document = document(None);
    for (name, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with(['2', '3']) && status != "304"), "{name}");
        assert!(responses.contains_key("500") && responses.contains_key("429"), "{name}");
        // A title that fits into a sidebar; the sentences are in the description.
        let title = operation["summary"].as_str().unwrap();
        assert!((2..=5).contains(&title.split(' ').count()) && !title.ends_with('.'), "{name}: {title}");
        assert!(operation["description"].as_str().unwrap().ends_with('.'), "{name}");
        assert!(operation.get("x-policy").is_none() || responses.contains_key("504"), "{name}");
        let alternatives = operation["security"].as_array().unwrap();
        let secured = !alternatives.is_empty() && !alternatives.contains(&json!({}));
        assert_eq!(secured, responses.contains_key("403"), "{name}");
        // A method without credentials can't return errors about them.
        let codes = operation.get("x-error-codes").and_then(Value::as_array);
        let unauthenticated = codes.is_some_and(|codes| codes.contains(&json!("UNAUTHENTICATED")));
        assert_eq!(secured, unauthenticated, "{name}");
        if let Some(body) = operation.get("requestBody") {
            for content in body["content"].as_object().unwrap().values() {
                assert!(content.get("example").is_some(), "{name}");
            }
        }
        let bodies =
            responses.iter().filter(|(status, _)| status.starts_with('2')).filter_map(|(_, r)| r.get("content"));
        for content in bodies {
            assert!(content.as_object().unwrap().values().all(|content| content.get("example").is_some()), "{name}");
        }
    }
}

#[test]
fn examples_are_messages_of_the_contract() {
    let document = document(None);
    for (name, operation) in operations(&document) {
        let Some(path) = operation.get("x-grpc-method").and_then(Value::as_str) else { continue };
        let (service, method) = path.split_once('/').unwrap();
        let service = modules().contract.descriptors.get_service_by_name(service).unwrap();
        let method = service.methods().find(|candidate| candidate.name() == method).unwrap();
        for (status, response) in operation["responses"].as_object().unwrap() {
            // A raw body is no message.
            let example = example(response).filter(|example| status.starts_with('2') && !example.is_string());
            if let Some(example) = example {
                DynamicMessage::deserialize(method.output(), example).unwrap_or_else(|e| panic!("{name}: {e}"));
            }
        }
        let reference = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        let message = reference.as_str().and_then(|reference| reference.rsplit('/').next());
        let package = method.input().package_name().to_owned();
        let message =
            message.and_then(|name| modules().contract.descriptors.get_message_by_name(&format!("{package}.{name}")));
        if let (Some(message), Some(example)) = (message, example(&operation["requestBody"])) {
            DynamicMessage::deserialize(message, example).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }
}

#[test]
fn schemas_have_the_rules_of_requests_and_the_required_fields_of_responses() {
    let document = document(None);
    let schemas = &document["components"]["schemas"];
    let request = &schemas["CreateTicketRequest"];
    assert_eq!(request["required"], json!(["subject", "body"]));
    assert_eq!(request["properties"]["subject"]["maxLength"], 200);
    assert_eq!(request["properties"]["tags"]["uniqueItems"], true);
    assert_eq!(request["properties"]["accountId"]["format"], "uuid");
    assert_eq!(request["properties"]["language"]["pattern"], "^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$");
    let required = schemas["Ticket"]["required"].as_array().unwrap();
    assert!(required.contains(&json!("subject")) && required.contains(&json!("createTime")), "{required:?}");
    assert!(!required.contains(&json!("assigneeId")), "not every ticket has one");
    assert_eq!(schemas["GetTicketResponse"]["required"], json!(["data"]));
    assert_eq!(schemas["Ticket"]["properties"]["version"]["type"], "string");
    let kinds = schemas["TicketKind"]["enum"].as_array().unwrap();
    assert!(!kinds.contains(&json!("TICKET_KIND_UNSPECIFIED")));
}

/// Code generators name an inline enum by its message and its field, and drop the message if a component has that name.
#[test]
fn an_inline_enum_shares_its_name_with_no_component() {
    let document = document(None);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let pascal = |name: &str| name[..1].to_ascii_uppercase() + &name[1..];
    let mut components = 0;
    for (name, schema) in schemas {
        components += usize::from(schema.get("enum").is_some());
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            let value = property.get("items").unwrap_or(property);
            let generated = format!("{name}{}", pascal(field));
            assert!(value.get("enum").is_none() || !schemas.contains_key(&generated), "{name}.{field}");
        }
    }
    assert!(components > 10, "{components} enums");
}

/// Returns the fields that a response may omit according to the contract.
fn may_be_absent(message: &MessageDescriptor) -> BTreeSet<String> {
    let option = message.parent_pool().get_extension_by_name("mainstay.policy.v1.may_be_absent").unwrap();
    let absent = |field: &FieldDescriptor| {
        let is_choice = field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic());
        is_choice || field.options().get_extension(&option).as_bool() == Some(true)
    };
    message.fields().filter(absent).map(|field| field.json_name().to_owned()).collect()
}

/// Compares the schema of a message in a response, and of its nested messages, with the contract.
fn compare(document: &Value, schema: &Value, message: &MessageDescriptor, references: &mut HashSet<String>) {
    // Files and times are not objects, so they have no reference.
    let Some(reference) = schema["$ref"].as_str().filter(|reference| references.insert((*reference).to_owned())) else {
        return;
    };
    let schema = document.pointer(reference.trim_start_matches('#')).unwrap();
    let all: BTreeSet<_> = message.fields().map(|field| field.json_name().to_owned()).collect();
    let properties = schema["properties"].as_object().into_iter().flat_map(Map::keys).cloned().collect::<BTreeSet<_>>();
    assert_eq!(properties, all, "{}", message.full_name());
    let required = schema["required"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap().to_owned());
    let optional: BTreeSet<_> = properties.difference(&required.collect()).cloned().collect();
    assert_eq!(optional, may_be_absent(message), "{}", message.full_name());
    for field in message.fields() {
        if let Some(inner) = field.kind().as_message() {
            let property = &schema["properties"][field.json_name()];
            compare(document, property.get("items").unwrap_or(property), inner, references);
        }
    }
}

#[test]
fn a_response_lacks_no_field_but_those_that_may_be_absent() {
    let document = document(None);
    let mut references = HashSet::new();
    for (_, operation) in operations(&document) {
        let Some(path) = operation.get("x-grpc-method").and_then(Value::as_str) else { continue };
        let (service, method) = path.split_once('/').unwrap();
        let service = modules().contract.descriptors.get_service_by_name(service).unwrap();
        let method = service.methods().find(|candidate| candidate.name() == method).unwrap();
        let responses = operation["responses"].as_object().unwrap().iter();
        let bodies =
            responses.filter(|(status, _)| status.starts_with('2')).filter_map(|(_, response)| response.get("content"));
        for content in bodies.flat_map(|content| content.as_object().unwrap().values()) {
            compare(&document, &content["schema"], &method.output(), &mut references);
        }
    }
    for name in ["ListTicketsResponse", "Ticket", "PageMeta", "Money", "WatchTicketsResponse"] {
        assert!(references.contains(&format!("#/components/schemas/{name}")), "{name} is not compared: {references:?}");
    }
}

/// A reader copies the example, so it has the form of its media type.
#[test]
fn the_example_of_a_raw_body_has_its_media_type() {
    let document = document(None);
    let mut found = BTreeSet::new();
    for (name, operation) in operations(&document) {
        for (media_type, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
            let Some(example) = content["example"].as_str() else { continue };
            let is_good = match media_type.as_str() {
                "text/csv" => example.lines().next().unwrap().contains(','),
                "text/tab-separated-values" => example.lines().all(|line| line.split('\t').count() > 1),
                "application/x-ndjson" => example.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()),
                "application/json" => serde_json::from_str::<Value>(example).is_ok(),
                "application/x-www-form-urlencoded" => example.starts_with("payload=%7B"),
                _ => true,
            };
            assert!(is_good, "{name}: {media_type}: {example}");
            found.insert(media_type.clone());
        }
    }
    assert!(found.len() > 5, "{found:?}");
    let import = &document["paths"]["/api/v1/tickets/import"]["post"]["requestBody"]["content"];
    assert_eq!(import["application/octet-stream"]["example"], import["text/csv"]["example"]);
}

#[test]
fn the_path_takes_its_fields_out_of_body_and_query() {
    let document = document(None);
    let assign = &document["paths"]["/api/v1/tickets/{ticketId}/assign"]["post"];
    let schema = &document["components"]["schemas"]["AssignTicketRequest"];
    assert!(schema["properties"].get("ticketId").is_none());
    assert_eq!(assign["parameters"][0]["in"], "path");
    let patch = &document["paths"]["/api/v1/tickets/{ticketId}"]["patch"];
    let names: Vec<_> = patch["parameters"].as_array().unwrap().iter().filter_map(|p| p["name"].as_str()).collect();
    assert_eq!(names, ["ticketId", "updateMask"]);
    let mask = patch["parameters"][1]["schema"]["pattern"].as_str().unwrap();
    assert!(mask.starts_with("^(\\*|(subject|body|"), "{mask}");
}

#[test]
fn policies_become_headers_and_statuses() {
    let document = document(Some("https://api.example.com"));
    assert_eq!(document["servers"][0]["url"], "https://api.example.com");
    let paths = &document["paths"];
    let headers = &paths["/api/v1/tickets"]["post"]["responses"]["201"]["headers"];
    assert!(headers.get("Location").is_some() && headers.get("Idempotent-Replayed").is_some());
    let read = &paths["/api/v1/tickets/{ticketId}"]["get"];
    assert!(read["responses"].get("304").is_some());
    assert!(read["parameters"].as_array().unwrap().contains(&json!({ "$ref": "#/components/parameters/IfNoneMatch" })));
    let import = &paths["/api/v1/tickets/import"]["post"];
    assert!(import["responses"].get("202").is_some() && import["requestBody"]["content"].get("text/csv").is_some());
    let limited = &paths["/api/v1/tickets"]["post"]["responses"]["422"]["description"];
    assert!(limited.as_str().unwrap().contains("OPEN_TICKET_LIMIT_REACHED"));
    assert_eq!(paths["/api/v1/auth/login"]["post"]["security"], json!([]));
    // There is nothing to negotiate about a redirection and a 204.
    let has_406 = |path: &str, method: &str| paths[path][method]["responses"].get("406").is_some();
    assert!(has_406("/api/v1/files/{fileId}", "get"));
    assert!(!has_406("/api/v1/files/{fileId}", "delete") && !has_406("/api/v1/files/{fileId}/content", "get"));
}
