/** The lines of the log as they are written. */

import { useEffect, useState } from "react";

import { useWatch } from "../../api/watch";
import type { SystemLog } from "./log";

/** The maximum number of lines that are kept on the page. */
export const MAX_LINES = 500;
/** The filters of a stream. */
const FILTERS = ["level", "method", "requestId", "principalId", "text"] as const;

type Filters = Partial<Record<(typeof FILTERS)[number], string>>;

/** Returns the newest lines first, since following began or the lines were cleared, and whether the stream is open. */
export function useTail(filters: Filters, enabled: boolean, onGap: () => void): { lines: readonly SystemLog[]; open: boolean; clear: () => void } {
  const query = new URLSearchParams(FILTERS.flatMap((name) => (filters[name] ? [[name, filters[name]]] : []))).toString();
  const [lines, setLines] = useState<readonly SystemLog[]>([]);
  // Lines of other filters are dropped.
  useEffect(() => setLines([]), [query, enabled]);
  const open = useWatch<{ data?: SystemLog }>({
    path: enabled ? `/api/v1/dashboard/system-logs/watch?${query}` : undefined,
    onItem: ({ data }) => data && setLines((before) => [data, ...before].slice(0, MAX_LINES)),
    onGap,
    // Earlier lines are in the list.
    onBegin: onGap,
  });
  return { lines, open, clear: () => setLines([]) };
}
