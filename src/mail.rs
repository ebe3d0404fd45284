//! Mail: what is written, and how it is sent.

pub mod config;
pub mod id;
pub mod job;
mod jobs;
pub mod letters;
pub mod model;
pub mod ops;
pub mod store;
pub mod transport;

use mainstay_kernel::{
    breaker::Circuit, http::health::Dependency, module::Module, schedule::HOUR, telemetry::metrics::Metric,
};

use self::{config::MailConfig, job::SendMail, transport::Transport};

pub(crate) fn module() -> Module {
    Module::new("mail", crate::proto::DESCRIPTOR_SET)
        .config::<MailConfig>()
        .part(|app| transport::open(&app.config))
        .queue::<SendMail>()
        .on_every_event(|connection, events, now| Box::pin(ops::send_about(connection, events, now)))
        .every(HOUR, "forget_mails", "Removes mails 30 days after they were sent or given up", jobs::forget_mails)
        .dependency(Dependency {
            name: "mail",
            is_available: |app| {
                Box::pin(async move { app.part::<std::sync::Arc<dyn Transport>>().circuit() == Circuit::Closed })
            },
        })
        .alerts([("mail", "auth"), ("mail_fallback", "auth")])
        .metrics([Metric::counter("mainstay_mails_total", "Mails by kind and outcome").labels(&[
            ("kind", &["password_reset", "registration", "order_confirmation", "payment_receipt"]),
            ("outcome", &["sent", "rejected", "expired", "given_up"]),
        ])])
}
