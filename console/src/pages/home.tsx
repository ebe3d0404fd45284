/** The home page: pending work, and recent activity. */

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { lazy, Suspense } from "react";

import { api, read } from "../api/client";
import { useContract } from "../api/contract";
import { useIsStaff, useMay, useMe } from "../shell/user";
import { useName, useText } from "../text";
import { Card, PageFrame, Skeleton } from "../ui/page";
import { Problem } from "../ui/problem";
import { Bars } from "./home/bars";
import { DeclaredNumbers, DeclaredRows, useDeclaredTiles } from "./home/declared";
import { Revenue } from "./home/revenue";
import { Sales } from "./home/sales";
import { SignIns } from "./home/sign-ins";
import { ResponseTimes, Waiting } from "./home/support";
import { Tile } from "./home/tile";
import { ToDo } from "./home/to-do";
import { Related } from "./kit";
import { PRIORITIES, type Priority } from "./tickets/api";
import { useTicketColumns } from "./tickets/columns";
import { useTicketWatch } from "./tickets/watch";

const REFRESH_INTERVAL_MS = 30_000;
const OPEN: ("TICKET_STATUS_OPEN" | "TICKET_STATUS_IN_PROGRESS")[] = ["TICKET_STATUS_OPEN", "TICKET_STATUS_IN_PROGRESS"];

/** Counts the items of a list; the total is part of its first page. */
function useCount(name: readonly string[], count: (signal: AbortSignal) => Promise<{ meta?: { total?: string; totalIsLowerBound?: boolean } }>, enabled = true) {
  return useQuery({
    queryKey: ["count", ...name],
    queryFn: async ({ signal }) => {
      const { meta } = await count(signal);
      return { value: Number(meta?.total ?? 0), more: meta?.totalIsLowerBound ?? false };
    },
    refetchInterval: REFRESH_INTERVAL_MS,
    enabled,
  });
}

const NoAccount = lazy(async () => ({ default: (await import("./account/no-account")).NoAccount }));

export function HomePage() {
  const t = useText();
  const { user, accountId } = useMe();
  const isStaff = useIsStaff();
  const may = useMay();
  const { data: contract, error } = useContract();
  const client = useQueryClient();
  const refetchTickets = () => void client.invalidateQueries({ queryKey: ["tickets"] });
  const readsTickets = may("TicketService_ListTickets");
  const columns = useTicketColumns();
  useTicketWatch({ onChanged: refetchTickets, onGap: refetchTickets });
  const readsSales = may("RevenueService_GetRevenue");
  const readsTiles = may("TileService_GetTiles");
  const declared = useDeclaredTiles(readsTiles);
  const sample = useSample(readsSales && may("UserService_ListUsers"));
  // The notice is the first of the page: it would move the rest.
  if ((!contract && !error) || sample.isLoading) return <PageFrame title={t("Hello, {name}", { name: user.name })}><Skeleton /></PageFrame>;
  if (!isStaff && accountId === undefined) return <Suspense fallback={<PageFrame title="…"><Skeleton /></PageFrame>}><NoAccount /></Suspense>;
  return (
    <PageFrame title={t("Hello, {name}", { name: user.name })}>
      {sample.data && <SampleNotice />}
      {!isStaff && accountId !== undefined && <ToDo accountId={accountId} />}
      <div className="tiles">
        {readsTickets && <Tickets label={t("Open tickets")} statuses={["TICKET_STATUS_OPEN"]} search={{ status: "TICKET_STATUS_OPEN" }} />}
        {readsTickets && <Tickets label={t("In progress")} statuses={["TICKET_STATUS_IN_PROGRESS"]} search={{ status: "TICKET_STATUS_IN_PROGRESS" }} />}
        {readsTickets && may("TicketService_AssignTicket") && <Tickets label={t("Assigned to me")} statuses={OPEN} assigneeId={user.id} search={{ status: "unresolved", assignee: user.id }} />}
        {may("PaymentService_ListPayments") && <Payments label={t("Pending payments")} />}
        {may("InboundEventService_ListInboundEvents") && <DeadEvents label={t("Dead events")} />}
        {readsTiles && <DeclaredNumbers query={declared} />}
      </div>
      {readsSales && <Revenue />}
      {readsTickets && (
        <div className="overview">
          <div><ByPriority />{may("OverviewService_GetTicketOverview") && <Waiting />}</div>
          <Related title={t("Waiting the longest")} name={["tickets", "oldest"]} empty={t("Nothing waits. Unresolved tickets appear here, the oldest first; “New ticket” on the page Tickets creates one.")} columns={columns} refetchMs={REFRESH_INTERVAL_MS}
            actions={() => <Link to="/tickets" search={{ status: "unresolved", order: "TICKET_ORDER_CREATE_TIME_ASC" } as never}>{t("All")}</Link>}
            fetch={(signal) => read(api.GET("/api/v1/tickets", { params: { query: { statuses: OPEN, order: "TICKET_ORDER_CREATE_TIME_ASC", pageSize: 6 } }, signal }))} />
        </div>
      )}
      <div className="cards">
        {may("OverviewService_GetTicketOverview") && <ResponseTimes />}
        {may("OverviewService_GetSalesOverview") && <Sales />}
        {may("OverviewService_GetSignInOverview") && <SignIns />}
        {readsTiles && <DeclaredRows query={declared} />}
      </div>
    </PageFrame>
  );
}

