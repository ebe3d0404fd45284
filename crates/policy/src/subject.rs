//! What a call is about, for the audit log: the kind of resource, and the fields of the request with its id and with the
//! caller's reason.

use prost_reflect::{Kind, MethodDescriptor};

use super::FieldPath;

/// The subject of a method.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The kind of resource, such as `support.ticket`.
    pub kind: String,
    /// Whether the method deletes the resource.
    pub is_deleted: bool,
    id: Option<FieldPath>,
    reason: Option<FieldPath>,
    /// The resources in the response, and the full name of their message.
    data: Option<(FieldPath, String)>,
}

impl Subject {
    /// Reads the subject of a method. The last required id of its request identifies the resource.
    pub(super) fn read(descriptor: &MethodDescriptor) -> Self {
        let input = descriptor.input();
        let is_id = |kind: &Kind, name: &str| *kind == Kind::String && name.ends_with("_id");
        let ids = input.fields().filter(|field| {
            is_id(&field.kind(), field.name()) && !field.is_list() && !field.field_descriptor_proto().proto3_optional()
        });
        let id = ids.last();
        let service = descriptor.parent_service();
        let of_service = kind_of(service.full_name().trim_end_matches("Service"));
        // `endpoint_id` of the WebhookEndpointService is that of a webhook endpoint; `user_id` of the SessionService is not
        // that of a session.
        let stem = id.as_ref().map(|field| field.name().trim_end_matches("_id").to_owned());
        let kind = match (stem, of_service.rsplit_once('.')) {
            (Some(stem), Some((module, own))) if own != stem && !own.ends_with(&format!("_{stem}")) => {
                format!("{module}.{stem}")
            }
            _ => of_service,
        };
        let path = |name: &str| FieldPath::resolve(&input, name).ok();
        let reason = input.get_field_by_name("reason").filter(|field| field.kind() == Kind::String);
        Self {
            kind,
            is_deleted: descriptor.name().starts_with("Delete"),
            id: id.and_then(|field| path(field.name())),
            reason: reason.and_then(|field| path(field.name())),
            data: Self::data(descriptor),
        }
    }

    fn data(descriptor: &MethodDescriptor) -> Option<(FieldPath, String)> {
        let message = descriptor.output().get_field_by_name("data")?.kind().as_message()?.clone();
        message.get_field_by_name("id").filter(|field| field.kind() == Kind::String)?;
        Some((FieldPath::resolve(&descriptor.output(), "data").ok()?, message.full_name().to_owned()))
    }

    /// Returns the resources in an encoded response, and the full name of their message; `None` if there are none.
    pub fn resources<'a>(&self, response: &'a [u8]) -> Option<(Vec<&'a [u8]>, &str)> {
        let (data, name) = self.data.as_ref()?;
        Some((data.messages(response), name.as_str())).filter(|(resources, _)| !resources.is_empty())
    }

    /// Returns the id of the resource in an encoded request.
    pub fn id<'r>(&self, request: &'r [u8]) -> Option<&'r str> {
        self.id.as_ref()?.text(request)
    }

    /// Returns the caller's reason in an encoded request.
    pub fn reason(&self, request: &[u8]) -> Option<String> {
        self.reason.as_ref()?.text(request).filter(|reason| !reason.is_empty()).map(str::to_owned)
    }
}

/// Returns the kind of resource that a message, or the service of a resource, has: `mainstay.support.v1.TicketLink` →
/// `support.ticket_link`.
pub fn kind_of(full_name: &str) -> String {
    let is_version =
        |part: &&str| part.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let mut parts = full_name.rsplit('.');
    let name = parts.next().unwrap_or_default();
    let module = parts.find(|part| !is_version(part));
    let mut kind = module.map(|module| format!("{module}.")).unwrap_or_default();
    for (index, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && index > 0 {
            kind.push('_');
        }
        kind.push(letter.to_ascii_lowercase());
    }
    kind
}
