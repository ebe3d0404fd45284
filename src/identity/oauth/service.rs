//! `mainstay.identity.v1.OauthConsentService`.

use mainstay_kernel::{
    app::App,
    grpc::{Call, Reply, render::time},
    unit_of_work::Work,
};
use tonic::Request;

use crate::{
    identity::{
        oauth::{model::Consent, ops},
        oauth_client::id::OauthClientId,
    },
    proto::identity::v1::{self as pb, oauth_consent_service_server::OauthConsentService},
};

#[derive(Debug, Clone)]
pub struct OauthConsents {
    pub app: App,
}

fn render(consent: Consent) -> pb::OauthConsent {
    pb::OauthConsent {
        oauth_client_id: consent.client.to_string(),
        client_name: consent.client_name,
        scopes: consent.scopes,
        create_time: Some(time(consent.created_at)),
        update_time: Some(time(consent.updated_at)),
    }
}

#[tonic::async_trait]
impl OauthConsentService for OauthConsents {
    async fn list_oauth_consents(
        &self,
        request: Request<pb::ListOauthConsentsRequest>,
    ) -> Reply<pb::ListOauthConsentsResponse> {
        let call = Call::admit(request)?;
        let permit = call.permit()?;
        let consents = self.app.database.read(async move |connection| ops::list(connection, &permit).await).await?;
        call.read(pb::ListOauthConsentsResponse { data: consents.into_iter().map(render).collect() })
    }

    async fn delete_oauth_consent(
        &self,
        request: Request<pb::DeleteOauthConsentRequest>,
    ) -> Reply<pb::DeleteOauthConsentResponse> {
        let call = Call::admit(request)?;
        let client = OauthClientId::parse(&call.message.oauth_client_id)?;
        call.write(&self.app, async move |work: &mut Work| {
            ops::withdraw(work, client).await?;
            Ok(pb::DeleteOauthConsentResponse {})
        })
        .await
    }
}
