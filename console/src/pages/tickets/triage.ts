/** Triage by keyboard: moves the current ticket up and down. */

import { useEffect } from "react";

import { useKept } from "../../ui/kept";
import type { Ticket } from "./api";
import { isForPage, useTicketKeys } from "./keyboard";
import type { TicketRows } from "./rows";

type TriageProps = {
  /** The name of the list, whose current ticket is restored when an agent returns from the ticket's page. */
  name: string;
  rows: TicketRows;
  onReveal: (index: number) => void;
  onOpen: (ticket: Ticket) => void;
  onSelect: (ticket: Ticket) => void;
};

type Triage = {
  /** The current ticket's row, or -1. */
  current: number;
  /** The row from which an agent continues: the current one, or the former row of a ticket that has disappeared. */
  start: number;
  mark: (index: number) => void;
};

type Place = { id: string; index: number };
const NOWHERE: Place = { id: "", index: -1 };

export function useTriage({ name, rows, onReveal, onOpen, onSelect }: TriageProps): Triage {
  const changeByKey = useTicketKeys();
  // Stored by id, because reading a list again moves rows, and the next key must not affect another ticket.
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
    const press = (event: KeyboardEvent) => {
      if (!isForPage(event)) return;
      const ticket = rows.at(current);
      const go = (index: number) => {
        const next = Math.max(0, Math.min(rows.count - 1, index));
        mark(next);
        onReveal(next);
      };
      if (event.key === "j") go(start + 1);
      else if (event.key === "k") go(start - 1);
      else if (event.key === "Home") go(0);
      else if (event.key === "End") go(rows.count - 1);
      else if (!ticket) return;
      else if (event.key === "x") onSelect(ticket);
      else if (event.key === "o") onOpen(ticket);
      else if (!changeByKey(event.key, ticket)) return;
      event.preventDefault();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  });
  return { current, start, mark };
}
