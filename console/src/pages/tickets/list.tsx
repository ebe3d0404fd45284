/** The tickets: search, filters in the URL's query, and triage by keyboard or in bulk. */

import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";

import { useIsStaff, useMay, useMe } from "../../shell/user";
import { useName, useText } from "../../text";
import { EndlessTable, type Reveal } from "../../ui/endless-table";
import { Age, Badge, useLocale } from "../../ui/format";
import { PageFrame } from "../../ui/page";
import { Problem } from "../../ui/problem";
import { Table, type Column } from "../../ui/table";
import type { Ticket } from "./api";
import { BulkBar } from "./bulk";
import { TicketFilters, filterOf, type TicketSearch } from "./filters";
import { usePendingChanges } from "./pending-changes";
import { useChosen, useLastSearch } from "./kept";
import { NewTicket } from "./new";
import { useAgents } from "./people";
import { useTicketRows, type TicketRows } from "./rows";
import { useTriage } from "./triage";
import { Shortcuts } from "./shortcuts";
import { TicketViews } from "./views";

export function TicketsPage() {
  const t = useText();
  const name = useName();
  const navigate = useNavigate();
  const { accountId } = useMe();
  const search = useSearch({ strict: false }) as TicketSearch;
  const set = (next: TicketSearch) => void navigate({ to: ".", search: ((current: TicketSearch) => ({ ...current, ...next })) as never, replace: true });
  const [, setLastSearch] = useLastSearch();
  useEffect(() => setLastSearch(search), [search]);
  const filter = filterOf(search);
  const isFiltered = Object.entries(search).some(([parameter, value]) => parameter !== "order" && value !== undefined && value !== "");
  const rows = useTicketRows(filter);
  const { selected, toggle, ...selection } = useSelection(rows);
  const open = (ticket: Ticket) => void navigate({ to: "/tickets/$id", params: { id: ticket.id } });
  const isStaff = useIsStaff();
  const reveal = useRef<Reveal>(null);
  const triage = useTriage({ name: JSON.stringify(filter), rows, onReveal: (index) => reveal.current?.(index), onOpen: open, onSelect: toggle });
  const agents = useAgents().data ?? [];
  const { pending, showAll } = usePendingChanges(filter, rows);
  const select: Column<Ticket> = {
    name: "select",
    label: t("Select"),
    unlabelled: true,
    cell: (ticket) => <input type="checkbox" checked={selected.has(ticket.id)} onChange={() => toggle(ticket)} aria-label={t("Select {name}", { name: ticket.subject })} />,
  };
  const mayChange = useMay()("TicketService_BulkChangeTickets");
  const columns: Column<Ticket>[] = [
    ...(mayChange ? [select] : []),
    { name: "subject", label: t("Subject"), cell: (ticket) => <Subject ticket={ticket} /> },
    { name: "status", label: name("status"), wide: true, cell: (ticket) => <Badge value={ticket.status} /> },
    { name: "priority", label: name("priority"), wide: true, cell: (ticket) => <Badge value={ticket.priority} /> },
    { name: "assignee", label: name("assignee"), wide: true, cell: (ticket) => agents.find((one) => one.id === ticket.assigneeId)?.name ?? (ticket.assigneeId ? (isStaff ? "…" : t("assigned")) : <span className="dim">{t("Unassigned")}</span>) },
    { name: "createTime", label: t("Created"), wide: true, cell: (ticket) => <Age value={ticket.createTime} /> },
  ];
  return (
    <PageFrame title={t("Tickets")} actions={<><Shortcuts /><NewTicket accountId={accountId} /></>}>
      <TicketViews search={search} />
      <TicketFilters search={search} onChange={set} />
      <BulkBar {...selection} filter={filter} total={rows.more ? undefined : String(rows.total)}><Total rows={rows} /></BulkBar>
      <div role="status" className="pending-changes">{pending > 0 && <button type="button" onClick={showAll}>{t("New or changed: {count}. Show", { count: pending })}</button>}</div>
      {rows.count > 0
        ? <EndlessTable ref={reveal} label={t("Tickets")} columns={columns} count={rows.count} at={rows.at} current={triage.current} start={triage.start} onCurrent={triage.mark} onLook={rows.look} />
        : <Table label={t("Tickets")} columns={columns} query={rows.first} rowKey={(ticket) => ticket.id} empty={isFiltered ? t("No ticket matches.") : !isStaff ? t("No tickets yet. A question or a problem begins one.") : t("No tickets yet. Create one with the button above. Customers create theirs through your product.")} />}
      {rows.error && <Problem error={rows.error} onRetry={rows.retry} />}
    </PageFrame>
  );
}

/** The number of ids that one bulk change takes. */
const MAX_IDS = 1000;

/** The tickets that are selected for bulk actions. */
function useSelection(rows: TicketRows) {
  const t = useText();
  const [chosen, setChosen] = useChosen();
  const loaded = rows.cached().flatMap(([, { data }]) => data);
  const all = loaded.length > 0 && loaded.every(({ id }) => chosen.has(id));
  const [everything, setEverything] = useState(false);
  const areTooMany = loaded.length > MAX_IDS;
  const choose = (tickets: Iterable<Ticket>) => {
    setEverything(false);
    setChosen(new Map([...tickets].map((ticket) => [ticket.id, ticket])));
  };
  return {
    selected: chosen,
    toggle: (ticket: Ticket) => choose(chosen.has(ticket.id) ? [...chosen.values()].filter(({ id }) => id !== ticket.id) : [...chosen.values(), ticket]),
    ids: [...chosen.keys()],
    all,
    // Other filters match other tickets.
    everything: everything && all,
    label: loaded.length < rows.count && !areTooMany ? t("Select the {count} that are loaded", { count: loaded.length }) : t("Select all"),
    onAll: () => {
      choose(all ? [] : loaded);
      setEverything(!all && areTooMany);
    },
    onEverything: () => setEverything(true),
    onNone: () => choose([]),
  };
}

function Total({ rows: { first, total, more } }: { rows: TicketRows }) {
  const t = useText();
  const locale = useLocale();
  return <span className="total">{first.data && t("{total} total", { total: `${total.toLocaleString(locale)}${more ? "+" : ""}` })}</span>;
}

function Subject({ ticket }: { ticket: Ticket }) {
  const requester = ticket.included?.requester?.name;
  return (
    <>
      <Link className="row-link" to="/tickets/$id" params={{ id: ticket.id }} data-ticket={ticket.id}>{ticket.subject}</Link>
      <span className="gist dim"><small>{[requester, ticket.queue].filter(Boolean).join(" · ")}</small></span>
      <span className="narrow-only"><Badge value={ticket.status} /> <Badge value={ticket.priority} /></span>
    </>
  );
}
