/** The log of all servers and workers, newest first, with its filters in the URL's query. */

import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useId, useState } from "react";

import type { paths } from "../../../generated/api";
import { api, read } from "../../api/client";
import { DebouncedInput } from "../../resource/filters";
import { useName, useText, type Text } from "../../text";
import { Degraded } from "../../ui/degraded";
import { Badge, Id, localTime, None, short } from "../../ui/format";
import { PageFrame } from "../../ui/page";
import { Table, type Column } from "../../ui/table";
import { FilterBar, useSearchParams, type Search } from "../kit";
import { Moment, type SystemLog } from "./log";
import { LogLine } from "./log-line";
import { MAX_LINES, useTail } from "./tail";

type ListQuery = NonNullable<paths["/api/v1/dashboard/system-logs"]["get"]["parameters"]["query"]>;

const PAGE_SIZE = 50;
const LEVELS = ["SYSTEM_LOG_LEVEL_ERROR", "SYSTEM_LOG_LEVEL_WARNING", "SYSTEM_LOG_LEVEL_INFO", "SYSTEM_LOG_LEVEL_DEBUG", "SYSTEM_LOG_LEVEL_TRACE"] as const satisfies readonly SystemLog["level"][];
const TEXTS = ["method", "requestId", "principalId", "text"] as const;
const TIMES = ["startTime", "endTime"] as const;

