//! Compiles the product's protos: messages, services, validation, and the descriptor set.

fn main() -> Result<(), mainstay_build::Error> {
    mainstay_build::Contract::new(["proto"])
        .uses("mainstay-kernel")
        .messages_path("crate")
        // Without a box, every message of an export or watch stream would be as large as its largest variant.
        .boxed("mainstay.audit.v1.ExportAuditEntriesResponse.item.data")
        .boxed("mainstay.support.v1.ExportTicketsResponse.item.data")
        .boxed("mainstay.support.v1.WatchTicketsResponse.item.data")
        .compile()
}
