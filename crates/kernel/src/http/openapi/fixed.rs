//! The parts of the document that are the same for every contract, as `fixed.json` has them: the routes outside of the
//! contract with their tag, the parameters and headers that operations refer to, and the error envelope.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    contract::Reason,
    http::openapi::{errors, responses::common_headers, schema::reference},
};

#[derive(Debug, Deserialize)]
pub(crate) struct Fixed {
    pub(crate) tag: Value,
    pub(crate) paths: Map<String, Value>,
    pub(crate) parameters: Map<String, Value>,
    pub(crate) headers: Map<String, Value>,
    pub(crate) envelope: Value,
}

impl Fixed {
    pub(crate) fn read() -> Self {
        let mut fixed: Self =
            serde_json::from_str(include_str!("fixed.json")).expect("the file is part of the program");
        for path in fixed.paths.values_mut() {
            if let Some(responses) = path["get"]["responses"].as_object_mut() {
                responses.entry("503").or_insert_with(overloaded);
            }
        }
        fixed
    }
}

fn overloaded() -> Value {
    let example = errors::example(Reason::Overloaded, None);
    let content = json!({ "application/json": { "schema": reference("ErrorEnvelope"), "example": example } });
    json!({ "description": Reason::Overloaded.facts().summary, "headers": common_headers(), "content": content })
}
