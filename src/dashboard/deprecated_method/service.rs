//! `mainstay.dashboard.v1.DeprecatedMethodService`.

use mainstay_kernel::{
    app::App,
    contract::Method,
    deprecated_calls::{CallerCalls, DeprecatedCalls},
    grpc::{Call, Reply, render::time},
};
use tonic::Request;
use uuid::Uuid;

use crate::proto::dashboard::v1::{self as pb, deprecated_method_service_server::DeprecatedMethodService};

/// The most callers of a method in a response.
const MAX_SHOWN: usize = 100;

#[derive(Debug, Clone)]
pub struct DeprecatedMethodRpcs {
    pub app: App,
}

fn render(caller: CallerCalls) -> pb::DeprecatedCaller {
    pb::DeprecatedCaller {
        kind: caller.kind.number().into(),
        principal_id: caller.principal.as_ref().map(Uuid::to_string),
        call_count: i64::try_from(caller.count).unwrap_or(i64::MAX),
        first_call_time: Some(time(caller.first)),
        last_call_time: Some(time(caller.last)),
    }
}

#[tonic::async_trait]
impl DeprecatedMethodService for DeprecatedMethodRpcs {
    async fn get_deprecated_methods(
        &self,
        request: Request<pb::GetDeprecatedMethodsRequest>,
    ) -> Reply<pb::GetDeprecatedMethodsResponse> {
        let call = Call::admit(request)?;
        let end = |method: &&Method| method.deprecation.as_ref().map(|end| (end.sunset, method.path.clone()));
        let all = self.app.contract.policies.iter();
        let mut deprecated: Vec<_> = all.filter(|method| method.deprecation.is_some()).collect();
        deprecated.sort_by_key(end);
        let calls = DeprecatedCalls::new(&self.app);
        let mut methods = Vec::new();
        for method in deprecated {
            let Some(deprecation) = &method.deprecation else { continue };
            let callers = calls.callers(method).await?;
            methods.push(pb::DeprecatedMethod {
                method: method.path.trim_start_matches('/').to_owned(),
                deprecation_time: Some(time(deprecation.since)),
                sunset_time: Some(time(deprecation.sunset)),
                link: deprecation.link.clone(),
                caller_count: i32::try_from(callers.len()).unwrap_or(i32::MAX),
                callers: callers.into_iter().take(MAX_SHOWN).map(render).collect(),
            });
        }
        call.read(pb::GetDeprecatedMethodsResponse { data: Some(pb::DeprecatedMethods { methods }) })
    }
}
