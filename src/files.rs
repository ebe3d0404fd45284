//! Files: uploads and downloads, avatars, and where all of them are stored.

pub mod avatar;
pub mod config;
mod examples;
pub mod file;
pub mod id;
mod jobs;
mod links;
mod media;
mod pages;
mod storage;

use mainstay_kernel::{breaker::Circuit, http::health::Dependency, module::Module, schedule::MINUTE, upload::Spool};

use self::{config::FilesConfig, file::service::Files, links::Links, storage::Storage};
use crate::proto::{DESCRIPTOR_SET, files::v1::file_service_server::FileServiceServer};

pub(crate) fn module() -> Module {
    Module::new("files", DESCRIPTOR_SET)
        .config::<FilesConfig>()
        .part(|app| {
            let config = app.config.section::<FilesConfig>();
            Ok(Spool::new(config.spool_bytes, config.max_uploads))
        })
        .part(|app| Storage::open(&app.config))
        .part(|app| Ok(Links::new(&app.secret)))
        .part(|_| Ok(avatar::Painter::default()))
        .service(|app| FileServiceServer::new(Files { app: app.clone() }))
        .pages(pages::pages)
        .pages(avatar::pages)
        .every(MINUTE, "expire_uploads", "Gives up uploads that were not completed", jobs::expire_uploads)
        .every(
            MINUTE,
            "delete_objects",
            "Deletes the content of deleted files, and what interrupted uploads left",
            jobs::delete_objects,
        )
        .dependency(Dependency {
            name: "files",
            is_available: |app| Box::pin(async move { app.part::<Storage>().circuit() == Circuit::Closed }),
        })
        .alerts([(storage::PROVIDER, "auth")])
        .examples(examples::by_name)
}
