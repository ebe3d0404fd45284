/** The dialog for a new ticket, on behalf of an account. */

import { useNavigate } from "@tanstack/react-router";

import { useText } from "../../text";
import { Action } from "../kit";
import type { Ticket } from "./api";

export function NewTicket({ accountId }: { accountId: string | undefined }) {
  const t = useText();
  const navigate = useNavigate();
  const done = (answer: unknown) => void navigate({ to: "/tickets/$id", params: { id: (answer as { data: Ticket }).data.id } });
  return <Action id="TicketService_CreateTicket" initial={accountId === undefined ? {} : { accountId }} label={t("New ticket")} primary onDone={done} />;
}
