/** The tickets that were created or changed since a list was read and match its filters, but are not among its rows yet. */

import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";

import { api, read } from "../../api/client";
import type { Ticket } from "./api";
import type { TicketFilter } from "./filters";
import type { TicketRows } from "./rows";
import { useTicketWatch, type Changed } from "./watch";

/** The minimum interval between two requests, which count against the agent's rate limit, in milliseconds. */
const CHECK_INTERVAL_MS = 2000;
const PAGE_SIZE = 100;
const MAX_PAGES = 5;

/**
 * Returns the ids of the changed tickets that match the filter. The server decides, as for the list: it returns the
 * latest changes first.
 */
async function matching(filter: TicketFilter, changed: readonly Ticket[]): Promise<Set<string>> {
  const ids = new Set(changed.map(({ id }) => id));
  const since = Math.min(...changed.map(({ updateTime }) => Date.parse(updateTime)));
  const found = new Set<string>();
  let pageToken = "";
  for (let page = 0; page < MAX_PAGES && found.size < ids.size; page++) {
    const query = { ...filter, order: "TICKET_ORDER_UPDATE_TIME_DESC" as const, pageSize: PAGE_SIZE, pageToken, readMask: "id,updateTime" };
    const { data, meta } = await read(api.GET("/api/v1/tickets", { params: { query } }));
    for (const { id } of data) if (ids.has(id)) found.add(id);
    const last = data.at(-1);
    if (!last || !meta.nextPageToken || Date.parse(last.updateTime) < since) break;
    pageToken = meta.nextPageToken;
  }
  return found;
}

/** Returns whether a ticket belongs to a page that is not loaded, with which it will appear. */
function isInUnloadedPage({ createTime }: Ticket, filter: TicketFilter, rows: TicketRows): boolean {
  const order = filter.order ?? (filter.query === undefined ? "TICKET_ORDER_CREATE_TIME_DESC" : undefined);
  const sign = order === "TICKET_ORDER_CREATE_TIME_DESC" ? -1 : order === "TICKET_ORDER_CREATE_TIME_ASC" ? 1 : 0;
  const place = (ticket: Pick<Ticket, "createTime"> | undefined) => sign * Date.parse(ticket?.createTime ?? "");
  const at = place({ createTime });
  return sign !== 0 && !rows.cached().some(([page, { data, meta }]) =>
    (page === 0 || at >= place(data[0])) && (meta.nextPageToken === undefined || at <= place(data.at(-1))));
}

export function usePendingChanges(filter: TicketFilter, rows: TicketRows): { pending: number; showAll: () => void } {
  const client = useQueryClient();
  const name = JSON.stringify(filter);
  const [pending, setPending] = useState<ReadonlySet<string>>(new Set());
  const unchecked = useRef(new Map<string, Ticket | undefined>());
  const isChecking = useRef(false);
  const list = useRef({ name, filter, rows });
  useEffect(() => {
    list.current = { name, filter, rows };
  });
  const clear = () => {
    unchecked.current.clear();
    setPending(new Set());
  };
  useEffect(() => {
    clear();
    // The component unmounts, or the filter changes.
    return () => unchecked.current.clear();
  }, [name]);
  const check = async () => {
    if (isChecking.current) return;
    isChecking.current = true;
    while (unchecked.current.size > 0) {
      const changed = [...unchecked.current];
      const { name, filter } = list.current;
      unchecked.current.clear();
      try {
        const there = changed.flatMap(([, ticket]) => (ticket ? [ticket] : []));
        const found = there.length > 0 ? await matching(filter, there) : new Set();
        if (list.current.name === name) setPending((before) => merge(before, changed, found, filter, list.current.rows));
      } catch {
        // The next change starts another check; missed changes appear when the list is read again.
      }
      await new Promise((done) => setTimeout(done, CHECK_INTERVAL_MS));
    }
    isChecking.current = false;
  };
  const onChanged = (changed: Changed) => {
    for (const [id, ticket] of changed) unchecked.current.set(id, ticket);
    void check();
  };
  const showAll = () => {
    clear();
    scrollTo({ top: 0 });
    void client.invalidateQueries({ queryKey: ["tickets"] });
  };
  useTicketWatch({ onChanged, onGap: showAll });
  return { pending: pending.size, showAll };
}

function merge(before: ReadonlySet<string>, changed: [string, Ticket | undefined][], found: ReadonlySet<unknown>, filter: TicketFilter, rows: TicketRows): ReadonlySet<string> {
  const after = new Set(before);
  for (const [id, ticket] of changed) {
    const isShown = rows.indexOf(id) >= 0;
    // A displayed row is updated by the watch, so only a deleted one counts.
    if (ticket ? !isShown && found.has(id) && !isInUnloadedPage(ticket, filter, rows) : isShown) after.add(id);
    else after.delete(id);
  }
  return after;
}
