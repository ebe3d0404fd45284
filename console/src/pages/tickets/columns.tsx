/** The columns of a short list of tickets. */

import { Link } from "@tanstack/react-router";

import { useName, useText } from "../../text";
import { Age, Badge } from "../../ui/format";
import type { Column } from "../../ui/table";
import type { Ticket } from "./api";

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
