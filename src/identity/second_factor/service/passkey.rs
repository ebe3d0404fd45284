//! `mainstay.identity.v1.PasskeyService`.

use secrecy::ExposeSecret as _;
use tonic::Request;

use crate::{
    identity::{
        provider::client::Providers,
        second_factor::{
            id::PasskeyId,
            model::{CEREMONY_LIFE, Passkey},
            ops::{self, Begun},
            relying_party::Attestation,
        },
        session::service::seconds,
    },
    proto::identity::v1::{self as pb, passkey_service_server::PasskeyService},
};
use mainstay_kernel::{
    app::App,
    grpc::{Call, Reply, render::time},
    unit_of_work::Work,
};

#[derive(Debug, Clone)]
pub struct Passkeys {
    pub app: App,
}

fn render(passkey: Passkey) -> pb::Passkey {
    pb::Passkey {
        id: passkey.id.to_string(),
        name: passkey.name,
        synced: passkey.credential.is_synced,
        create_time: Some(time(passkey.created_at)),
        use_time: passkey.used_at.map(time),
    }
}

/// Renders a ceremony that has begun.
pub(crate) fn render_begun(Begun { token, options }: Begun) -> pb::PasskeyCeremony {
    let token = token.expose_secret().to_owned();
    pb::PasskeyCeremony { token, expires_in: seconds(CEREMONY_LIFE), options }
}

#[tonic::async_trait]
impl PasskeyService for Passkeys {
    async fn list_passkeys(&self, request: Request<pb::ListPasskeysRequest>) -> Reply<pb::ListPasskeysResponse> {
        let call = Call::admit(request)?;
        let permit = call.permit()?;
        let list =
            self.app.database.read(async move |connection| ops::list_passkeys(connection, &permit).await).await?;
        call.read(pb::ListPasskeysResponse { data: list.into_iter().map(render).collect() })
    }

    async fn enroll_passkey(&self, request: Request<pb::EnrollPasskeyRequest>) -> Reply<pb::EnrollPasskeyResponse> {
        let call = Call::admit(request)?;
        let begun = ops::enroll_passkey(&self.app, &call.permit()?).await?;
        call.read(pb::EnrollPasskeyResponse { data: Some(render_begun(begun)) })
    }

    async fn confirm_passkey(&self, request: Request<pb::ConfirmPasskeyRequest>) -> Reply<pb::ConfirmPasskeyResponse> {
        let mut call = Call::admit(request)?;
        let permit = call.permit()?;
        let pb::ConfirmPasskeyRequest { token, credential, name } = std::mem::take(&mut call.message);
        let response = Attestation::parse(&credential, "credential")?;
        let (passkey, recovery_codes) = ops::confirm_passkey(&self.app, &permit, &token, &response, name).await?;
        call.read(pb::ConfirmPasskeyResponse {
            data: Some(pb::AddedPasskey { passkey: Some(render(passkey)), recovery_codes }),
        })
    }

    async fn rename_passkey(&self, request: Request<pb::RenamePasskeyRequest>) -> Reply<pb::RenamePasskeyResponse> {
        let mut call = Call::admit(request)?;
        let id = PasskeyId::parse(&call.message.passkey_id)?;
        let name = std::mem::take(&mut call.message.name);
        call.write(&self.app, async move |work: &mut Work| {
            let passkey = ops::rename_passkey(work, id, &name).await?;
            Ok(pb::RenamePasskeyResponse { data: Some(render(passkey)) })
        })
        .await
    }

    async fn remove_passkey(&self, request: Request<pb::RemovePasskeyRequest>) -> Reply<pb::RemovePasskeyResponse> {
        let call = Call::admit(request)?;
        let id = PasskeyId::parse(&call.message.passkey_id)?;
        let issuers = self.app.part::<Providers>().issuers();
        call.write(&self.app, async move |work: &mut Work| {
            ops::remove_passkey(work, id, &issuers).await?;
            Ok(pb::RemovePasskeyResponse {})
        })
        .await
    }
}
