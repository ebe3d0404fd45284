//! `mainstay.dashboard.v1.SettingService`.

use tonic::Request;

use crate::proto::dashboard::v1::{self as pb, setting_service_server::SettingService};
use mainstay_kernel::{
    app::App,
    config::{Origin, Setting},
    grpc::{Call, Reply},
};

#[derive(Debug, Clone)]
pub struct SettingRpcs {
    pub app: App,
}

fn render(setting: &Setting) -> pb::Setting {
    let source = match setting.origin {
        Origin::Default => pb::SettingSource::Default,
        Origin::Environment => pb::SettingSource::Environment,
        Origin::File => pb::SettingSource::File,
    };
    pb::Setting {
        name: setting.variable.name.to_owned(),
        value: Some(setting.shown.clone()).filter(|value| !value.is_empty()),
        source: source.into(),
        secret: setting.variable.secret,
        meaning: setting.variable.meaning.to_owned(),
    }
}

#[tonic::async_trait]
impl SettingService for SettingRpcs {
    async fn get_settings(&self, request: Request<pb::GetSettingsRequest>) -> Reply<pb::GetSettingsResponse> {
        let call = Call::admit(request)?;
        let settings = self.app.config.settings().iter().map(render).collect();
        call.read(pb::GetSettingsResponse { data: Some(pb::Settings { settings }) })
    }
}
