/** One payment: its history, and its refunds. */

import { useQuery, type UseQueryResult } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useState } from "react";

import { api, read, readAll } from "../../api/client";
import { useMay } from "../../shell/user";
import { useText } from "../../text";
import { Badge, short, Time, useMoney } from "../../ui/format";
import { Card, PageFrame, Skeleton } from "../../ui/page";
import { Problem } from "../../ui/problem";
import { Fields } from "../../ui/value";
import type { Payment, Refund } from "./columns";
import { RefundSheet } from "./refund";

/** The polling interval for a payment with an unknown outcome, in milliseconds. */
const PENDING_MS = 2000;

export function PaymentPage() {
  const t = useText();
  const { id } = useParams({ strict: false }) as { id: string };
  const path = { paymentId: id };
  const payment = useQuery({
    queryKey: ["payment", id],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/payments/{paymentId}", { params: { path }, signal }))).data,
    refetchInterval: ({ state }) => (state.data?.status === "PAYMENT_STATUS_PENDING" ? PENDING_MS : false),
  });
  const refunds = useQuery({
    queryKey: ["refunds", id],
    queryFn: ({ signal }) => readAll((pageToken) => {
      const params = { path, query: { pageSize: 100, pageToken } };
      return read(api.GET("/api/v1/payments/{paymentId}/refunds", { params, signal }));
    }),
    refetchInterval: ({ state }) => (state.data?.some((refund) => refund.status === "REFUND_STATUS_PENDING") ? PENDING_MS : false),
  });
  const above = <Link to="/payments">{t("Payments")}</Link>;
  const reload = () => void Promise.all([payment.refetch(), refunds.refetch()]);
  if (payment.error && !payment.data) return <PageFrame title={t("Payment")} above={above}><Problem error={payment.error} onRetry={reload} /></PageFrame>;
  if (!payment.data) return <PageFrame title="…" above={above}><Skeleton /></PageFrame>;
  return <PaymentView payment={payment.data} refunds={refunds} onRefunded={reload} />;
}

function PaymentView({ payment, refunds, onRefunded }: { payment: Payment; refunds: UseQueryResult<Refund[]>; onRefunded: () => void }) {
  const t = useText();
  const may = useMay();
  const money = useMoney();
  const [refunding, setRefunding] = useState(false);
  const remaining = BigInt(payment.amount.amountMinor) - BigInt(payment.refunded.amountMinor);
  const refundable = may("RefundService_CreateRefund") && payment.status === "PAYMENT_STATUS_SUCCEEDED" && remaining > 0n;
  return (
    <PageFrame
      title={t("Payment of {amount}", { amount: money(payment.amount) })}
      above={<Link to="/payments">{t("Payments")}</Link>}
      actions={refundable && <button type="button" className="primary" onClick={() => setRefunding(true)}>{t("Refund …")}</button>}
    >
      <div className="columns">
        <Card title={t("History")}>
          {refunds.error && <Problem error={refunds.error} onRetry={() => void refunds.refetch()} />}
          <Timeline payment={payment} refunds={refunds.data ?? []} />
          {!refunds.data && !refunds.error && <Skeleton lines={1} />}
        </Card>
        <Card title={t("Details")}><Fields value={payment} /></Card>
      </div>
      {refunding && <RefundSheet payment={payment} remaining={String(remaining)} onClose={() => setRefunding(false)} onDone={onRefunded} />}
    </PageFrame>
  );
}

function Timeline({ payment, refunds }: { payment: Payment; refunds: readonly Refund[] }) {
  const t = useText();
  const money = useMoney();
  const { gateway } = payment;
  const ended = payment.status !== "PAYMENT_STATUS_PENDING";
  const inOrder = [...refunds].sort((one, other) => one.createTime.localeCompare(other.createTime));
  return (
    <ol className="timeline">
      <li><b>{t("Charge requested")}</b> {money(payment.amount)}<br /><Time value={payment.createTime} /></li>
      {!ended && <li><b>{t("Waiting for the answer of {gateway}", { gateway })}</b><br /><span className="dim">{t("The outcome is settled by itself; nothing is charged twice.")}</span></li>}
      {payment.status === "PAYMENT_STATUS_FAILED" && <li><b>{t("Refused by {gateway}", { gateway })}</b><br />{payment.failureMessage} <code>{payment.failureCode}</code></li>}
      {ended && payment.status !== "PAYMENT_STATUS_FAILED" && <li><b>{t("Charged by {gateway}", { gateway })}</b><br /><code>{payment.gatewayId}</code></li>}
      {inOrder.map((refund) => (
        <li key={refund.id}>
          <b>{t("Refund of {amount}", { amount: money(refund.amount) })}</b> <Badge value={refund.status} />
          <br /><Time value={refund.createTime} /> <code title={refund.id}>{refund.gatewayId ?? short(refund.id)}</code>
          {refund.failureMessage && <><br />{refund.failureMessage} <code>{refund.failureCode}</code></>}
          {refund.madeAtGateway && <><br /><span className="dim">{t("Made at the gateway itself.")}</span></>}
        </li>
      ))}
    </ol>
  );
}
