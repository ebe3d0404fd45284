/** The ticket requests of the pages. */

import { useMutation, useQueryClient, type QueryClient } from "@tanstack/react-query";

import { api, ifMatch, read, type Schemas } from "../../api/client";
import { IdempotencyKeys } from "../../api/idempotency";

export type Ticket = Schemas["Ticket"];
export type TicketPatch = Schemas["TicketPatch"];
export type Priority = Schemas["TicketPriority"];
type List = Schemas["ListTicketsResponse"];

export const PRIORITIES = ["TICKET_PRIORITY_LOW", "TICKET_PRIORITY_MEDIUM", "TICKET_PRIORITY_HIGH", "TICKET_PRIORITY_URGENT"] as const;
export const STATUSES = ["TICKET_STATUS_OPEN", "TICKET_STATUS_IN_PROGRESS", "TICKET_STATUS_RESOLVED"] as const;

export type Change =
  | { kind: "resolve" }
  | { kind: "reopen" }
  | { kind: "merge"; targetId: string }
  | { kind: "assign"; assigneeId: string | undefined }
  | { kind: "patch"; patch: TicketPatch };

/** Returns the expected ticket after a successful change. */
function expected(ticket: Ticket, change: Change): Ticket {
  switch (change.kind) {
    case "resolve": return { ...ticket, status: "TICKET_STATUS_RESOLVED" };
    case "reopen": return { ...ticket, status: ticket.assigneeId ? "TICKET_STATUS_IN_PROGRESS" : "TICKET_STATUS_OPEN" };
    case "merge": return { ...ticket, status: "TICKET_STATUS_RESOLVED", mergedIntoId: change.targetId };
    case "patch": return { ...ticket, ...change.patch };
    case "assign": {
      const { assigneeId: _, ...rest } = ticket;
      if (change.assigneeId === undefined) return { ...rest, status: "TICKET_STATUS_OPEN" };
      return { ...rest, assigneeId: change.assigneeId, status: "TICKET_STATUS_IN_PROGRESS" };
    }
  }
}

const keys = new IdempotencyKeys();

/**
 * Sends a change, on the condition that the ticket still has the displayed version. A change with an unknown outcome
 * may be repeated, and does not conflict with itself.
 */
function send(ticket: Ticket, change: Change): Promise<Ticket> {
  return keys.send({ id: ticket.id, version: ticket.version, change }, (key) => sendUnder(key, ticket, change));
}

/** Deletes a ticket that still has the displayed version. */
export async function remove({ id, version }: Ticket): Promise<void> {
  await keys.send({ id, version, change: "delete" }, (key) =>
    api.DELETE("/api/v1/tickets/{ticketId}", { params: { path: { ticketId: id }, header: { ...ifMatch(version), "Idempotency-Key": key } } }));
}

async function sendUnder(key: string, ticket: Ticket, change: Change): Promise<Ticket> {
  const header = { ...ifMatch(ticket.version), "Idempotency-Key": key };
  const path = { ticketId: ticket.id };
  switch (change.kind) {
    case "resolve": return (await read(api.POST("/api/v1/tickets/{ticketId}/resolve", { params: { path, header } }))).data;
    case "reopen": return (await read(api.POST("/api/v1/tickets/{ticketId}/reopen", { params: { path, header } }))).data;
    case "merge": return (await read(api.POST("/api/v1/tickets/{ticketId}/merge", { params: { path, header }, body: { targetId: change.targetId } }))).data;
    case "assign": {
      const body = change.assigneeId === undefined ? {} : { assigneeId: change.assigneeId };
      return (await read(api.POST("/api/v1/tickets/{ticketId}/assign", { params: { path, header }, body }))).data;
    }
    case "patch": {
      const query = { updateMask: Object.keys(change.patch).join(",") };
      return (await read(api.PATCH("/api/v1/tickets/{ticketId}", { params: { path, header, query }, body: change.patch }))).data;
    }
  }
}

export const ticketKey = (id: string) => ["ticket", id] as const;

/** Updates a ticket on every page that shows it, unless a later version is shown. */
export function show(client: QueryClient, ticket: Ticket): void {
  // The parts that only the list requested to include are kept.
  const latest = (one: Ticket) => (one.id === ticket.id && BigInt(one.version) <= BigInt(ticket.version) ? { ...ticket, included: { ...ticket.included, ...one.included } } : one);
  client.setQueryData<Ticket>(ticketKey(ticket.id), (one) => (one ? latest(one) : ticket));
  client.setQueriesData<List>({ queryKey: ["tickets"] }, (list) => list && { ...list, data: list.data.map(latest) });
}

/** The last change in flight of each ticket. */
const underway = new Map<string, Promise<Ticket>>();

/** Sends a change after those in flight for the same ticket, so that rapid keystrokes do not conflict. */
function sendInTurn(ticket: Ticket, change: Change): Promise<Ticket> {
  const before = underway.get(ticket.id);
  const work = (async () => {
    const latest = await before?.catch(() => undefined);
    const isOwn = latest !== undefined && BigInt(latest.version) > BigInt(ticket.version);
    return await send(isOwn ? { ...ticket, version: latest.version } : ticket, change);
  })();
  underway.set(ticket.id, work);
  const leave = () => {
    if (underway.get(ticket.id) === work) underway.delete(ticket.id);
  };
  work.then(leave, leave);
  return work;
}

/** Changes tickets optimistically, and reverts the change if the server rejects it. */
export function useChange() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ ticket, change }: { ticket: Ticket; change: Change }) => sendInTurn(ticket, change),
    onMutate: ({ ticket, change }) => show(client, expected(ticket, change)),
    onError: (_, { ticket }) => show(client, ticket),
    onSuccess: (ticket) => {
      show(client, ticket);
      void client.invalidateQueries({ queryKey: ["activities", ticket.id] });
    },
  });
}
