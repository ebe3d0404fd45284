/** The tickets: search, filters in the address, and triage by keyboard or in bulk. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";

import { api, read } from "../../api/client";
import { useContract } from "../../api/contract";
import { OperationButton } from "../../resource/operation-button";
import { useUser } from "../../shell/user";
import { useName, useText } from "../../text";
import { Age, Badge } from "../../ui/format";
import { PageFrame } from "../../ui/page";
import { Pager, Table, type Column } from "../../ui/table";
import type { Ticket } from "./api";
import { BulkBar } from "./bulk";
import { TicketFilters, listQuery, type TicketSearch } from "./filters";
import { useAgents } from "./people";
import { useTriage } from "./triage";
import { Shortcuts } from "./shortcuts";

export function TicketsPage() {
  const t = useText();
  const name = useName();
  const navigate = useNavigate();
  const user = useUser();
  const search = useSearch({ strict: false }) as TicketSearch;
  const set = (next: TicketSearch) => void navigate({ to: ".", search: { ...search, ...next } as never, replace: true });
  const asked = listQuery(search);
  const query = useQuery({
    queryKey: ["tickets", asked],
    queryFn: async ({ signal }) => await read(api.GET("/api/v1/tickets", { params: { query: asked }, signal })),
    placeholderData: keepPreviousData,
  });
  const tickets = query.data?.data ?? [];
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const toggle = (id: string) => setSelected((before) => {
    const after = new Set(before);
    if (!after.delete(id)) after.add(id);
    return after;
  });
  const open = (ticket: Ticket) => void navigate({ to: "/tickets/$id", params: { id: ticket.id } });
  const isStaff = user.role !== "ROLE_CUSTOMER";
  const triage = useTriage({ tickets, isStaff, me: user.id, onOpen: open, onSelect: (ticket) => toggle(ticket.id) });
  const agents = useAgents().data ?? [];
  const all = tickets.length > 0 && tickets.every((ticket) => selected.has(ticket.id));
  const columns: Column<Ticket>[] = [
    {
      name: "select",
      label: t("Select"),
      unlabelled: true,
      cell: (ticket) => <input type="checkbox" checked={selected.has(ticket.id)} onChange={() => toggle(ticket.id)} aria-label={t("Select {name}", { name: ticket.subject })} />,
    },
    { name: "subject", label: t("Subject"), cell: (ticket) => <Subject ticket={ticket} /> },
    { name: "status", label: name("status"), wide: true, cell: (ticket) => <Badge value={ticket.status} /> },
    { name: "priority", label: name("priority"), wide: true, cell: (ticket) => <Badge value={ticket.priority} /> },
    { name: "assignee", label: name("assignee"), wide: true, cell: (ticket) => agents.find((one) => one.id === ticket.assigneeId)?.name ?? (ticket.assigneeId ? "…" : <span className="dim">{t("nobody")}</span>) },
    { name: "createTime", label: t("Created"), wide: true, cell: (ticket) => <Age value={ticket.createTime} /> },
  ];
  return (
    <PageFrame title={t("Tickets")} actions={<><Shortcuts /><NewTicket /></>}>
      <TicketFilters search={search} onChange={(next) => set({ ...next, page: undefined })} />
      <BulkBar tickets={tickets.filter((ticket) => selected.has(ticket.id))} all={all} isStaff={isStaff}
        onAll={() => setSelected(all ? new Set() : new Set(tickets.map((ticket) => ticket.id)))}
        onDone={(failed) => setSelected(new Set(failed))} />
      <Table label={t("Tickets")} columns={columns} query={query} rowKey={(ticket) => ticket.id}
        rowProps={(_, index) => ({ "data-current": index === triage.current })} empty={t("No ticket matches.")} />
      <Pager meta={query.data?.meta} onPage={(page) => set({ page: String(page) })} />
    </PageFrame>
  );
}

function Subject({ ticket }: { ticket: Ticket }) {
  return (
    <>
      <Link className="row-link" to="/tickets/$id" params={{ id: ticket.id }} data-ticket={ticket.id}>{ticket.subject}</Link>
      <span className="narrow-only"><br /><Badge value={ticket.status} /> <Badge value={ticket.priority} /></span>
      <span className="wide-only dim"><br /><small>{ticket.queue}</small></span>
    </>
  );
}

function NewTicket() {
  const t = useText();
  const user = useUser();
  const navigate = useNavigate();
  const { data: contract } = useContract();
  const operation = contract?.services.flatMap((service) => service.operations).find((one) => one.id === "TicketService_CreateTicket");
  if (!contract || !operation) return null;
  const done = (answer: unknown) => void navigate({ to: "/tickets/$id", params: { id: (answer as { data: Ticket }).data.id } });
  return <OperationButton contract={contract} operation={operation} values={{}} initial={{ accountId: user.accountId }} label={t("New ticket")} primary onDone={done} />;
}
