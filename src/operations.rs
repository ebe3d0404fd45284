//! Operations: long-running work, which continues after its request was answered and which the caller polls, and dead
//! jobs.

pub mod dead_job;
pub mod events;
mod examples;
pub mod id;
mod jobs;
pub mod model;
pub mod ops;
pub mod service;
pub mod store;

use mainstay_kernel::{
    module::{Module, Modules},
    personal::{ANONYMOUS, Personal},
    schedule::HOUR,
};

use self::{
    dead_job::command::Jobs,
    dead_job::service::DeadJobs,
    ops::{Kind, Kinds},
    service::Operations,
};
use crate::proto::{
    DESCRIPTOR_SET,
    operations::v1::{dead_job_service_server::DeadJobServiceServer, operation_service_server::OperationServiceServer},
};

// The interface of a module whose work is an operation, beside `ops`.
pub use service::write;

pub(crate) fn module() -> Module {
    Module::new("operations", DESCRIPTOR_SET)
        .needs(&["identity"])
        .personal([
            Personal::of_account("operations", "account_id").erased(),
            Personal::of_user("operations", "owner_id").kept(ANONYMOUS),
        ])
        .retention([jobs::OPERATIONS])
        .part(|app| Kinds::new(Modules::of(app).contributions().all::<Kind>().copied(), &app.contract.policies))
        .service(|app| OperationServiceServer::new(Operations { app: app.clone() }))
        .service(|app| DeadJobServiceServer::new(DeadJobs { app: app.clone() }))
        .command::<Jobs>()
        .every(
            HOUR,
            "fail_orphaned_operations",
            "Fails operations whose kind no module declares, OPERATIONS_KEPT after their last change",
            jobs::fail_orphans,
        )
        .every(
            HOUR,
            "forget_operations",
            "Removes operations OPERATIONS_KEPT after they ended",
            jobs::forget_operations,
        )
        .examples(examples::by_name)
}