/** The last person of the sample data: src/sample/model.rs. */
const LAST_SAMPLE = "oliver.grant@sample.invalid";

/** Finds out whether there is sample data. */
function useSample(isEnabled: boolean) {
  return useQuery({
    enabled: isEnabled,
    queryKey: ["sample"],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/users", { params: { query: { email: LAST_SAMPLE, pageSize: 1 } }, signal }))).data.length > 0,
    staleTime: Infinity,
  });
}

/** Shows how to remove the sample data. */
function SampleNotice() {
  const t = useText();
  return <p className="notice">{t("Much of this is sample data. To remove it, stop the server and run “sample remove”: the server printed the whole command at its start.")}</p>;
}

type Search = Record<string, string>;
type Status = "TICKET_STATUS_OPEN" | "TICKET_STATUS_IN_PROGRESS";

function Tickets({ label, statuses, assigneeId, search }: { label: string; statuses: Status[]; assigneeId?: string; search: Search }) {
  const query = { statuses, pageSize: 1, ...(assigneeId && { assigneeId }) };
  const count = useCount(["tickets", ...statuses, assigneeId ?? ""], (signal) => read(api.GET("/api/v1/tickets", { params: { query }, signal })));
  return <Tile label={label} count={count} to="/tickets" search={search} />;
}

function Payments({ label }: { label: string }) {
  const count = useCount(["payments"], (signal) => read(api.GET("/api/v1/payments", { params: { query: { statuses: ["PAYMENT_STATUS_PENDING"], pageSize: 1 } }, signal })));
  return <Tile label={label} count={count} to="/payments" search={{ status: "PAYMENT_STATUS_PENDING" }} />;
}

function DeadEvents({ label }: { label: string }) {
  const count = useCount(["dead"], (signal) => read(api.GET("/api/v1/inbound-events", { params: { query: { state: "INBOUND_EVENT_STATE_DEAD", pageSize: 1 } }, signal })));
  return <Tile label={label} count={count} to="/inbound-events" search={{ state: "INBOUND_EVENT_STATE_DEAD" }} alarming />;
}

/** Counts the unresolved tickets by priority. */
function ByPriority() {
  const t = useText();
  const name = useName();
  const { data, error, refetch } = useQuery({
    queryKey: ["count", "priorities"],
    queryFn: async ({ signal }) => new Map(await Promise.all(PRIORITIES.map(async (priority): Promise<[Priority, { value: number; more: boolean }]> => {
      const { meta } = await read(api.GET("/api/v1/tickets", { params: { query: { statuses: OPEN, priorities: [priority], pageSize: 1 } }, signal }));
      return [priority, { value: Number(meta.total ?? 0), more: meta.totalIsLowerBound ?? false }];
    }))),
    refetchInterval: REFRESH_INTERVAL_MS,
  });
  return (
    <Card title={t("Unresolved, by priority")}>
      {error && <Problem error={error} onRetry={() => void refetch()} />}
      {(data || !error) && <Bars rows={[...PRIORITIES].reverse().map((priority) => ({
        name: name(priority),
        label: <Link to="/tickets" search={{ status: "unresolved", priority } as never}>{name(priority)}</Link>,
        value: data?.get(priority)?.value,
        more: data?.get(priority)?.more ?? false,
      }))} />}
    </Card>
  );
}
