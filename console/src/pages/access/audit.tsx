/** The audit log, newest first, with its filters in the URL's query; and the history of one resource. */

import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useId } from "react";

import type { paths } from "../../../generated/api";
import { api, read, type Schemas } from "../../api/client";
import { DebouncedInput } from "../../resource/filters";
import { useMay } from "../../shell/user";
import { useName, useText, type Text } from "../../text";
import { Badge, Id, localTime, None, short, Time } from "../../ui/format";
import { PageFrame } from "../../ui/page";
import { Table, type Column } from "../../ui/table";
import { Value } from "../../ui/value";
import { FilterBar, useSearchParams, type Search } from "../kit";
import { RelatedList } from "../related-list";

type AuditEntry = Schemas["AuditEntry"];
type FieldChange = Schemas["FieldChange"];
type ListQuery = NonNullable<paths["/api/v1/audit-entries"]["get"]["parameters"]["query"]>;

const LIST = "AuditService_ListAuditEntries";
const PAGE_SIZE = 50;
const TEXTS = ["actorId", "accountId", "resourceId", "method"] as const;
const TIMES = ["startTime", "endTime"] as const;
const LABELS: Record<(typeof TEXTS)[number] | (typeof TIMES)[number], Text> = {
  actorId: "User or service id", accountId: "Account id", resourceId: "Resource id", method: "Method", startTime: "From", endTime: "Until",
};

/** Reads the URL's query; an invalid time is ignored. */
function listQuery(search: Search): ListQuery {
  const query: ListQuery = { pageSize: PAGE_SIZE };
  for (const field of TEXTS) {
    const text = search[field]?.trim();
    if (text) query[field] = text;
  }
  for (const field of TIMES) {
    const time = Date.parse(search[field] ?? "");
    if (!Number.isNaN(time)) query[field] = new Date(time).toISOString();
  }
  return query;
}

export function AuditPage() {
  const t = useText();
  const [search] = useSearchParams();
  const asked = listQuery(search);
  const { data, error, isPending, isFetching, hasNextPage, fetchNextPage, refetch } = useInfiniteQuery({
    queryKey: ["audit-entries", asked],
    queryFn: async ({ pageParam, signal }) => {
      const query = pageParam === undefined ? asked : { ...asked, pageToken: pageParam };
      return await read(api.GET("/api/v1/audit-entries", { params: { query }, signal }));
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: ({ meta }) => meta.nextPageToken,
    placeholderData: keepPreviousData,
  });
  const page = data && { data: data.pages.flatMap((one) => one.data) };
  return (
    <PageFrame title={t("Audit log")} actions={<button type="button" disabled={isFetching} onClick={() => void refetch()}>{t("Refresh")}</button>}>
      <AuditFilters />
      <Table label={t("Audit log")} columns={useColumns()} query={{ data: page, error, isPending, refetch }} rowKey={(entry) => entry.id} empty={t("No entry matches. Each change by a person, a service or a job appears here.")} />
      {hasNextPage && <p className="pager"><button type="button" disabled={isFetching} onClick={() => void fetchNextPage()}>{t("Show more")}</button></p>}
    </PageFrame>
  );
}

function useColumns(): Column<AuditEntry>[] {
  const t = useText();
  const name = useName();
  const [search] = useSearchParams();
  const filter = (next: Search) => ({ ...search, ...next }) as never;
  const actor = ({ actorId, actorKind, oauthClientId }: AuditEntry) => <>{name(actorKind)} {actorId && <Link to="." search={filter({ actorId })} title={actorId}><code>{short(actorId)}</code></Link>}{oauthClientId && <small className="gist">{name("oauthClient")} <Id value={oauthClientId} /></small>}</>;
  const resource = ({ resourceId, resourceKind }: AuditEntry) => <>
    <code className="breaks">{resourceKind}</code> {resourceId && <Link to="." search={filter({ resourceId })} title={resourceId}><code>{short(resourceId)}</code></Link>}
  </>;
  return [
    { name: "recordTime", label: t("Time"), cell: (entry) => <Time value={entry.recordTime} /> },
    {
      name: "method",
      label: name("method"),
      cell: (entry) => <>
        <Link className="row-link" to="." search={filter({ method: entry.method })}><code className="breaks">{entry.method}</code></Link>
        {entry.outcome === "AUDIT_OUTCOME_REFUSED" && <> <Badge value={entry.outcome} /></>}
        <small className="gist narrow-only">{actor(entry)} {entry.clientAddress}{" · "}{resource(entry)}</small>
      </>,
    },
    { name: "actor", label: name("actor"), wide: true, cell: (entry) => <>{actor(entry)}{entry.clientAddress && <small className="gist">{entry.clientAddress}</small>}</> },
    { name: "resource", label: t("Resource"), wide: true, cell: resource },
    { name: "changes", label: t("Changes"), wide: true, cell: ({ changes, reason }) => <><Changes changes={changes} />{reason && <small className="gist">{reason}</small>}</> },
  ];
}

/** The changed fields, with their values before and after. */
function Changes({ changes }: { changes: readonly FieldChange[] }) {
  const t = useText();
  const label = useName();
  if (changes.length === 0) return <None />;
  return (
    <ul className="items">
      {changes.map(({ name, before, after, isWithheld }) => (
        <li key={name}>
          <b>{label(name)}</b>{": "}
          {isWithheld ? t("withheld") : <>{before !== undefined && <><Value value={parse(before)} field={name} /> → </>}<Value value={after === undefined ? undefined : parse(after)} field={name} /></>}
        </li>
      ))}
    </ul>
  );
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return json;
  }
}

