/** What a list of tickets lacks: those that came or changed since it was read, and that its filters let through. */

import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";

import { api, read } from "../../api/client";
import type { Ticket } from "./api";
import type { TicketFilter } from "./filters";
import type { TicketRows } from "./rows";
import { useTicketWatch, type Changed } from "./watch";

/** How often the server is asked, which counts against the agent's rate limit. */
const ASK_MS = 2000;
const PAGE_SIZE = 100;
const MAX_PAGES = 5;

/** Which of the changed tickets the filters let through. The server decides, as for the list; the latest changes come first there. */
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

/** Whether a ticket's place is not among the rows that are loaded, so that it comes by itself with the others there. */
function comesLater({ createTime }: Ticket, filter: TicketFilter, rows: TicketRows): boolean {
  const order = filter.order ?? (filter.query === undefined ? "TICKET_ORDER_CREATE_TIME_DESC" : undefined);
  const sign = order === "TICKET_ORDER_CREATE_TIME_DESC" ? -1 : order === "TICKET_ORDER_CREATE_TIME_ASC" ? 1 : 0;
  const place = (ticket: Pick<Ticket, "createTime"> | undefined) => sign * Date.parse(ticket?.createTime ?? "");
  const at = place({ createTime });
  return sign !== 0 && !rows.cached().some(([page, { data, meta }]) =>
    (page === 0 || at >= place(data[0])) && (meta.nextPageToken === undefined || at <= place(data.at(-1))));
}

export function useLacking(filter: TicketFilter, rows: TicketRows): { lacking: number; showAll: () => void } {
  const client = useQueryClient();
  const name = JSON.stringify(filter);
  const [lacking, setLacking] = useState<ReadonlySet<string>>(new Set());
  const waiting = useRef(new Map<string, Ticket | undefined>());
  const asking = useRef(false);
  const list = useRef({ name, filter, rows });
  useEffect(() => {
    list.current = { name, filter, rows };
  });
  const forget = () => {
    waiting.current.clear();
    setLacking(new Set());
  };
  useEffect(() => {
    forget();
    // The page is left.
    return () => waiting.current.clear();
  }, [name]);
  const ask = async () => {
    if (asking.current) return;
    asking.current = true;
    while (waiting.current.size > 0) {
      const changed = [...waiting.current];
      const { name, filter } = list.current;
      waiting.current.clear();
      try {
        const there = changed.flatMap(([, ticket]) => (ticket ? [ticket] : []));
        const found = there.length > 0 ? await matching(filter, there) : new Set();
        if (list.current.name === name) setLacking((before) => merge(before, changed, found, filter, list.current.rows));
      } catch {
        // Another change is asked about soon enough; one that is missed here still comes with the next reading of the list.
      }
      await new Promise((done) => setTimeout(done, ASK_MS));
    }
    asking.current = false;
  };
  const onChanged = (changed: Changed) => {
    for (const [id, ticket] of changed) waiting.current.set(id, ticket);
    void ask();
  };
  const showAll = () => {
    forget();
    scrollTo({ top: 0 });
    void client.invalidateQueries({ queryKey: ["tickets"] });
  };
  useTicketWatch({ onChanged, onGap: showAll });
  return { lacking: lacking.size, showAll };
}

function merge(before: ReadonlySet<string>, changed: [string, Ticket | undefined][], found: ReadonlySet<unknown>, filter: TicketFilter, rows: TicketRows): ReadonlySet<string> {
  const after = new Set(before);
  for (const [id, ticket] of changed) {
    const isShown = rows.indexOf(id) >= 0;
    // What stands there shows its change already; one that was deleted stands there wrongly.
    if (ticket ? !isShown && found.has(id) && !comesLater(ticket, filter, rows) : isShown) after.add(id);
    else after.delete(id);
  }
  return after;
}
