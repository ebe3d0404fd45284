/** Customers: accounts, with their tickets and purchases on one page, and their members, invitations and roles beside it. */

import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useId } from "react";

import { api, read } from "../api/client";
import { DebouncedInput } from "../resource/filters";
import { useMay } from "../shell/user";
import { useName, useText } from "../text";
import { Time } from "../ui/format";
import { PageFrame, Skeleton } from "../ui/page";
import { ProblemPage } from "../ui/problem";
import type { Column } from "../ui/table";
import { AccountFrame } from "./account/account";
import type { Account } from "./account/api";
import { FilterBar, ListPage, pageOf, Related, Together, useSearchParams } from "./kit";
import { useOrderColumns, usePaymentColumns, useSubscriptionColumns, without } from "./sales/columns";
import { useTicketColumns } from "./tickets/columns";
import { NewTicket } from "./tickets/new";


export function CustomersPage() {
  const t = useText();
  const name = useName();
  const columns: Column<Account>[] = [
    { name: "name", label: name("name"), cell: (account) => <Link className="row-link" to="/customers/$id" params={{ id: account.id }}>{account.name}</Link> },
    { name: "createTime", label: t("Created"), wide: true, cell: (account) => <Time value={account.createTime} /> },
  ];
  return (
    <ListPage name="accounts" title={t("Customers")} empty={t("No customers yet. Accounts appear here once people have registered, for which your product calls POST /api/v1/auth/register.")} columns={columns}
      filters={<FilterBar><NameFilter /></FilterBar>}
      fetch={(search, signal) => {
        const query = { page: pageOf(search), pageSize: 50, ...(search["name"] && { namePrefix: search["name"] }) };
        return read(api.GET("/api/v1/accounts", { params: { query }, signal }));
      }} />
  );
}

function NameFilter() {
  const t = useText();
  const id = useId();
  const [search, set] = useSearchParams();
  return (
    <div>
      <label htmlFor={id}>{t("Search")}</label>
      <DebouncedInput id={id} placeholder={t("The beginning of the name")} value={search["name"] ?? ""} onChange={(name) => set({ name: name || undefined, page: undefined })} />
    </div>
  );
}

const FEW = 10;

export function CustomerPage() {
  const t = useText();
  const { id } = useParams({ strict: false }) as { id: string };
  const above = <Link to="/customers">{t("Customers")}</Link>;
  const { data: account, error, refetch } = useQuery({
    queryKey: ["account", id],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/accounts/{accountId}", { params: { path: { accountId: id } }, signal }))).data,
  });
  if (error && !account) return <ProblemPage error={error} above={above} onRetry={() => void refetch()} />;
  if (!account) return <PageFrame title="…" above={above}><Skeleton /></PageFrame>;
  return <AccountFrame account={account} above={above} overview={<Together key={id}><Overview id={id} /></Together>}><NewTicket accountId={id} /></AccountFrame>;
}

function Overview({ id }: { id: string }) {
  const t = useText();
  const may = useMay();
  const [tickets, orders, payments, subscriptions] = [useTicketColumns(), useOrderColumns(), usePaymentColumns(), useSubscriptionColumns()];
  const query = { accountId: id, pageSize: FEW };
  return (
    <>
      <p className="lead"><code>{id}</code></p>
      {may("TicketService_ListTickets") && <Related title={t("Tickets")} name={["tickets", "account", id]} empty={t("No tickets of this customer. Create one with “New ticket” above.")} columns={tickets}
        actions={() => <Link to="/tickets" search={{ account: id } as never}>{t("All")}</Link>}
        fetch={(signal) => read(api.GET("/api/v1/tickets", { params: { query }, signal }))} />}
      {may("OrderService_ListOrders") && <Related title={t("Orders")} name={["orders", "account", id]} empty={t("No orders of this customer. Create one with “Create order” on the page Orders.")} columns={without(orders, "customer")}
        actions={() => <Link to="/orders" search={{ accountId: id } as never}>{t("All")}</Link>}
        fetch={(signal) => read(api.GET("/api/v1/orders", { params: { query }, signal }))} />}
      {may("PaymentService_ListPayments") && <Related title={t("Payments")} name={["payments", "account", id]} empty={t("No payments of this customer. Charge an open order with “Charge payment” on its page.")} columns={without(payments, "customer")}
        actions={() => <Link to="/payments" search={{ accountId: id } as never}>{t("All")}</Link>}
        fetch={(signal) => read(api.GET("/api/v1/payments", { params: { query }, signal }))} />}
      {may("SubscriptionService_ListSubscriptions") && <Related title={t("Subscriptions")} name={["subscriptions", "account", id]} empty={t("No subscriptions of this customer. Create one with “Create subscription” on the page Subscriptions.")} columns={without(subscriptions, "customer")}
        actions={() => <Link to="/subscriptions" search={{ accountId: id } as never}>{t("All")}</Link>}
        fetch={(signal) => read(api.GET("/api/v1/subscriptions", { params: { query }, signal }))} />}
    </>
  );
}
