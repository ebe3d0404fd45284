/** The links of a ticket to others of its account. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";

import { api, read, readAll, type Schemas } from "../../api/client";
import { IdempotencyKeys } from "../../api/idempotency";
import { useMay } from "../../shell/user";
import { useName, useText } from "../../text";
import { Sheet } from "../../ui/dialog";
import { Badge } from "../../ui/format";
import { Card, Skeleton } from "../../ui/page";
import { Problem } from "../../ui/problem";
import type { Ticket } from "./api";
import { TicketPicker } from "./pick";

type TicketLink = Schemas["TicketLink"];
type Kind = TicketLink["kind"];

const KINDS: readonly Kind[] = ["TICKET_LINK_KIND_RELATED", "TICKET_LINK_KIND_BLOCKS", "TICKET_LINK_KIND_BLOCKED_BY", "TICKET_LINK_KIND_DUPLICATE_OF", "TICKET_LINK_KIND_DUPLICATED_BY"];
/** The most tickets that one request returns by their ids. */
const BATCH = 100;

/** The links of a ticket, with the tickets that they lead to. */
function useLinks(ticketId: string) {
  return useQuery({
    queryKey: ["links", ticketId],
    queryFn: async ({ signal }) => {
      const links = await readAll((pageToken) => {
        const params = { path: { ticketId }, query: { pageSize: BATCH, pageToken } };
        return read(api.GET("/api/v1/tickets/{ticketId}/links", { params, signal }));
      });
      const others = new Map<string, Ticket>();
      for (let first = 0; first < links.length; first += BATCH) {
        const ids = links.slice(first, first + BATCH).map((link) => link.otherId);
        const query = { ids, readMask: "id,subject,status" };
        const { data } = await read(api.GET("/api/v1/tickets/batch", { params: { query }, signal }));
        for (const ticket of data) others.set(ticket.id, ticket);
      }
      return links.map((link) => ({ link, other: others.get(link.otherId) }));
    },
  });
}

export function Links({ ticket }: { ticket: Ticket }) {
  const t = useText();
  const name = useName();
  const client = useQueryClient();
  const mayLink = useMay()("TicketLinkService_CreateTicketLink");
  const [isAdding, setIsAdding] = useState(false);
  const { data, error, refetch } = useLinks(ticket.id);
  const remove = useMutation({
    mutationFn: (linkId: string) => api.DELETE("/api/v1/tickets/{ticketId}/links/{linkId}", { params: { path: { ticketId: ticket.id, linkId } } }),
    onSettled: () => void client.invalidateQueries({ queryKey: ["links"] }),
  });
  if (data?.length === 0 && !mayLink) return null;
  return (
    <Card title={t("Linked tickets")}>
      {error && <Problem error={error} onRetry={() => void refetch()} />}
      {remove.error && <Problem error={remove.error} />}
      {!data && !error && <Skeleton lines={1} />}
      <ul className="linked">
        {data?.map(({ link, other }) => (
          <li key={link.id}>
            <small>{name(link.kind)}</small>{" "}
            <Link to="/tickets/$id" params={{ id: link.otherId }}>{other?.subject ?? link.otherId}</Link>{" "}
            {other && <Badge value={other.status} />}
            {mayLink && <button type="button" className="quiet icon" title={t("Remove")} aria-label={t("Remove {name}", { name: other?.subject ?? link.otherId })} disabled={remove.isPending} onClick={() => remove.mutate(link.id)}>✕</button>}
          </li>
        ))}
      </ul>
      {mayLink && <button type="button" onClick={() => setIsAdding(true)}>{t("Link a ticket")}</button>}
      {isAdding && <AddLink ticket={ticket} onClose={() => setIsAdding(false)} />}
    </Card>
  );
}

function AddLink({ ticket, onClose }: { ticket: Ticket; onClose: () => void }) {
  const t = useText();
  const name = useName();
  const client = useQueryClient();
  const [keys] = useState(() => new IdempotencyKeys());
  const [otherId, setOtherId] = useState("");
  const [kind, setKind] = useState<Kind>("TICKET_LINK_KIND_RELATED");
  const { mutate, isPending, error } = useMutation({
    mutationFn: (body: { otherId: string; kind: Kind }) => keys.send(body, (key) => {
      const params = { path: { ticketId: ticket.id }, header: { "Idempotency-Key": key } };
      return read(api.POST("/api/v1/tickets/{ticketId}/links", { params, body }));
    }),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["links"] });
      void client.invalidateQueries({ queryKey: ["activities", ticket.id] });
      onClose();
    },
  });
  return (
    <Sheet title={t("Link a ticket")} onClose={onClose}>
      <form className="form" onSubmit={(event) => { event.preventDefault(); mutate({ otherId, kind }); }}>
        <label>
          <span>{t("This ticket is …")}</span>
          <select value={kind} onChange={(event) => setKind(event.target.value as Kind)}>
            {KINDS.map((one) => <option key={one} value={one}>{name(one)}</option>)}
          </select>
        </label>
        <TicketPicker ticket={ticket} value={otherId} onChange={setOtherId} />
        {error && <Problem error={error} />}
        <footer>
          <button type="button" onClick={onClose}>{t("Cancel")}</button>
          <button type="submit" className="primary" disabled={isPending || otherId === ""}>{t("Link")}</button>
        </footer>
      </form>
    </Sheet>
  );
}
