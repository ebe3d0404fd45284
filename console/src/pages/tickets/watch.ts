/** Live changes of tickets. */

import { useQueryClient, type QueryClient } from "@tanstack/react-query";
import { useEffect, useRef } from "react";

import { useWatch } from "../../api/watch";
import { useMay } from "../../shell/user";
import { show, type Ticket } from "./api";

/** How long changes are collected before dependent queries are read again, in milliseconds. */
const GATHER_MS = 700;
/** What depends on tickets, by the beginnings of the queries' keys. */
const SHOWN = ["tickets", "ticket", "count", "comments", "activities", "links"];

type Item = { data?: Ticket; deletedId?: string };
/** The recent changes, by ticket id; undefined for a deleted ticket. */
export type Changed = ReadonlyMap<string, Ticket | undefined>;

type TicketWatch = {
  onChanged?: (changed: Changed) => void;
  /** Changes may have been missed. */
  onGap?: () => void;
};

/**
 * Updates displayed tickets in place. Lists keep their rows and their order, so that no row moves while an agent uses
 * it.
 */
export function useTicketWatch({ onChanged, onGap }: TicketWatch): void {
  const client = useQueryClient();
  const changed = useRef(new Map<string, Ticket | undefined>());
  const gathering = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const handler = useRef(onChanged);
  useEffect(() => {
    handler.current = onChanged;
  });
  const readAgain = () => {
    gathering.current = undefined;
    void client.invalidateQueries({ queryKey: ["count"] });
    for (const [id, ticket] of changed.current) {
      // What belongs to a deleted ticket is gone with it.
      if (!ticket) continue;
      for (const key of [["comments", id], ["activities", id], ["links", id]]) void client.invalidateQueries({ queryKey: key });
    }
    handler.current?.(changed.current);
    changed.current = new Map();
  };
  const onItem = ({ data, deletedId }: Item) => {
    const id = data?.id ?? deletedId;
    if (!id) return;
    if (data) show(client, data);
    changed.current.set(id, data);
    gathering.current ??= setTimeout(readAgain, GATHER_MS);
  };
  const gap = () => {
    for (const name of ["ticket", "count", "comments", "activities", "links"]) void client.invalidateQueries({ queryKey: [name] });
    onGap?.();
  };
  const may = useMay();
  useEffect(() => () => clearTimeout(gathering.current), []);
  useWatch<Item>({ path: may("TicketService_WatchTickets") ? "/api/v1/tickets/watch" : undefined, onItem, onGap: gap, onBegin: () => void readSinceBegin(client) });
}

/**
 * Reads the displayed data again, including queries in flight: a change between the read and the beginning of the
 * stream is in neither.
 */
async function readSinceBegin(client: QueryClient): Promise<void> {
  const shown = SHOWN.flatMap((name) => client.getQueryCache().findAll({ queryKey: [name], type: "active" }));
  await Promise.allSettled(shown.filter(({ state }) => state.fetchStatus === "fetching").map(({ promise }) => promise));
  // A failed query shows its error, with a button to retry.
  for (const query of shown) if (query.state.status === "success") void client.invalidateQueries({ queryKey: query.queryKey, exact: true });
}
