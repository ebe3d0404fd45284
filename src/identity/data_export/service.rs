//! `mainstay.identity.v1.DataExportService`.

use mainstay_kernel::{
    app::App,
    audit::Audited,
    grpc::{Call, Reply, render::time},
    id::AccountId,
    page::Key,
    unit_of_work::Work,
};
use tonic::Request;

use crate::{
    identity::data_export::{id::DataExportId, model::DataExport, ops},
    proto::identity::v1::{self as pb, data_export_service_server::DataExportService},
};

#[derive(Debug, Clone)]
pub struct DataExports {
    pub app: App,
}

impl Audited for DataExport {
    type Message = pb::DataExport;

    fn message(self) -> pb::DataExport {
        pb::DataExport {
            id: Some(self.id.to_string()),
            account_id: self.account.map(|account| account.to_string()),
            state: Some(self.status.number().into()),
            items_total: Some(self.items_total),
            items_done: Some(self.items_done),
            create_time: Some(time(self.created_at)),
            finish_time: self.finished_at.map(time),
            expire_time: self.archive.map(|archive| time(archive.expires_at)),
            size_bytes: self.archive.map(|archive| archive.size_bytes),
            download_url: None,
        }
    }
}

#[tonic::async_trait]
impl DataExportService for DataExports {
    async fn create_data_export(
        &self,
        request: Request<pb::CreateDataExportRequest>,
    ) -> Reply<pb::CreateDataExportResponse> {
        let call = Call::admit(request)?;
        let account = call.message.account_id.as_deref().map(AccountId::parse).transpose()?;
        call.write(&self.app, async move |work: &mut Work| {
            let export = ops::create(work, account).await?;
            Ok(pb::CreateDataExportResponse { data: Some(export.message()) })
        })
        .await
    }

    async fn get_data_export(&self, request: Request<pb::GetDataExportRequest>) -> Reply<pb::GetDataExportResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, DataExportId::parse(&call.message.data_export_id)?);
        let export = self.app.database.read(async move |connection| ops::get(connection, &permit, id).await).await?;
        let download_url = ops::download_url(&self.app, &export).await?;
        call.read(pb::GetDataExportResponse { data: Some(pb::DataExport { download_url, ..export.message() }) })
    }

    async fn list_data_exports(
        &self,
        request: Request<pb::ListDataExportsRequest>,
    ) -> Reply<pb::ListDataExportsResponse> {
        let call = Call::admit(request)?;
        let pager = call.pager(&self.app)?;
        let permit = call.permit()?;
        let list = async move |connection: &_| ops::list(connection, permit, pager.page).await;
        let (exports, meta) = call.list(&self.app, pager, list, |row| Key::new(row.created_at, row.id.0)).await?;
        call.read(pb::ListDataExportsResponse { data: exports.into_iter().map(Audited::message).collect(), meta })
    }
}
