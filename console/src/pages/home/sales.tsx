/** The orders and payments of the last days, by status. */

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import { api, read } from "../../api/client";
import { useName, useText } from "../../text";
import { Age } from "../../ui/format";
import { Card, Skeleton } from "../../ui/page";
import { Problem } from "../../ui/problem";
import { Bars } from "./bars";

const REFRESH_MS = 30_000;

export function Sales() {
  const t = useText();
  const name = useName();
  const { data, error, refetch } = useQuery({
    queryKey: ["dashboard", "sales"],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/dashboard/sales", { params: { query: { days: 7 } }, signal }))).data,
    refetchInterval: REFRESH_MS,
  });
  const row = (to: string, status: string, count: string) => ({ name: name(status), label: <Link to={to} search={{ status } as never}>{name(status)}</Link>, value: Number(count) });
  return (
    <Card title={t("Sales, last 7 days")}>
      {error && <Problem error={error} onRetry={() => void refetch()} />}
      {!data && !error && <Skeleton />}
      {data && (
        <>
          <h3>{t("Orders")}</h3>
          {data.orders.length > 0 ? <Bars rows={data.orders.map(({ status, orderCount }) => row("/orders", status, orderCount))} /> : <p className="none">{t("None yet. Orders and their payments are counted here; “Create order” on the page Orders makes the first one.")}</p>}
          <h3>{t("Payments")}</h3>
          {data.payments.length > 0 ? <Bars rows={data.payments.map(({ status, paymentCount }) => row("/payments", status, paymentCount))} /> : <p className="none">{t("None yet. Orders and their payments are counted here; “Create order” on the page Orders makes the first one.")}</p>}
          {data.oldestPendingTime && <p className="foot">{t("The oldest payment without an outcome:")} <Age value={data.oldestPendingTime} /></p>}
        </>
      )}
    </Card>
  );
}
