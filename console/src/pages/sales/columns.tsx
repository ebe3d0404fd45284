/** The columns of purchases, in lists and on the pages of customers. */

import { Link } from "@tanstack/react-router";

import type { Schemas } from "../../api/client";
import { useIsStaff } from "../../shell/user";
import { useName, useText } from "../../text";
import { Badge, Id, Money, short, Time } from "../../ui/format";
import type { Column } from "../../ui/table";

export type Order = Schemas["Order"];
export type Payment = Schemas["Payment"];
export type Subscription = Schemas["Subscription"];
export type Refund = Schemas["Refund"];

type Sale = { id: string; accountId: string; status: string; createTime: string };

/** Returns the columns without the redundant columns of this page. */
export function without<T>(columns: readonly Column<T>[], ...names: string[]): Column<T>[] {
  return columns.filter(({ name }) => !names.includes(name));
}

function useCommon<T extends Sale>(title: string, to: "/orders/$id" | "/payments/$id" | "/subscriptions/$id", number = (row: T) => short(row.id)) {
  const t = useText();
  const name = useName();
  const isStaff = useIsStaff();
  // The columns that narrow screens have no room for.
  const gist = (row: T) => <small className="gist narrow-only">{isStaff && <><Id value={row.accountId} field="accountId" />{" · "}</>}<Time value={row.createTime} /></small>;
  const first: Column<T> = { name: "id", label: title, cell: (row) => <><Link className="row-link" to={to} params={{ id: row.id }}><code>{number(row)}</code></Link>{gist(row)}</> };
  const status: Column<T> = { name: "status", label: name("status"), cell: (row) => <Badge value={row.status} /> };
  const ofStaff: Column<T> = { name: "customer", label: t("Customer"), wide: true, cell: (row) => <Id value={row.accountId} field="accountId" /> };
  // The purchases of a customer are those of one account.
  const customer = isStaff ? [ofStaff] : [];
  const created: Column<T> = { name: "createTime", label: t("Created"), wide: true, cell: (row) => <Time value={row.createTime} /> };
  return { first, gist, status, customer, created };
}

export function useOrderColumns(): Column<Order>[] {
  const t = useText();
  const name = useName();
  const { first, status, customer, created } = useCommon<Order>(t("Order no."), "/orders/$id", (order) => order.number);
  return [
    first, status,
    { name: "items", label: name("items"), wide: true, cell: (order) => order.items.map((item) => `${item.quantity} × ${item.name}`).join(", ") },
    { name: "total", label: name("total"), number: true, cell: (order) => <Money value={order.total} /> },
    ...customer, created,
  ];
}

export function usePaymentColumns(): Column<Payment>[] {
  const t = useText();
  const name = useName();
  const { first, status, customer, created } = useCommon<Payment>(t("Payment no."), "/payments/$id");
  return [
    first, status,
    { name: "amount", label: name("amount"), number: true, cell: (payment) => <Money value={payment.amount} /> },
    { name: "refunded", label: t("Refunded"), number: true, wide: true, cell: (payment) => <Money value={payment.refunded.amountMinor === "0" ? undefined : payment.refunded} /> },
    { name: "order", label: name("order"), wide: true, cell: (payment) => <Id value={payment.orderId} field="orderId" /> },
    ...customer, created,
  ];
}

export function useSubscriptionColumns(): Column<Subscription>[] {
  const t = useText();
  const name = useName();
  const { gist, status, customer } = useCommon<Subscription>("", "/subscriptions/$id");
  return [
    { name: "product", label: name("productName"), cell: (one) => <><Link className="row-link" to="/subscriptions/$id" params={{ id: one.id }}>{one.productName}</Link>{gist(one)}</> },
    status,
    { name: "price", label: name("price"), number: true, cell: (one) => <Money value={one.price} /> },
    { name: "interval", label: name("billingInterval"), wide: true, cell: (one) => <Badge value={one.billingInterval} /> },
    { name: "end", label: t("Paid until"), wide: true, cell: (one) => <Time value={one.periodEndTime} /> },
    ...customer,
  ];
}
