//! `mainstay.identity.v1.SecondFactorService`.

pub mod passkey;

use tonic::Request;

use crate::{
    identity::{
        config::IdentityConfig,
        second_factor::{
            id::RememberedDeviceId,
            model::{RememberedDevice, SecondFactor},
            ops,
        },
    },
    proto::identity::v1::{self as pb, second_factor_service_server::SecondFactorService},
};
use mainstay_kernel::{
    app::App,
    grpc::{Call, Reply, render::time},
    unit_of_work::Work,
};

#[derive(Debug, Clone)]
pub struct SecondFactors {
    pub app: App,
}

pub(crate) fn render(factor: SecondFactor) -> pb::SecondFactor {
    pb::SecondFactor {
        create_time: factor.created_at.map(time),
        recovery_codes_left: i32::try_from(factor.recovery_codes_left).unwrap_or(i32::MAX),
        reset_time: factor.reset_at.map(time),
        totp: factor.has_app,
        passkeys: i32::try_from(factor.passkeys).unwrap_or(i32::MAX),
    }
}

fn render_device(remembered: RememberedDevice) -> pb::RememberedDevice {
    pb::RememberedDevice {
        id: remembered.id.to_string(),
        user_agent: remembered.device.user_agent,
        ip_address: remembered.device.address,
        create_time: Some(time(remembered.created_at)),
        use_time: remembered.used_at.map(time),
        expire_time: Some(time(remembered.expires_at)),
    }
}

#[tonic::async_trait]
impl SecondFactorService for SecondFactors {
    async fn get_second_factor(
        &self,
        request: Request<pb::GetSecondFactorRequest>,
    ) -> Reply<pb::GetSecondFactorResponse> {
        let call = Call::admit(request)?;
        let permit = call.permit()?;
        let factor = self.app.database.read(async move |connection| ops::get(connection, &permit).await).await?;
        call.read(pb::GetSecondFactorResponse { data: Some(render(factor)) })
    }

    async fn enroll_totp(&self, request: Request<pb::EnrollTotpRequest>) -> Reply<pb::EnrollTotpResponse> {
        let call = Call::admit(request)?;
        let (key, issuer) = (&self.app.secret, &self.app.config.section::<IdentityConfig>().app_name);
        call.write(&self.app, async move |work: &mut Work| {
            let (secret, uri) = ops::enroll(work, key, issuer).await?;
            Ok(pb::EnrollTotpResponse { data: Some(pb::TotpSecret { secret, uri }) })
        })
        .await
    }

    async fn confirm_totp(&self, request: Request<pb::ConfirmTotpRequest>) -> Reply<pb::ConfirmTotpResponse> {
        let mut call = Call::admit(request)?;
        let (permit, code) = (call.permit()?, std::mem::take(&mut call.message.code));
        let recovery_codes = ops::confirm(&self.app, &permit, code).await?;
        call.read(pb::ConfirmTotpResponse { data: Some(pb::RecoveryCodes { recovery_codes }) })
    }

    async fn remove_totp(&self, request: Request<pb::RemoveTotpRequest>) -> Reply<pb::RemoveTotpResponse> {
        let call = Call::admit(request)?;
        call.write(&self.app, async move |work: &mut Work| {
            ops::remove(work).await?;
            Ok(pb::RemoveTotpResponse {})
        })
        .await
    }

    async fn regenerate_recovery_codes(
        &self,
        request: Request<pb::RegenerateRecoveryCodesRequest>,
    ) -> Reply<pb::RegenerateRecoveryCodesResponse> {
        let call = Call::admit(request)?;
        call.write(&self.app, async move |work: &mut Work| {
            let recovery_codes = ops::regenerate(work).await?;
            Ok(pb::RegenerateRecoveryCodesResponse { data: Some(pb::RecoveryCodes { recovery_codes }) })
        })
        .await
    }

    async fn list_remembered_devices(
        &self,
        request: Request<pb::ListRememberedDevicesRequest>,
    ) -> Reply<pb::ListRememberedDevicesResponse> {
        let call = Call::admit(request)?;
        let devices = ops::list_devices(&self.app, &call.permit()?).await?;
        call.read(pb::ListRememberedDevicesResponse { data: devices.into_iter().map(render_device).collect() })
    }

    async fn forget_remembered_device(
        &self,
        request: Request<pb::ForgetRememberedDeviceRequest>,
    ) -> Reply<pb::ForgetRememberedDeviceResponse> {
        let call = Call::admit(request)?;
        let id = RememberedDeviceId::parse(&call.message.device_id)?;
        call.write(&self.app, async move |work: &mut Work| {
            ops::forget_device(work, id).await?;
            Ok(pb::ForgetRememberedDeviceResponse {})
        })
        .await
    }
}