/** Reads the URL's query; an invalid level or time is ignored. */
function listQuery(search: Search): ListQuery {
  const query: ListQuery = { pageSize: PAGE_SIZE };
  const level = LEVELS.find((one) => one === search["level"]);
  if (level) query.level = level;
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

export function LogsPage() {
  const t = useText();
  const [search] = useSearchParams();
  const [open, setOpen] = useState<SystemLog>();
  const asked = listQuery(search);
  const { data, error, isPending, isFetching, hasNextPage, fetchNextPage, refetch } = useInfiniteQuery({
    queryKey: ["system-logs", asked],
    queryFn: async ({ pageParam, signal }) => {
      const query = pageParam === undefined ? asked : { ...asked, pageToken: pageParam };
      return await read(api.GET("/api/v1/dashboard/system-logs", { params: { query }, signal }));
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: ({ meta }) => meta.nextPageToken,
    placeholderData: keepPreviousData,
    // Every request for the log adds a line to it.
    refetchOnWindowFocus: false,
  });
  const [following, setFollowing] = useState(false);
  const { lines: fresh, open: isFollowing, clear } = useTail(asked, following && !asked.endTime, () => void refetch());
  // When the stream ends, its lines are in the list.
  const follow = () => {
    setFollowing(!following);
    void refetch();
  };
  const refresh = () => {
    clear();
    void refetch();
  };
  const listed = data?.pages.flatMap((one) => one.data);
  const known = new Set(listed?.map(({ id }) => id));
  const page = listed && { data: [...fresh.filter(({ id }) => !known.has(id)), ...listed] };
  return (
    <PageFrame title={t("System logs")} actions={<>
      <button type="button" aria-pressed={following} disabled={Boolean(asked.endTime)} onClick={follow}>{isFollowing ? t("Following") : t("Follow")}</button>
      <button type="button" disabled={isFetching} onClick={refresh}>{t("Refresh")}</button>
    </>}>
      <LogFilters />
      <Degraded parts={data?.pages.find(({ meta }) => meta.degraded.length > 0)?.meta.degraded} />
      {fresh.length >= MAX_LINES && <p className="notice" role="status">{t("Of the new lines, only the latest {count} are shown. Refresh to list all of them.", { count: MAX_LINES })}</p>}
      <Table label={t("System logs")} columns={useColumns(setOpen)} query={{ data: page, error, isPending, refetch }} rowKey={(line) => line.id} empty={t("No line matches. The lines of all servers appear here within seconds.")} />
      {hasNextPage && <p className="pager"><button type="button" disabled={isFetching} onClick={() => void fetchNextPage()}>{t("Older lines")}</button></p>}
      {open && <LogLine line={open} onClose={() => setOpen(undefined)} />}
    </PageFrame>
  );
}

function useColumns(onOpen: (line: SystemLog) => void): Column<SystemLog>[] {
  const t = useText();
  const name = useName();
  const [search] = useSearchParams();
  return [
    { name: "logTime", label: t("Time"), cell: (line) => <Moment value={line.logTime} /> },
    { name: "level", label: name("level"), cell: (line) => <Badge value={line.level} /> },
    { name: "message", label: name("message"), cell: (line) => <><button type="button" className="link row-link" aria-haspopup="dialog" onClick={() => onOpen(line)}>{line.message || t("Line")}</button><Gist line={line.line} /></> },
    { name: "method", label: name("method"), wide: true, cell: (line) => (line.method ? <code>{line.method}</code> : <None />) },
    {
      name: "requestId",
      label: t("Request"),
      wide: true,
      cell: ({ requestId }) => (requestId ? <Link to="." search={{ ...search, requestId } as never} title={requestId}><code>{short(requestId)}</code></Link> : <None />),
    },
    { name: "principalId", label: t("Caller"), wide: true, cell: (line) => <Id value={line.principalId} field="userId" /> },
  ];
}

/** The members that distinguish lines with the same message. */
function Gist({ line }: { line: string }) {
  const { route, path, status, error, kind, span } = facts(line);
  const request = [span?.verb, route ?? path, status].filter(Boolean).join(" ");
  const text = [request, kind ?? span?.kind, error].filter(Boolean).join(" · ");
  return text === "" ? null : <small className="gist">{text}</small>;
}

type Facts = { route?: string; path?: string; status?: number; error?: string; kind?: string; span?: { verb?: string; kind?: string } };

function facts(line: string): Facts {
  try {
    return (JSON.parse(line) ?? {}) as Facts;
  } catch {
    return {};
  }
}

const LABELS: Record<(typeof TEXTS)[number] | (typeof TIMES)[number], Text> = {
  text: "Text", method: "Method", requestId: "Request id", principalId: "User or service id", startTime: "From", endTime: "Until",
};

function LogFilters() {
  const t = useText();
  const name = useName();
  const id = useId();
  const [search, set] = useSearchParams();
  const isFiltered = ["level", ...TEXTS, ...TIMES].some((field) => search[field]);
  return (
    <FilterBar>
      <div className="grow">
        <label htmlFor={`${id}-text`}>{t(LABELS.text)}</label>
        <DebouncedInput id={`${id}-text`} value={search["text"] ?? ""} onChange={(text) => set({ text })} />
      </div>
      <div>
        <label htmlFor={`${id}-level`}>{t("Minimum level")}</label>
        <select id={`${id}-level`} value={search["level"] ?? ""} onChange={(event) => set({ level: event.target.value })}>
          <option value="">{t("any")}</option>
          {LEVELS.map((level) => <option key={level} value={level}>{name(level)}</option>)}
        </select>
      </div>
      {TIMES.map((field) => (
        <div key={field}>
          <label htmlFor={`${id}-${field}`}>{t(LABELS[field])}</label>
          <input id={`${id}-${field}`} type="datetime-local" value={localTime(search[field])} onChange={(event) => set({ [field]: event.target.value && new Date(event.target.value).toISOString() })} />
        </div>
      ))}
      {TEXTS.filter((field) => field !== "text").map((field) => (
        <div key={field}>
          <label htmlFor={`${id}-${field}`}>{t(LABELS[field])}</label>
          <DebouncedInput id={`${id}-${field}`} value={search[field] ?? ""} onChange={(text) => set({ [field]: text })} />
        </div>
      ))}
      {isFiltered && <Link className="button" to="." search={{} as never}>{t("Clear filters")}</Link>}
    </FilterBar>
  );
}
