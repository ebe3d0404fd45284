/** The first page: what needs a hand, and what is new. */

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";

import { api, read } from "../api/client";
import { useUser } from "../shell/user";
import { useName, useText } from "../text";
import { Card, PageFrame } from "../ui/page";
import { Problem } from "../ui/problem";
import { useTicketColumns } from "./customers";
import { Related } from "./kit";
import { PRIORITIES, type Priority } from "./tickets/api";

const WATCH_MS = 30_000;
const OPEN: ("TICKET_STATUS_OPEN" | "TICKET_STATUS_IN_PROGRESS")[] = ["TICKET_STATUS_OPEN", "TICKET_STATUS_IN_PROGRESS"];

/** Counts what a list would have; the total comes with its first row. */
function useCount(name: readonly string[], count: (signal: AbortSignal) => Promise<{ meta?: { total?: string; totalIsLowerBound?: boolean } }>, enabled = true) {
  return useQuery({
    queryKey: ["count", ...name],
    queryFn: async ({ signal }) => {
      const { meta } = await count(signal);
      return { value: Number(meta?.total ?? 0), more: meta?.totalIsLowerBound ?? false };
    },
    refetchInterval: WATCH_MS,
    enabled,
  });
}

export function HomePage() {
  const t = useText();
  const user = useUser();
  const isStaff = user.role !== "ROLE_CUSTOMER";
  const isAdmin = user.role === "ROLE_ADMIN";
  return (
    <PageFrame title={t("Hello, {name}", { name: user.name })}>
      <div className="tiles">
        <Tickets label={t("Open tickets")} statuses={["TICKET_STATUS_OPEN"]} search={{ status: "TICKET_STATUS_OPEN" }} />
        <Tickets label={t("In progress")} statuses={["TICKET_STATUS_IN_PROGRESS"]} search={{ status: "TICKET_STATUS_IN_PROGRESS" }} />
        {isStaff && <Tickets label={t("Assigned to me")} statuses={OPEN} assigneeId={user.id} search={{ status: "unresolved", assignee: user.id }} />}
        <Payments label={t("Pending payments")} />
        {isAdmin && <Dead label={t("Dead events")} />}
      </div>
      <div className="overview">
        <ByPriority />
        <Related title={t("Waiting the longest")} name={["tickets", "oldest"]} columns={useTicketColumns()} refetchMs={WATCH_MS}
          actions={<Link to="/tickets" search={{ status: "unresolved", order: "TICKET_ORDER_CREATE_TIME_ASC" } as never}>{t("All")}</Link>}
          fetch={(signal) => read(api.GET("/api/v1/tickets", { params: { query: { statuses: OPEN, order: "TICKET_ORDER_CREATE_TIME_ASC", pageSize: 6 } }, signal }))} />
      </div>
    </PageFrame>
  );
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

function Dead({ label }: { label: string }) {
  const count = useCount(["dead"], (signal) => read(api.GET("/api/v1/inbound-events", { params: { query: { state: "INBOUND_EVENT_STATE_DEAD", pageSize: 1 } }, signal })));
  return <Tile label={label} count={count} to="/inbound-events" search={{ state: "INBOUND_EVENT_STATE_DEAD" }} alarming />;
}

type TileProps = { label: string; count: ReturnType<typeof useCount>; to: string; search: Search; alarming?: boolean };

function Tile({ label, count, to, search, alarming = false }: TileProps) {
  const t = useText();
  const { data, error } = count;
  let shown: ReactNode = <span className="skeleton" />;
  if (data) shown = `${data.value.toLocaleString()}${data.more ? "+" : ""}`;
  else if (error) shown = <span className="none">{t("unknown")}</span>;
  return (
    <Link className={alarming && data && data.value > 0 ? "tile bad" : "tile"} to={to} search={search as never}>
      <b>{shown}</b>
      <span>{label}</span>
    </Link>
  );
}

/** How many unresolved tickets there are of each priority. */
function ByPriority() {
  const t = useText();
  const { data, error, refetch } = useQuery({
    queryKey: ["count", "priorities"],
    queryFn: async ({ signal }) => await Promise.all([...PRIORITIES].reverse().map(async (priority): Promise<[Priority, number]> => {
      const { meta } = await read(api.GET("/api/v1/tickets", { params: { query: { statuses: OPEN, priorities: [priority], pageSize: 1 } }, signal }));
      return [priority, Number(meta.total ?? 0)];
    })),
    refetchInterval: WATCH_MS,
  });
  return (
    <Card title={t("Unresolved, by priority")}>
      {error && <Problem error={error} onRetry={() => void refetch()} />}
      <Bars rows={data ?? PRIORITIES.map((priority): [Priority, undefined] => [priority, undefined])} />
    </Card>
  );
}

function Bars({ rows }: { rows: readonly [Priority, number | undefined][] }) {
  const name = useName();
  const most = Math.max(1, ...rows.map(([, value]) => value ?? 0));
  return (
    <ul className="bars">
      {rows.map(([priority, value]) => (
        <li key={priority}>
          <Link to="/tickets" search={{ status: "unresolved", priority } as never}>{name(priority)}</Link>
          <meter min={0} max={most} value={value ?? 0} aria-label={name(priority)} />
          {value === undefined ? <span className="skeleton" /> : <span className="number">{value.toLocaleString()}</span>}
        </li>
      ))}
    </ul>
  );
}
