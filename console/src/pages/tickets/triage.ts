/** Triage by keyboard: the current ticket goes up and down, and one key decides on it. */

import { useEffect, useState } from "react";

import { asApiError } from "../../api/errors";
import { useText } from "../../text";
import { toast } from "../../ui/toast";
import { PRIORITIES, useChange, type Change, type Ticket } from "./api";

type TriageProps = { tickets: readonly Ticket[]; isStaff: boolean; me: string; onOpen: (ticket: Ticket) => void; onSelect: (ticket: Ticket) => void };

export function useTriage({ tickets, isStaff, me, onOpen, onSelect }: TriageProps): { current: number } {
  const t = useText();
  const { mutate } = useChange();
  const [current, setCurrent] = useState(-1);
  useEffect(() => {
    const change = (ticket: Ticket, change: Change, text: string, back?: Change) => mutate({ ticket, change }, {
      onSuccess: (changed) => toast(text, back && (() => mutate({ ticket: changed, change: back }))),
      onError: (error) => toast(asApiError(error).message || t("The server does not answer")),
    });
    const press = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLElement && event.target.closest("input:not([type=checkbox]), textarea, select, [role=dialog]");
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
      const ticket = tickets[current];
      const go = (index: number) => {
        const next = Math.max(0, Math.min(tickets.length - 1, index));
        setCurrent(next);
        const link = document.querySelector<HTMLElement>(`[data-ticket="${tickets[next]?.id ?? ""}"]`);
        link?.focus();
      };
      const priority = PRIORITIES[Number(event.key) - 1];
      if (event.key === "j") go(current + 1);
      else if (event.key === "k") go(current - 1);
      else if (!ticket) return;
      else if (event.key === "x") onSelect(ticket);
      else if (event.key === "o") onOpen(ticket);
      else if (event.key === "e" && ticket.status !== "TICKET_STATUS_RESOLVED") change(ticket, { kind: "resolve" }, t("Resolved: {name}", { name: ticket.subject }), { kind: "reopen" });
      else if (event.key === "a" && isStaff) change(ticket, { kind: "assign", assigneeId: me }, t("Yours now: {name}", { name: ticket.subject }), { kind: "assign", assigneeId: ticket.assigneeId });
      else if (priority) change(ticket, { kind: "patch", patch: { priority } }, t("Priority changed: {name}", { name: ticket.subject }), { kind: "patch", patch: { priority: ticket.priority } });
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  });
  return { current };
}
