/** Triage by keyboard: the current ticket goes up and down, and one key decides on it. */

import { useEffect } from "react";

import { asApiError } from "../../api/errors";
import { useText } from "../../text";
import { useKept } from "../../ui/kept";
import { toast } from "../../ui/toast";
import { PRIORITIES, useChange, type Change, type Ticket } from "./api";
import type { TicketRows } from "./rows";

type TriageProps = {
  /** Names the list, to whose current ticket an agent comes back from the ticket's page. */
  name: string;
  rows: TicketRows;
  isStaff: boolean;
  me: string;
  onReveal: (index: number) => void;
  onOpen: (ticket: Ticket) => void;
  onSelect: (ticket: Ticket) => void;
};

type Triage = {
  /** The current ticket's row, or -1. */
  current: number;
  /** Where an agent goes on: there, or where a ticket stood that is gone. */
  start: number;
  mark: (index: number) => void;
};

type Place = { id: string; index: number };
const NOWHERE: Place = { id: "", index: -1 };

export function useTriage({ name, rows, isStaff, me, onReveal, onOpen, onSelect }: TriageProps): Triage {
  const t = useText();
  const { mutate } = useChange();
  // By its id: a list that is read again moves rows, and the next key must not hit another ticket.
  const [known, setKnown] = useKept("tickets.place", { name: "", place: NOWHERE });
  const place = known.name === name ? known.place : NOWHERE;
  const there = rows.at(place.index);
  const current = place.id === "" || !there || there.id === place.id ? place.index : rows.indexOf(place.id);
  const start = current < 0 ? place.index : current;
  const mark = (index: number) => {
    const id = rows.at(index)?.id ?? "";
    if (index !== place.index || id !== place.id) setKnown({ name, place: { id, index } });
  };
  useEffect(() => {
    const change = (ticket: Ticket, change: Change, text: string, back?: Change) => mutate({ ticket, change }, {
      onSuccess: (changed) => toast(text, back && (() => mutate({ ticket: changed, change: back }))),
      onError: (error) => toast(asApiError(error).message || t("The server does not answer")),
    });
    const press = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLElement && event.target.closest("input:not([type=checkbox]), textarea, select, [role=dialog]");
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
      const ticket = rows.at(current);
      const go = (index: number) => {
        const next = Math.max(0, Math.min(rows.count - 1, index));
        mark(next);
        onReveal(next);
      };
      const priority = PRIORITIES[Number(event.key) - 1];
      if (event.key === "j") go(start + 1);
      else if (event.key === "k") go(start - 1);
      else if (event.key === "Home") go(0);
      else if (event.key === "End") go(rows.count - 1);
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
  return { current, start, mark };
}
