//! Settings are shown with their sources, and no secret with them.

use serde_json::{Value, json};

use crate::support::{PROTOCOLS, TestApp};

const SECRET: &str = "the-routing-key-of-nobody";

#[tokio::test(flavor = "multi_thread")]
async fn settings_have_their_sources_and_show_no_secret() {
    let app = TestApp::builder().set("WRITE_TIMEOUT", "29s").set("ON_CALL_ROUTING_KEY", SECRET).start().await;
    let admin = app.cast().await.admin;
    for protocol in PROTOCOLS {
        let response = admin.call(protocol, "SettingService.GetSettings", json!({})).await.success();
        assert!(!response.body.to_string().contains(SECRET), "{response:#?}");
        let settings = response.data()["settings"].as_array().expect("settings").clone();
        let of = |name: &str| settings.iter().find(|setting| setting["name"] == name).expect(name).clone();
        let view = |setting: Value| (setting["value"].clone(), setting["source"].clone(), setting["secret"].clone());
        let (environment, default) = (json!("SETTING_SOURCE_ENVIRONMENT"), json!("SETTING_SOURCE_DEFAULT"));
        assert_eq!(view(of("WRITE_TIMEOUT")), (json!("29s"), environment.clone(), json!(false)));
        assert_eq!(view(of("ON_CALL_ROUTING_KEY")), (json!("(secret)"), environment, json!(true)));
        assert_eq!(view(of("DRAIN_DELAY")), (json!("0s"), default.clone(), json!(false)));
        assert_eq!(view(of("ERROR_DOMAIN")), (Value::Null, default, json!(false)));
    }
}
