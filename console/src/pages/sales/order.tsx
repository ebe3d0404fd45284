/** One order: its items, and its payment. */

import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";

import { api, read, type Schemas } from "../../api/client";
import { useIsStaff, useMay } from "../../shell/user";
import { useName, useText } from "../../text";
import { Badge, Money } from "../../ui/format";
import { Card, PageFrame, Skeleton } from "../../ui/page";
import { Problem } from "../../ui/problem";
import { Fields } from "../../ui/value";
import { History } from "../access/audit";
import { Action, Together } from "../kit";
import { RelatedList } from "../related-list";
import { usePaymentColumns, without } from "./columns";

export function OrderPage() {
  const t = useText();
  const may = useMay();
  const isStaff = useIsStaff();
  const { id } = useParams({ strict: false }) as { id: string };
  const { data: order, error, refetch } = useQuery({
    queryKey: ["order", id],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/orders/{orderId}", { params: { path: { orderId: id } }, signal }))).data,
  });
  const payments = without(usePaymentColumns(), "order", "customer");
  const above = <Link to="/orders">{t("Orders")}</Link>;
  if (error && !order) return <PageFrame title={t("Order no.")} above={above}><Problem error={error} onRetry={() => void refetch()} /></PageFrame>;
  if (!order) return <PageFrame title="…" above={above}><Skeleton /></PageFrame>;
  const values = { orderId: id };
  const open = order.status === "ORDER_STATUS_OPEN";
  return (
    <PageFrame title={t("Order {number}", { number: order.number })} above={above} actions={open && <>
      <Action id="PaymentService_ChargePayment" initial={values} primary {...(!isStaff && { label: t("Pay") })} />
      <Action id="OrderService_CancelOrder" values={values} version={order.version} name={t("Order {number}", { number: order.number })} />
    </>}>
      <Together key={id}><div className="columns">
        <div>
          <Items order={order} />
          {may("PaymentService_ListPayments") && <RelatedList title={t("Payments")} name={["payments", "order", id]} empty={may("PaymentService_ChargePayment") ? t("Not paid yet. While the order is open, the button above charges it.") : t("Not paid yet.")} columns={payments}
            fetch={(pageToken, signal) => read(api.GET("/api/v1/payments", { params: { query: { orderId: id, pageSize: 50, pageToken } }, signal }))} />}
          <History resourceId={id} />
        </div>
        <Card title={t("Details")}><Fields value={order} without={["items"]} /></Card>
      </div></Together>
    </PageFrame>
  );
}

function Items({ order }: { order: Schemas["Order"] }) {
  const t = useText();
  const name = useName();
  return (
    <Card title={name("items")} actions={<Badge value={order.status} />}>
      <div className="table" role="region" tabIndex={0} aria-label={name("items")}>
        <table>
          <thead><tr><th scope="col">{name("product")}</th><th scope="col" className="number">{name("quantity")}</th><th scope="col" className="number wide-only">{name("unitPrice")}</th><th scope="col" className="number">{name("amount")}</th></tr></thead>
          <tbody>
            {order.items.map((item) => (
              <tr key={item.productId}>
                <td><Link className="row-link" to="/s/$service/$id" params={{ service: "ProductService", id: item.productId }}>{item.name}</Link></td>
                <td className="number">{item.quantity}</td>
                <td className="number wide-only"><Money value={item.unitPrice} /></td>
                <td className="number"><Money value={item.amount} /></td>
              </tr>
            ))}
            <tr><th scope="row" colSpan={2}>{t("Total")}</th><td className="wide-only" /><td className="number"><b><Money value={order.total} /></b></td></tr>
          </tbody>
        </table>
      </div>
    </Card>
  );
}
