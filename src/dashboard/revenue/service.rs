//! `mainstay.dashboard.v1.RevenueService`.

use tonic::Request;

use crate::dashboard::revenue::{
    model::{CurrencyRevenue, Interval, Period, Query, Revenue},
    ops,
};
use crate::payments::ledger::model::sums::Figures;
use crate::proto::dashboard::v1::{self as pb, revenue_service_server::RevenueService};
use mainstay_kernel::{
    app::App,
    grpc::{
        Call, Reply,
        render::{amount, time},
    },
    money::Currency,
};

#[derive(Debug, Clone)]
pub struct Revenues {
    pub app: App,
}

fn render(revenue: Revenue) -> pb::Revenue {
    let ((first_day, from), (last_day, until)) = (revenue.periods.first(), revenue.periods.last());
    pb::Revenue {
        interval: revenue.periods.interval.number().into(),
        time_zone: revenue.periods.zone.name().to_owned(),
        start_date: first_day.to_string(),
        end_date: last_day.to_string(),
        start_time: Some(time(from)),
        end_time: Some(time(until)),
        as_of_time: Some(time(revenue.as_of)),
        currencies: revenue.currencies.iter().map(render_currency).collect(),
    }
}

fn render_currency(of: &CurrencyRevenue) -> pb::CurrencyRevenue {
    let (total, previous) = of.totals();
    pb::CurrencyRevenue {
        currency_code: of.currency.code().to_owned(),
        total: Some(render_figures(total, of.currency)),
        previous_total: Some(render_figures(previous, of.currency)),
        periods: of.periods.iter().map(|period| render_period(period, of.currency)).collect(),
    }
}

fn render_period(period: &Period, currency: Currency) -> pb::RevenuePeriod {
    pb::RevenuePeriod {
        start_date: period.first_day.to_string(),
        start_time: Some(time(period.from)),
        end_time: Some(time(period.until)),
        figures: Some(render_figures(period.figures, currency)),
        previous: Some(render_figures(period.previous, currency)),
    }
}

fn render_figures(figures: Figures, currency: Currency) -> pb::RevenueFigures {
    pb::RevenueFigures {
        gross: Some(amount(figures.gross_minor, currency)),
        refunds: Some(amount(figures.refunds_minor, currency)),
        net: Some(amount(figures.net_minor(), currency)),
        sale_count: figures.sales,
        refund_count: figures.refunds,
    }
}

#[tonic::async_trait]
impl RevenueService for Revenues {
    async fn get_revenue(&self, request: Request<pb::GetRevenueRequest>) -> Reply<pb::GetRevenueResponse> {
        let call = Call::admit(request)?;
        let (permit, now) = (call.permit()?, self.app.clock.now());
        let pb::GetRevenueRequest { interval, time_zone, start_date, end_date, read_mask: _ } = call.message.clone();
        let interval = Interval::from_number(interval).unwrap_or(Interval::Day);
        let query = Query { interval, time_zone, start_date, end_date };
        let revenue = self
            .app
            .database
            .query(call.reach(), async move |connection| ops::get(connection, permit, query, now).await)
            .await?;
        call.read(pb::GetRevenueResponse { data: Some(render(revenue)) })
    }
}
