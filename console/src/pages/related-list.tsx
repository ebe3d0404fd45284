/** The related resources of a page's resource: one page, and further pages on request. */

import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";

import { useText } from "../text";
import { Card } from "../ui/page";
import { Table, type Column, type Page } from "../ui/table";

type RelatedListProps<T> = {
  title: string;
  /** The key of the query, which must not be a prefix of another query's key, because several pages are cached under it. */
  name: readonly unknown[];
  columns: readonly Column<T>[];
  /** Reads the page of a token; the token of the first page is empty. */
  fetch: (pageToken: string, signal: AbortSignal) => Promise<Page<T>>;
  refetchMs?: number | false;
  /** The text of an empty list. */
  empty: string;
  /** The actions of an empty list. */
  begin?: ReactNode;
};

export function RelatedList<T extends { id: string }>({ title, name, columns, fetch, refetchMs = false, empty, begin }: RelatedListProps<T>) {
  const t = useText();
  const { data, error, isPending, isFetchingNextPage, hasNextPage, fetchNextPage, refetch } = useInfiniteQuery({
    queryKey: name,
    queryFn: ({ pageParam, signal }) => fetch(pageParam, signal),
    initialPageParam: "",
    getNextPageParam: ({ meta }) => meta?.nextPageToken,
    placeholderData: keepPreviousData,
    // All pages are read again, so the interval grows with their number.
    refetchInterval: ({ state }) => refetchMs && refetchMs * Math.max(1, state.data?.pages.length ?? 1),
  });
  const rows = data && { data: data.pages.flatMap((page) => page.data) };
  return (
    <Card title={title} actions={rows?.data.length === 0 && begin}>
      <Table label={title} columns={columns} query={{ data: rows, error, isPending, refetch }} rowKey={(row) => row.id} empty={empty} />
      {hasNextPage && <p className="pager"><button type="button" disabled={isFetchingNextPage} onClick={() => void fetchNextPage()}>{t("Show more")}</button></p>}
    </Card>
  );
}
