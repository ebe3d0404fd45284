/** Customers: the accounts, each with its people, tickets, purchases and payments on one page. */

import { Link, useParams } from "@tanstack/react-router";

import { api, read, type Schemas } from "../api/client";
import { useName, useText } from "../text";
import { Age, Badge, Time } from "../ui/format";
import { PageFrame } from "../ui/page";
import type { Column } from "../ui/table";
import { ListPage, pageOf, Related } from "./kit";
import { RelatedList } from "./related-list";
import { useOrderColumns, usePaymentColumns, useSubscriptionColumns, without } from "./sales/columns";
import { NewTicket } from "./tickets/new";
import { useCustomerName } from "./tickets/people";

type Account = Schemas["Account"];
type User = Schemas["User"];
type Ticket = Schemas["Ticket"];

export function CustomersPage() {
  const t = useText();
  const name = useName();
  const columns: Column<Account>[] = [
    { name: "name", label: name("name"), cell: (account) => <Link className="row-link" to="/customers/$id" params={{ id: account.id }}>{account.name}</Link> },
    { name: "createTime", label: t("Created"), wide: true, cell: (account) => <Time value={account.createTime} /> },
  ];
  return (
    <ListPage name="customers" title={t("Customers")} empty={t("No customers yet. People appear here once they have registered, for which your product calls POST /api/v1/auth/register.")} columns={columns}
      fetch={(search, signal) => read(api.GET("/api/v1/accounts", { params: { query: { page: pageOf(search), pageSize: 50 } }, signal }))} />
  );
}

const FEW = 10;

export function CustomerPage() {
  const t = useText();
  const { id } = useParams({ strict: false }) as { id: string };
  const query = { accountId: id, pageSize: FEW };
  const title = useCustomerName(id) ?? t("Customer");
  return (
    <PageFrame title={title} above={<Link to="/customers">{t("Customers")}</Link>} actions={<NewTicket accountId={id} />}>
      <p className="lead"><code>{id}</code></p>
      <Related title={t("Tickets")} name={["tickets", "account", id]} empty={t("No tickets of this customer. The button above opens the first one.")} columns={useTicketColumns()}
        actions={<Link to="/tickets" search={{ account: id } as never}>{t("All")}</Link>}
        fetch={(signal) => read(api.GET("/api/v1/tickets", { params: { query }, signal }))} />
      <Related title={t("Orders")} name={["orders", "account", id]} empty={t("No orders of this customer. The page of all orders places the first one.")} columns={without(useOrderColumns(), "customer")}
        actions={<Link to="/orders" search={{ accountId: id } as never}>{t("All")}</Link>}
        fetch={(signal) => read(api.GET("/api/v1/orders", { params: { query }, signal }))} />
      <Related title={t("Payments")} name={["payments", "account", id]} empty={t("No payments of this customer. The page of an open order makes the first one.")} columns={without(usePaymentColumns(), "customer")}
        actions={<Link to="/payments" search={{ accountId: id } as never}>{t("All")}</Link>}
        fetch={(signal) => read(api.GET("/api/v1/payments", { params: { query }, signal }))} />
      <Related title={t("Subscriptions")} name={["subscriptions", "account", id]} empty={t("No subscriptions of this customer. The page of all subscriptions begins the first one.")} columns={without(useSubscriptionColumns(), "customer")}
        actions={<Link to="/subscriptions" search={{ accountId: id } as never}>{t("All")}</Link>}
        fetch={(signal) => read(api.GET("/api/v1/subscriptions", { params: { query }, signal }))} />
      <RelatedList title={t("People")} name={["users", "account", id]} empty={t("No person belongs to this account any more.")} columns={usePeopleColumns()}
        fetch={(pageToken, signal) => read(api.GET("/api/v1/users", { params: { query: { accountId: id, pageSize: 50, pageToken } }, signal }))} />
    </PageFrame>
  );
}

export function useTicketColumns(): Column<Ticket>[] {
  const t = useText();
  const name = useName();
  return [
    { name: "subject", label: t("Subject"), cell: (ticket) => <Link className="row-link" to="/tickets/$id" params={{ id: ticket.id }}>{ticket.subject}</Link> },
    { name: "status", label: name("status"), cell: (ticket) => <Badge value={ticket.status} /> },
    { name: "priority", label: name("priority"), wide: true, cell: (ticket) => <Badge value={ticket.priority} /> },
    { name: "createTime", label: t("Created"), wide: true, cell: (ticket) => <Age value={ticket.createTime} /> },
  ];
}

function usePeopleColumns(): Column<User>[] {
  const name = useName();
  return [
    { name: "name", label: name("name"), cell: (user) => <Link className="row-link" to="/people/$id" params={{ id: user.id }}>{user.name}</Link> },
    { name: "email", label: name("email"), cell: (user) => <span className="text">{user.email}</span> },
    { name: "role", label: name("role"), wide: true, cell: (user) => <Badge value={user.role} /> },
  ];
}
