/** The rows of a filtered list of any length: pages are loaded when they scroll into view. */

import { keepPreviousData, queryOptions, useQueries, useQuery, useQueryClient, type QueryClient } from "@tanstack/react-query";

import { api, read, type Schemas } from "../../api/client";
import { useKept } from "../../ui/kept";
import type { Ticket } from "./api";
import type { TicketFilter } from "./filters";

type List = Schemas["ListTicketsResponse"];

const PAGE_SIZE = 100;
/** The number of pages that are reachable by number; deeper ones need the token of the preceding page. */
const NUMBERED = 101;

const key = (filter: TicketFilter, page: number) => ["tickets", "rows", filter, page] as const;

function pageOptions(client: QueryClient, filter: TicketFilter, page: number) {
  return queryOptions({
    queryKey: key(filter, page),
    queryFn: async ({ signal }): Promise<List> => {
      const start = await startOf(client, filter, page);
      if (!start) return { data: [], meta: { pageSize: PAGE_SIZE } };
      return await read(api.GET("/api/v1/tickets", { params: { query: { ...filter, ...start, pageSize: PAGE_SIZE, include: "requester" } }, signal }));
    },
  });
}

/**
 * Returns the start of a page: after the last ticket of the preceding page, so that a new ticket causes no duplicate;
 * else by its number.
 */
async function startOf(client: QueryClient, filter: TicketFilter, page: number): Promise<{ page: number } | { pageToken: string } | undefined> {
  if (page === 0) return { page: 1 };
  const before = client.getQueryState<List>(key(filter, page - 1));
  if (page < NUMBERED) {
    const pageToken = before?.isInvalidated ? undefined : before?.data?.meta.nextPageToken;
    return pageToken === undefined ? { page: page + 1 } : { pageToken };
  }
  const { meta } = await client.ensureQueryData(pageOptions(client, filter, page - 1));
  return meta.nextPageToken === undefined ? undefined : { pageToken: meta.nextPageToken };
}

export type TicketRows = ReturnType<typeof useTicketRows>;

export function useTicketRows(filter: TicketFilter) {
  const client = useQueryClient();
  const name = JSON.stringify(filter);
  const [seen, setSeen] = useKept("tickets.seen", { name, pages: [] as readonly number[], reach: NUMBERED });
  const { pages, reach } = seen.name === name ? seen : { pages: [], reach: NUMBERED };
  const first = useQuery({ ...pageOptions(client, filter, 0), placeholderData: keepPreviousData });
  const further = pages.filter((page) => page > 0);
  const others = useQueries({ queries: further.map((page) => pageOptions(client, filter, page)) });
  // Read here in addition to the cache, so that the rows are rendered when their page arrives.
  const inSight = new Map([[0, first.data], ...further.map((page, index) => [page, others[index]?.data] as const)]);
  const pageOf = (page: number) => inSight.get(page) ?? client.getQueryData<List>(key(filter, page));
  const cached = (): [number, List][] => client.getQueriesData<List>({ queryKey: ["tickets", "rows", filter] })
    .flatMap(([[, , , page], list]): [number, List][] => (list ? [[Number(page), list]] : []));
  const { total = "0", totalIsLowerBound = false } = first.data?.meta ?? {};
  // A page without a next page is the end, regardless of the total.
  const ends = cached().map(([page, { data, meta }]) => (meta.nextPageToken === undefined ? page * PAGE_SIZE + data.length : Number.POSITIVE_INFINITY));
  const counted = totalIsLowerBound ? Number.POSITIVE_INFINITY : Number(total);
  const failed = [first, ...others].filter(({ error }) => error !== null);
  return {
    first,
    /** The error of a visible page that is not loaded; the list as a whole shows its own error. */
    error: first.data ? failed[0]?.error : undefined,
    retry: () => failed.forEach((query) => void query.refetch()),
    /** The number of rows that can be reached from the loaded pages. */
    count: first.isPlaceholderData || !first.data ? (first.data?.data.length ?? 0) : Math.min(counted, reach * PAGE_SIZE, ...ends),
    total: Number(total),
    more: totalIsLowerBound,
    at: (index: number): Ticket | undefined => pageOf(Math.floor(index / PAGE_SIZE))?.data[index % PAGE_SIZE],
    /** Returns the index of a ticket among the loaded rows, or -1. */
    indexOf: (id: string): number => {
      for (const [page, { data }] of cached()) {
        const index = data.findIndex((ticket) => ticket.id === id);
        if (index >= 0) return page * PAGE_SIZE + index;
      }
      return -1;
    },
    /** The loaded pages, by their numbers. */
    cached,
    /** Loads the pages of these visible rows. */
    look: (from: number, to: number) => {
      const [start, end] = [Math.floor(from / PAGE_SIZE), Math.floor(to / PAGE_SIZE)];
      const looked = Array.from({ length: end - start + 1 }, (_, index) => start + index);
      const last = client.getQueryData<List>(key(filter, reach - 1));
      const next = end >= reach - 1 && last?.meta.nextPageToken !== undefined ? reach + 1 : reach;
      if (next !== reach || looked.join() !== pages.join() || seen.name !== name) setSeen({ name, pages: looked, reach: next });
    },
  };
}
