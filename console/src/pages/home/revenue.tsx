/** Revenue and refunds by day, week or month, compared with the preceding periods, by currency. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { lazy, Suspense, type ReactNode } from "react";

import { api, read, type Schemas } from "../../api/client";
import { useText, type Text, type Translate } from "../../text";
import { exponent, type MoneyValue, Time, useLocale, useMoney } from "../../ui/format";
import { Card } from "../../ui/page";
import { Problem } from "../../ui/problem";
import { useSearchParams } from "../kit";
import type { Point } from "./chart";

type Currency = Schemas["CurrencyRevenue"];
type Period = Schemas["RevenuePeriod"];
type Figures = Schemas["RevenueFigures"];

const Chart = lazy(() => import("./chart"));
const REFRESH_MS = 60_000;
const INTERVALS = {
  day: ["REVENUE_INTERVAL_DAY", "By day", "The 30 days before"],
  week: ["REVENUE_INTERVAL_WEEK", "By week", "The 12 weeks before"],
  month: ["REVENUE_INTERVAL_MONTH", "By month", "The 12 months before"],
} as const satisfies Record<string, readonly [Schemas["Revenue"]["interval"], Text, Text]>;
type By = keyof typeof INTERVALS;
const BYS = Object.keys(INTERVALS) as By[];

export function Revenue() {
  const t = useText();
  const [search] = useSearchParams();
  const by = BYS.find((one) => one === search["by"]) ?? "day";
  const { data, error, refetch } = useQuery({
    queryKey: ["revenue", by],
    queryFn: async ({ signal }) => {
      const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
      const { data } = await read(api.GET("/api/v1/dashboard/revenue", { params: { query: { interval: INTERVALS[by][0], timeZone } }, signal }));
      // Includes the query, because the previous answer stays visible until the next one arrives.
      return { ...data, by };
    },
    placeholderData: keepPreviousData,
    refetchInterval: REFRESH_MS,
  });
  const currency = data?.currencies.find((one) => one.currencyCode === search["currency"]) ?? data?.currencies[0];
  return (
    <Card title={t("Revenue")} actions={<div className="actions">
      {data && data.currencies.length > 1 && <Choice label={t("Currency")} name="currency" chosen={currency?.currencyCode} values={data.currencies.map(({ currencyCode }) => [currencyCode, currencyCode])} />}
      <Choice label={t("Period")} name="by" chosen={by} values={BYS.map((one) => [one, t(INTERVALS[one][1])])} />
    </div>}>
      {error && <Problem error={error} onRetry={() => void refetch()} />}
      {!data && !error && <div className="revenue" aria-busy="true"><span className="skeleton" /></div>}
      {data && !currency && <p className="empty">{t("Nothing was sold in this time. Paid orders and subscriptions appear here.")}</p>}
      {data && currency && <Shown by={data.by} currency={currency} asOf={data.asOfTime} />}
    </Card>
  );
}

/** A choice that is kept in the URL's query. */
function Choice({ label, name, chosen, values }: { label: string; name: string; chosen: string | undefined; values: [string, string][] }) {
  const [search] = useSearchParams();
  return (
    <nav className="segments" aria-label={label}>
      {values.map(([value, text]) => (
        <Link key={value} to="." replace resetScroll={false} search={{ ...search, [name]: value } as never} aria-current={value === chosen ? "true" : undefined}>{text}</Link>
      ))}
    </nav>
  );
}

