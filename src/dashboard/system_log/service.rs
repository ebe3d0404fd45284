//! `mainstay.dashboard.v1.SystemLogService`.

use std::{future::ready, sync::Arc};

use futures_util::FutureExt as _;
use mainstay_kernel::{
    app::App,
    changes::Page,
    contract::proto::common::v1::Degradation,
    error::Result,
    grpc::{
        Call, Reply, parse,
        render::time,
        watch::{self, Seal},
    },
};
use tonic::Request;

use crate::dashboard::system_log::{
    logs::SystemLogs,
    model::{Filter, Level, Line},
    ops,
    stored::StoredLine,
};
use crate::proto::dashboard::v1::{self as pb, system_log_service_server::SystemLogService};

#[derive(Debug, Clone)]
pub struct SystemLogRpcs {
    pub app: App,
}

fn render(line: Line) -> pb::SystemLog {
    pb::SystemLog {
        id: line.id.to_string(),
        level: line.level.number().into(),
        message: line.message,
        method: line.method,
        request_id: line.request_id,
        principal_id: line.principal_id,
        line: line.line,
        log_time: Some(time(line.at)),
    }
}

fn filter(message: pb::ListSystemLogsRequest) -> Result<Filter> {
    let non_empty = |text: String| Some(text).filter(|text| !text.is_empty());
    Ok(Filter {
        from: message.start_time.map(|time| parse::time(time, "startTime")).transpose()?,
        until: message.end_time.map(|time| parse::time(time, "endTime")).transpose()?,
        level: Level::from_number(message.level),
        method: non_empty(message.method),
        request_id: non_empty(message.request_id),
        principal_id: message.principal_id,
        text: non_empty(message.text),
    })
}

fn watch_filter(message: &pb::WatchSystemLogsRequest) -> Filter {
    let non_empty = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    Filter {
        from: None,
        until: None,
        level: Level::from_number(message.level),
        method: non_empty(&message.method),
        request_id: non_empty(&message.request_id),
        principal_id: message.principal_id.clone(),
        text: non_empty(&message.text),
    }
}

fn missing() -> Degradation {
    Degradation {
        code: "DEGRADED_PERFORMANCE".to_owned(),
        part: "system_logs".to_owned(),
        message: "The store of the log could not be read in time: only the last lines of one server are here."
            .to_owned(),
    }
}

#[tonic::async_trait]
impl SystemLogService for SystemLogRpcs {
    async fn list_system_logs(&self, request: Request<pb::ListSystemLogsRequest>) -> Reply<pb::ListSystemLogsResponse> {
        let call = Call::admit(request)?;
        let (permit, pager) = (call.permit()?, call.pager(&self.app)?);
        let filter = filter(call.message.clone())?;
        let (logs, texts) = (self.app.part::<SystemLogs>(), call.asks_for("line"));
        let page = ops::list(logs, permit, filter, pager.page, texts).await?;
        let mut lines = page.lines;
        let paging = pager.meta(&self.app.page_tokens, &mut lines, None, Line::key);
        let meta = pb::SystemLogsMeta {
            page_size: paging.page_size,
            next_page_token: paging.next_page_token,
            degraded: page.is_degraded.then(missing).into_iter().collect(),
        };
        call.read(pb::ListSystemLogsResponse { data: lines.into_iter().map(render).collect(), meta: Some(meta) })
    }

    type WatchSystemLogsStream = watch::Messages<pb::WatchSystemLogsResponse>;

    async fn watch_system_logs(
        &self,
        request: Request<pb::WatchSystemLogsRequest>,
    ) -> Reply<Self::WatchSystemLogsStream> {
        let call = Call::admit(request)?;
        let filter = Arc::new(watch_filter(&call.message));
        let messages = move |page: Page<StoredLine>, seal: Seal| {
            let filter = filter.clone();
            let responses = page.entries().filter(|entry| filter.admits(&entry.line)).map(|entry| {
                let data = Some(render(entry.line.clone()));
                pb::WatchSystemLogsResponse { data, resume_token: seal(&page.after(entry)) }
            });
            ready(Ok(responses.collect())).boxed()
        };
        let position = |resume_token| pb::WatchSystemLogsResponse { data: None, resume_token };
        let feed = self.app.part::<SystemLogs>().feed();
        Ok(watch::watch(&self.app, feed, &call, &call.message.resume_token, messages, position).await?)
    }
}
