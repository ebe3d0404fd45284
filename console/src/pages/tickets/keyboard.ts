/** The keyboard shortcuts that change a ticket: the current one of the list, or the one whose page is open. */

import { asApiError } from "../../api/errors";
import { useMay, useUser } from "../../shell/user";
import { useText } from "../../text";
import { toast } from "../../ui/toast";
import { PRIORITIES, useChange, type Change, type Ticket } from "./api";

/** Returns whether a key event is meant for the page, not for a field, a dialog or the browser. */
export function isForPage({ target, ctrlKey, metaKey, altKey }: KeyboardEvent): boolean {
  const typing = target instanceof HTMLElement && target.closest("input:not([type=checkbox]), textarea, select, [role=dialog]");
  return !typing && !ctrlKey && !metaKey && !altKey;
}

/** Returns a function that applies the shortcut of a key to a ticket, and returns whether the key is a shortcut. */
export function useTicketKeys(): (key: string, ticket: Ticket) => boolean {
  const t = useText();
  const user = useUser();
  const may = useMay();
  const { mutate } = useChange();
  const change = (ticket: Ticket, change: Change, text: string, back: Change) => mutate({ ticket, change }, {
    onSuccess: (changed) => toast(text, () => mutate({ ticket: changed, change: back })),
    onError: (error) => toast(asApiError(error).message || t("The server does not answer")),
  });
  return (key, ticket) => {
    if (!may("TicketService_UpdateTicket")) return false;
    const name = ticket.subject;
    const priority = PRIORITIES[Number(key) - 1];
    if (key === "e" && ticket.status !== "TICKET_STATUS_RESOLVED") change(ticket, { kind: "resolve" }, t("Resolved: {name}", { name }), { kind: "reopen" });
    else if (key === "a" && may("TicketService_AssignTicket")) change(ticket, { kind: "assign", assigneeId: user.id }, t("Yours now: {name}", { name }), { kind: "assign", assigneeId: ticket.assigneeId });
    else if (priority) change(ticket, { kind: "patch", patch: { priority } }, t("Priority changed: {name}", { name }), { kind: "patch", patch: { priority: ticket.priority } });
    else return false;
    return true;
  };
}