function Shown({ by, currency, asOf }: { by: By; currency: Currency; asOf: string }) {
  const t = useText();
  const locale = useLocale();
  const { currencyCode, total, previousTotal, periods } = currency;
  const money = useMoney();
  const format = new Intl.NumberFormat(locale, { style: "currency", currency: currencyCode, notation: "compact", maximumFractionDigits: 1 });
  const label = labels(by, locale);
  const points = periods.map((period): Point => ({
    label: label(period.startDate),
    net: Number(period.figures.net.amountMinor),
    refunds: Number(period.figures.refunds.amountMinor),
    previous: Number(period.previous.net.amountMinor),
    words: words(t, label(period.startDate), period, money),
  }));
  return (
    <div className="revenue">
      <dl className="figures">
        <Figure label={t("Net")} value={money(total.net)}><Change total={total} previous={previousTotal} by={by} money={money} /></Figure>
        <Figure label={t("Sold")} value={money(total.gross)}>{t("Number: {count}", { count: Number(total.saleCount).toLocaleString(locale) })}</Figure>
        <Figure label={t("Refunds")} value={money(total.refunds)}>{t("Number: {count}", { count: Number(total.refundCount).toLocaleString(locale) })}</Figure>
      </dl>
      <Suspense fallback={<div className="chart-room" aria-busy="true" />}>
        <div className="chart-room">
          <Chart key={`${by} ${currencyCode}`} label={t("Revenue")} points={points} tick={(value) => format.format(value / 10 ** exponent(currencyCode))} />
        </div>
      </Suspense>
      <ul className="legend">
        <li className="net">{t("Net")}</li>
        <li className="refunds">{t("Refunds")}</li>
        <li className="previous">{t(INTERVALS[by][2])}</li>
        <li className="dim">{t("As of")} <Time value={asOf} /></li>
      </ul>
      <details>
        <summary>{t("As a table")}</summary>
        <PeriodTable periods={periods} label={label} money={money} before={t(INTERVALS[by][2])} />
      </details>
    </div>
  );
}

function Figure({ label, value, children }: { label: string; value: string; children: ReactNode }) {
  return <div><dt>{label}</dt><dd><b className="number">{value}</b> <small>{children}</small></dd></div>;
}

/** The change of net revenue compared with the preceding periods. */
function Change({ total, previous, by, money }: { total: Figures; previous: Figures; by: By; money: (value: MoneyValue) => string }) {
  const t = useText();
  const locale = useLocale();
  const before = Number(previous.net.amountMinor);
  const share = new Intl.NumberFormat(locale, { style: "percent", signDisplay: "exceptZero", maximumFractionDigits: 0 });
  const percent = before > 0 ? `${share.format((Number(total.net.amountMinor) - before) / before)} · ` : "";
  return <>{percent}{t(INTERVALS[by][2])}: {money(previous.net)}</>;
}

function PeriodTable({ periods, label, money, before }: { periods: readonly Period[]; label: (date: string) => string; money: (value: MoneyValue) => string; before: string }) {
  const t = useText();
  return (
    <div className="table" tabIndex={0} role="region" aria-label={t("Revenue")}>
      <table>
        <caption className="hidden">{t("Revenue")}</caption>
        <thead><tr><th scope="col">{t("Period")}</th>{[t("Sold"), t("Refunds"), t("Net"), before].map((head) => <th scope="col" className="number" key={head}>{head}</th>)}</tr></thead>
        <tbody>
          {[...periods].reverse().map(({ startDate, figures, previous }) => (
            <tr key={startDate}>
              <th scope="row">{label(startDate)}</th>
              {[figures.gross, figures.refunds, figures.net, previous.net].map((value, index) => <td className="number" key={index}>{money(value)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Returns the name of the period that begins on a day. */
function labels(by: By, locale: string): (date: string) => string {
  const form: Intl.DateTimeFormatOptions = by === "month" ? { month: "short", year: "2-digit" } : { day: "numeric", month: "short" };
  const format = new Intl.DateTimeFormat(locale, { ...form, timeZone: "UTC" });
  return (date) => format.format(new Date(`${date}T00:00:00Z`));
}

function words(t: Translate, label: string, { figures, previous }: Period, money: (value: MoneyValue) => string): string {
  return t("{period}: {net} net, {refunds} refunded; before {previous}", {
    period: label, net: money(figures.net), refunds: money(figures.refunds), previous: money(previous.net),
  });
}
