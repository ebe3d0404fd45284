//! Files: uploads and downloads, avatars, archives, and their storage.

pub mod archive;
pub mod avatar;
pub mod config;
mod examples;
pub mod file;
pub mod id;
mod jobs;
mod links;
mod media;
mod pages;
mod picture;
mod storage;

use mainstay_kernel::{
    breaker::Circuit,
    config::{Config, Retention},
    http::health::Dependency,
    module::Module,
    personal::{ANONYMOUS, Personal},
    schedule::MINUTE,
    upload::Spool,
};

use self::{
    config::{FilesConfig, Location},
    file::service::Files,
    links::Links,
    storage::Storage,
};
use crate::proto::{DESCRIPTOR_SET, files::v1::file_service_server::FileServiceServer};

// The names of media types, which imports share.
pub(crate) use media::canonical_type;

/// Returns the origin of the storage, if callers download from it directly.
pub(crate) fn direct_origin(config: &Config) -> Option<&str> {
    match &config.section::<FilesConfig>().location {
        Some(Location::S3(s3)) if s3.is_direct => Some(&s3.endpoint),
        _ => None,
    }
}

pub(crate) fn module() -> Module {
    Module::new("files", DESCRIPTOR_SET)
        .needs(&["identity"])
        .personal([
            Personal::of_account("files", "account_id")
                .erased_by(|connection, account, now| Box::pin(file::ops::erase_some(connection, account, now))),
            Personal::of_account("file_links", "account_id").erased().not_exported(),
            Personal::of_account("stored_objects", "account_id")
                .anonymized("account_id = NULL, size_bytes = NULL", "true")
                .not_exported(),
            Personal::of_account("file_usage", "account_id").erased(),
            Personal::of_user("files", "owner_id").kept(ANONYMOUS),
        ])
        .retention([
            Retention::without_age(
                &["files", "file_links"],
                "until the file is deleted, or 7 days after its upload or the end of its last use",
            ),
            Retention::without_age(&["stored_objects"], "until the object is deleted from the storage"),
            Retention::without_age(&["file_usage"], "until the erasure of the account"),
        ])
        .config::<FilesConfig>()
        .production(config::PRODUCTION)
        .part(|app| {
            let config = app.config.section::<FilesConfig>();
            Ok(Spool::new(config.spool_bytes, config.max_uploads))
        })
        .part(|app| Storage::open(&app.config, &app.alerts))
        .part(|app| Ok(Links::new(&app.secret)))
        .part(|_| Ok(avatar::Painter::default()))
        .service(|app| FileServiceServer::new(Files { app: app.clone() }))
        .pages(pages::pages())
        .pages(avatar::pages())
        .pages(archive::pages())
        .every(MINUTE, "expire_files", "Deletes uploads that were not completed, and unused files", jobs::expire_files)
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
