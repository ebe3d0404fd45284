//! `mainstay.files.v1.FileService`.

mod upload;

use mainstay_kernel::{
    app::App,
    audit::Audited,
    database::Reach,
    error::Result,
    grpc::{Call, Reply},
    id::AccountId,
    page::Key,
    unit_of_work::Work,
};
use tonic::{Request, Streaming};
use uuid::Uuid;

use crate::{
    files::{
        config::FilesConfig,
        file::{
            convert,
            model::Filter,
            ops::{self, Limits},
        },
        id::FileId,
    },
    proto::files::v1::{self as pb, file_service_server::FileService},
};

/// A file of one account may be attached to a resource of another.
const REACH: Reach = Reach::across_accounts("the references of a file decide");

#[derive(Debug, Clone)]
pub struct Files {
    pub app: App,
}

#[tonic::async_trait]
impl FileService for Files {
    async fn create_upload(&self, request: Request<pb::CreateUploadRequest>) -> Reply<pb::CreateUploadResponse> {
        let mut call = Call::admit(request)?;
        let now = self.app.clock.now();
        let max_file_bytes = self.app.config.section::<FilesConfig>().max_file_bytes;
        let draft = convert::draft(std::mem::take(&mut call.message), max_file_bytes)?;
        let (id, limits) = (FileId::generate(now), Limits::new(&self.app));
        // Outside the transaction, because signing the URL may call the storage.
        let target = ops::upload_target(&self.app, id, &draft, now).await?;
        call.write(&self.app, async move |work: &mut Work| {
            let file = ops::announce(work, id, draft, limits).await?;
            Ok(pb::CreateUploadResponse { data: Some(convert::upload(file, target)) })
        })
        .await
    }

    async fn complete_upload(&self, request: Request<pb::CompleteUploadRequest>) -> Reply<pb::CompleteUploadResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, FileId::parse(&call.message.file_id)?);
        let content = ops::receive(&self.app, &permit, id).await?;
        let key = content.as_ref().map(|content| content.key.clone());
        let limits = Limits::new(&self.app);
        let reply = call.write(&self.app, async move |work: &mut Work| {
            let file = ops::complete(work, id, content, limits).await?;
            Ok(pb::CompleteUploadResponse { data: Some(file.message()) })
        });
        let reply = reply.await;
        if let Some(key) = key {
            // Deletes the stored object unless the commit kept it.
            ops::abandon(&self.app, key).await;
        }
        reply
    }

    async fn upload_file(&self, request: Request<Streaming<pb::UploadFileRequest>>) -> Reply<pb::UploadFileResponse> {
        upload::upload(&self.app, request).await
    }

    async fn get_file(&self, request: Request<pb::GetFileRequest>) -> Reply<pb::GetFileResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, FileId::parse(&call.message.file_id)?);
        let file =
            self.app.database.query(REACH, async move |connection| ops::get(connection, permit, id).await).await?;
        call.read(pb::GetFileResponse { data: Some(file.message()) })
    }

    async fn list_files(&self, request: Request<pb::ListFilesRequest>) -> Reply<pb::ListFilesResponse> {
        let call = Call::admit(request)?;
        let filter = filter(&call.message)?;
        let (permit, pager) = (call.permit()?, call.pager(&self.app)?);
        let list = async move |connection: &_| ops::list(connection, permit, filter, pager.page).await;
        let (files, meta) = call.list(&self.app, pager, list, |row| Key::new(row.created_at, row.id.0)).await?;
        call.read(pb::ListFilesResponse { data: files.into_iter().map(Audited::message).collect(), meta })
    }

    async fn download_file(&self, request: Request<pb::DownloadFileRequest>) -> Reply<pb::DownloadFileResponse> {
        let call = Call::admit(request)?;
        let (viewer, id) = (Some(call.permit()?), FileId::parse(&call.message.file_id)?);
        let query = async move |connection: &_| ops::downloadable(connection, viewer, id).await;
        let file = self.app.database.query(REACH, query).await?;
        let target = ops::download(&self.app, &file, self.app.clock.now()).await?;
        call.read(pb::DownloadFileResponse { data: Some(convert::download(target)) })
    }

    async fn delete_file(&self, request: Request<pb::DeleteFileRequest>) -> Reply<pb::DeleteFileResponse> {
        let call = Call::admit(request)?;
        let (id, expected) = (FileId::parse(&call.message.file_id)?, call.if_match.clone());
        let limits = Limits::new(&self.app);
        call.write(&self.app, async move |work: &mut Work| {
            ops::delete(work, id, expected, limits).await?;
            Ok(pb::DeleteFileResponse {})
        })
        .await
    }
}

fn filter(message: &pb::ListFilesRequest) -> Result<Filter> {
    let account = message.account_id.as_deref().map(AccountId::parse).transpose()?;
    // The contract has validated the id.
    let parent = message.parent_id.as_deref().and_then(|id| id.parse::<Uuid>().ok());
    Ok(Filter { account, parent })
}
