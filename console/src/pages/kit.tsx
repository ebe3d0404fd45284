/** Common parts of the console's own pages: a list with filters in the URL's query, and buttons for operations. */

import { keepPreviousData, useIsFetching, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useId, useState, type ReactNode } from "react";

import { useContract } from "../api/contract";
import type { Values } from "../resource/fields";
import { OperationButton } from "../resource/operation-button";
import { useReach } from "../shell/user";
import { useName, useText } from "../text";
import { Card, PageFrame, Skeleton } from "../ui/page";
import { Pager, Table, type Column, type Page } from "../ui/table";

export type Search = Readonly<Record<string, string | undefined>>;
export type Fetch<T> = (search: Search, signal: AbortSignal) => Promise<Page<T>>;

/** The parameters in the URL's query, and a function that changes some of them, and keeps the others as they then are. */
export function useSearchParams(): [Search, (next: Search) => void] {
  const navigate = useNavigate();
  const search = useSearch({ strict: false }) as Search;
  return [search, (next) => void navigate({ to: ".", search: ((current: Search) => ({ ...current, ...next })) as never, replace: true })];
}

/** Returns the page number in the URL. */
export function pageOf(search: Search): number {
  return Math.max(1, Number(search["page"]) || 1);
}

type ListPageProps<T> = {
  title: string;
  name: string;
  columns: readonly Column<T>[];
  fetch: Fetch<T>;
  /** The text of an empty list: its future contents, and how to create the first item. */
  empty: string;
  filters?: ReactNode;
  actions?: ReactNode;
  lead?: string;
  /** Whether the rows wait for more, such as the names in them, which would make them higher. */
  waits?: boolean;
};

/** The parameters that are not filters. */
const PLACES = new Set(["page", "list"]);

export function ListPage<T extends { id: string }>({ title, name, columns, fetch, empty, filters, actions, lead, waits = false }: ListPageProps<T>) {
  const t = useText();
  const [search, set] = useSearchParams();
  const isFiltered = Object.entries(search).some(([parameter, value]) => value && !PLACES.has(parameter));
  const query = useQuery({
    queryKey: [name, search],
    queryFn: ({ signal }) => fetch(search, signal),
    placeholderData: keepPreviousData,
  });
  const { data: contract, error } = useContract();
  // The actions arrive with the contract, and would move what is below them.
  if (!contract && !error) return <PageFrame title={title}><Skeleton /></PageFrame>;
  return (
    <PageFrame title={title} actions={actions}>
      {lead && <p className="lead">{lead}</p>}
      {filters}
      <Table label={title} columns={columns} query={waits ? { ...query, data: undefined, isPending: true } : query} rowKey={(row) => row.id} empty={isFiltered ? t("Nothing matches these filters.") : empty} />
      <Pager meta={waits ? undefined : query.data?.meta} onPage={(page) => set({ page: String(page) })} />
    </PageFrame>
  );
}

/** A filter with a few values, kept in the URL's query. */
export function ChoiceFilter({ name, values }: { name: string; values: readonly string[] }) {
  const t = useText();
  const label = useName();
  const id = useId();
  const [search, set] = useSearchParams();
  return (
    <div>
      <label htmlFor={id}>{label(name)}</label>
      <select id={id} value={search[name] ?? ""} onChange={(event) => set({ [name]: event.target.value || undefined, page: undefined })}>
        <option value="">{t("any")}</option>
        {values.map((value) => <option key={value} value={value}>{label(value)}</option>)}
      </select>
    </div>
  );
}

export function FilterBar({ children }: { children: ReactNode }) {
  const t = useText();
  return <form className="filters" role="search" aria-label={t("Filters")} onSubmit={(event) => event.preventDefault()}>{children}</form>;
}

const TOGETHER_MS = 1500;

/** Shows its children once their first requests are answered, or after a moment: no list moves the ones below it. */
export function Together({ children }: { children: ReactNode }) {
  const waiting = useIsFetching({ predicate: ({ state }) => state.status === "pending" });
  const [hasBegun, setHasBegun] = useState(false);
  const [isShown, setIsShown] = useState(false);
  useEffect(() => {
    setHasBegun(true);
    const timer = setTimeout(() => setIsShown(true), TOGETHER_MS);
    return () => clearTimeout(timer);
  }, []);
  useEffect(() => {
    if (hasBegun && waiting === 0) setIsShown(true);
  }, [hasBegun, waiting]);
  return <>{!isShown && <Skeleton />}<div hidden={!isShown}>{children}</div></>;
}

type RelatedProps<T> = { title: string; name: readonly string[]; columns: readonly Column<T>[]; fetch: (signal: AbortSignal) => Promise<Page<T>>; actions: (count: number) => ReactNode; refetchMs?: number | false; empty: string };

/** The first related resources of a page's resource, with a link to all of them among the actions. */
export function Related<T extends { id: string }>({ title, name, columns, fetch, actions, refetchMs = false, empty }: RelatedProps<T>) {
  const query = useQuery({ queryKey: name, queryFn: ({ signal }) => fetch(signal), refetchInterval: refetchMs });
  return (
    <Card title={title} actions={actions(query.data?.data.length ?? 0)}>
      <Table label={title} columns={columns} query={query} rowKey={(row) => row.id} empty={empty} />
    </Card>
  );
}

type ActionProps = {
  /** The `operationId` in the OpenAPI document, such as `OrderService_CancelOrder`. */
  id: string;
  values?: Record<string, string>;
  version?: string;
  initial?: Values;
  name?: string;
  label?: string;
  primary?: boolean;
  onDone?: (answer: unknown) => void;
};

/** A button for an operation, if the user may call it. */
export function Action({ id, values = {}, ...rest }: ActionProps) {
  const { data: contract } = useContract();
  const reach = useReach();
  const operation = contract?.services.flatMap((service) => service.operations).find((one) => one.id === id);
  if (!contract || !operation || reach(operation) === undefined) return null;
  return <OperationButton contract={contract} operation={operation} values={values} {...rest} />;
}