function AuditFilters() {
  const t = useText();
  const id = useId();
  const [search, set] = useSearchParams();
  const isFiltered = [...TEXTS, ...TIMES].some((field) => search[field]);
  return (
    <FilterBar>
      {TEXTS.map((field) => (
        <div key={field}>
          <label htmlFor={`${id}-${field}`}>{t(LABELS[field])}</label>
          <DebouncedInput id={`${id}-${field}`} value={search[field] ?? ""} onChange={(text) => set({ [field]: text })} />
        </div>
      ))}
      {TIMES.map((field) => (
        <div key={field}>
          <label htmlFor={`${id}-${field}`}>{t(LABELS[field])}</label>
          <input id={`${id}-${field}`} type="datetime-local" value={localTime(search[field])} onChange={(event) => set({ [field]: event.target.value && new Date(event.target.value).toISOString() })} />
        </div>
      ))}
      {isFiltered && <Link className="button" to="." search={{} as never}>{t("Clear filters")}</Link>}
    </FilterBar>
  );
}

/** The entries about one resource, for a user who may read the audit log. */
export function History({ resourceId }: { resourceId: string }) {
  const t = useText();
  const name = useName();
  const may = useMay();
  if (!may(LIST)) return null;
  const columns: Column<AuditEntry>[] = [
    { name: "recordTime", label: t("Time"), cell: (entry) => <Time value={entry.recordTime} /> },
    { name: "method", label: name("method"), cell: (entry) => <code>{entry.method}</code> },
    { name: "actor", label: name("actor"), wide: true, cell: ({ actorId, actorKind }) => <>{name(actorKind)} {actorId && <Id value={actorId} field={actorKind === "ACTOR_KIND_SERVICE" ? "serviceKeyId" : "userId"} />}</> },
    { name: "changes", label: t("Changes"), wide: true, cell: ({ changes }) => <Changes changes={changes} /> },
  ];
  return (
    <RelatedList title={t("History")} name={["audit-entries", "resource", resourceId]} empty={t("No changes are recorded yet. Each change through the console or the API appears here; sample data has no history.")} columns={columns}
      fetch={(pageToken, signal) => read(api.GET("/api/v1/audit-entries", { params: { query: { resourceId, pageSize: 20, pageToken } }, signal }))} />
  );
}
