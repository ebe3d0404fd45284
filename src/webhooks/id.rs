//! Ids of this module's resources; see [`mainstay_kernel::id`].

mainstay_kernel::id::ids! {
    /// A webhook event received from a provider.
    InboundEventId
    /// An endpoint that receives webhooks.
    WebhookEndpointId
    /// The delivery of one event to one endpoint.
    WebhookDeliveryId
}
