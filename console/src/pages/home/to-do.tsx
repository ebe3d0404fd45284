/** What the members of an account can do next. */

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";

import { api, read } from "../../api/client";
import { useMay } from "../../shell/user";
import { useText } from "../../text";
import { Card, Skeleton } from "../../ui/page";
import { Problem } from "../../ui/problem";

const REFRESH_MS = 30_000;

/** Returns the total of a list that the user may read, else 0. */
function useTotal(name: string, isOpen: boolean, list: (signal: AbortSignal) => Promise<{ meta?: { total?: string } }>) {
  return useQuery({
    queryKey: ["to-do", name],
    queryFn: async ({ signal }) => Number((await list(signal)).meta?.total ?? 0),
    refetchInterval: REFRESH_MS,
    enabled: isOpen,
  });
}

export function ToDo({ accountId }: { accountId: string }) {
  const t = useText();
  const may = useMay();
  const mayInvite = may("InvitationService_CreateInvitation");
  const mayPay = may("PaymentService_ChargePayment");
  const unpaid = useTotal("orders", mayPay && may("OrderService_ListOrders"), (signal) => read(api.GET("/api/v1/orders", { params: { query: { statuses: ["ORDER_STATUS_OPEN"], pageSize: 1 } }, signal })));
  const pastDue = useTotal("subscriptions", mayPay && may("SubscriptionService_ListSubscriptions"), (signal) => read(api.GET("/api/v1/subscriptions", { params: { query: { statuses: ["SUBSCRIPTION_STATUS_PAST_DUE"], pageSize: 1 } }, signal })));
  const members = useTotal("members", mayInvite, (signal) => read(api.GET("/api/v1/members", { params: { query: { accountId, pageSize: 1 } }, signal })));
  const invitations = useTotal("invitations", mayInvite, (signal) => read(api.GET("/api/v1/invitations", { params: { query: { accountId, pageSize: 1 } }, signal })));
  const all = [unpaid, pastDue, members, invitations];
  const failed = all.find(({ error, data }) => error !== null && data === undefined);
  const items: ReactNode[] = [];
  if (unpaid.data) items.push(<Link to="/orders" search={{ status: "ORDER_STATUS_OPEN" } as never}>{t("Orders to pay: {count}", { count: unpaid.data })}</Link>);
  if (pastDue.data) items.push(<Link to="/subscriptions" search={{ status: "SUBSCRIPTION_STATUS_PAST_DUE" } as never}>{t("Subscriptions that could not be paid: {count}", { count: pastDue.data })}</Link>);
  if (members.data === 1 && invitations.data === 0) items.push(<Link to="/account" search={{ list: "invitations" } as never}>{t("Invite your colleagues to this account")}</Link>);
  if (invitations.data) items.push(<Link to="/account" search={{ list: "invitations" } as never}>{t("Invitations that wait: {count}", { count: invitations.data })}</Link>);
  if (may("TicketService_CreateTicket")) items.push(<Link to="/tickets">{t("Ask us something: open a ticket")}</Link>);
  return (
    <Card title={t("What to do")}>
      {failed && <Problem error={failed.error} onRetry={() => void failed.refetch()} />}
      {all.some(({ isLoading }) => isLoading) ? <Skeleton lines={2} /> : items.length === 0 ? <p className="none">{t("Nothing waits for you. Open orders and invitations of this account appear here.")}</p> : <ul className="to-do">{items.map((item, index) => <li key={index}>{item}</li>)}</ul>}
    </Card>
  );
}
