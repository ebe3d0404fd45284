/** The filters of the tickets, which are kept in the URL's query. */

import { useQuery } from "@tanstack/react-query";
import { useId } from "react";

import type { paths } from "../../../generated/api";
import { api, read } from "../../api/client";
import { DebouncedInput } from "../../resource/filters";
import { useIsStaff, useUser } from "../../shell/user";
import { useName, useText, type Text } from "../../text";
import { short } from "../../ui/format";
import { Problem } from "../../ui/problem";
import { PRIORITIES, STATUSES } from "./api";
import { useAgents } from "./people";

export type TicketSearch = { query?: string | undefined; status?: string | undefined; priority?: string | undefined; assignee?: string | undefined; account?: string | undefined; queue?: string | undefined; tag?: string | undefined; order?: string | undefined };
type ListQuery = NonNullable<paths["/api/v1/tickets"]["get"]["parameters"]["query"]>;
/** The selection and the order of tickets in a list. */
export type TicketFilter = Omit<ListQuery, "page" | "pageSize" | "pageToken" | "readMask" | "include">;

const ORDERS: readonly [NonNullable<ListQuery["order"]>, Text][] = [
  ["TICKET_ORDER_CREATE_TIME_DESC", "Newest first"],
  ["TICKET_ORDER_CREATE_TIME_ASC", "Oldest first"],
  ["TICKET_ORDER_UPDATE_TIME_DESC", "Recently changed"],
];

/** Reads the URL's query; invalid values are ignored. */
export function filterOf(search: TicketSearch): TicketFilter {
  const query: TicketFilter = {};
  const status = STATUSES.find((one) => one === search.status);
  const priority = PRIORITIES.find((one) => one === search.priority);
  const order = ORDERS.find(([one]) => one === search.order)?.[0];
  if (search.status === "unresolved") query.statuses = ["TICKET_STATUS_OPEN", "TICKET_STATUS_IN_PROGRESS"];
  if (status) query.statuses = [status];
  if (priority) query.priorities = [priority];
  if (order) query.order = order;
  if (search.assignee) query.assigneeId = search.assignee;
  if (search.account) query.accountId = search.account;
  if (search.queue) query.queues = [search.queue];
  if (search.tag) query.tags = [search.tag];
  if (search.query) query.query = search.query;
  return query;
}

export function TicketFilters({ search, onChange }: { search: TicketSearch; onChange: (next: TicketSearch) => void }) {
  const t = useText();
  const name = useName();
  const user = useUser();
  const id = useId();
  const isStaff = useIsStaff();
  const labels = useQuery({
    enabled: isStaff,
    queryKey: ["ticket-labels"],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/tickets/labels", { signal }))).data,
    staleTime: 60_000,
  });
  const { data: agents = [] } = useAgents();
  const nameOf = (id: string) => agents.find((agent) => agent.id === id)?.name ?? short(id);
  const of = (known: readonly string[] = [], chosen?: string): [string, string][] => [...new Set([...known, ...(chosen ? [chosen] : [])])].map((one) => [one, one]);
  const form = (
    <form className="filters" role="search" aria-label={t("Filters")} onSubmit={(event) => event.preventDefault()}>
      <div className="grow">
        <label htmlFor={`${id}-query`}>{t("Search")}</label>
        <DebouncedInput id={`${id}-query`} placeholder={t("Whole words of the subject or the text")} value={search.query ?? ""} onChange={(query) => onChange({ query: query || undefined })} />
      </div>
      <Choice label={name("status")} value={search.status} onChange={(status) => onChange({ status })}
        options={[["unresolved", t("Not resolved")], ...STATUSES.map((one): [string, string] => [one, name(one)])]} />
      <Choice label={name("priority")} value={search.priority} onChange={(priority) => onChange({ priority })} options={PRIORITIES.map((one) => [one, name(one)])} />
      <Choice label={name("assignee")} value={search.assignee} onChange={(assignee) => onChange({ assignee })} options={[[user.id, t("Me")], ...(search.assignee && search.assignee !== user.id ? [[search.assignee, nameOf(search.assignee)] as [string, string]] : [])]} />
      <Choice label={name("queue")} value={search.queue} onChange={(queue) => onChange({ queue })} options={of(labels.data?.queues, search.queue)} />
      <Choice label={name("tag")} value={search.tag} onChange={(tag) => onChange({ tag })} options={of(labels.data?.tags, search.tag)} />
      <Choice label={t("Order")} value={search.order} onChange={(order) => onChange({ order })} options={ORDERS.map(([one, text]) => [one, t(text)])} any={search.query ? t("Best match first") : t("Default")} />
    </form>
  );
  // Without the labels, the filters by queue and tag offer no choices.
  return <>{form}{labels.error && !labels.data && <Problem error={labels.error} onRetry={() => void labels.refetch()} />}</>;
}

type ChoiceProps = { label: string; value: string | undefined; options: [string, string][]; onChange: (value: string | undefined) => void; any?: string };

function Choice({ label, value, options, onChange, any }: ChoiceProps) {
  const t = useText();
  const id = useId();
  return (
    <div>
      <label htmlFor={id}>{label}</label>
      <select id={id} value={value ?? ""} onChange={(event) => onChange(event.target.value || undefined)}>
        <option value="">{any ?? t("any")}</option>
        {options.map(([one, text]) => <option key={one} value={one}>{text}</option>)}
      </select>
    </div>
  );
}
