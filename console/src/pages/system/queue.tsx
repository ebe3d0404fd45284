/** Background work: pending work with its waiting times, and dead jobs. */

import { Link } from "@tanstack/react-router";

import { api, read, type Schemas } from "../../api/client";
import { useName, useText } from "../../text";
import { Age, useDuration, useLocale } from "../../ui/format";
import { Card, PageFrame } from "../../ui/page";
import { Table, type Column } from "../../ui/table";
import { Action, Related, Together } from "../kit";
import { Tile } from "../home/tile";
import { DeadJobs } from "./dead-jobs";
import { useWork } from "./work";

type Lane = Schemas["LaneDepth"];
type InboundEvent = Schemas["InboundEvent"];
/** The server's bound on counts. */
const MOST = 10_000;
const REFRESH_MS = 5000;

export function QueuePage() {
  const t = useText();
  const { data, error, isPending, refetch } = useWork();
  const due = data?.lanes.reduce((sum, lane) => sum + Number(lane.dueCount), 0);
  const count = (value: string | number | undefined) => ({ data: value === undefined ? undefined : { value: Number(value), more: Number(value) >= MOST }, error });
  return (
    <PageFrame title={t("Background work")}>
      <div className="tiles">
        <Tile label={t("Due jobs")} count={count(due)} />
        <Tile label={t("Dead jobs")} count={count(data?.deadJobCount)} alarming />
        <Tile label={t("Pending deliveries")} count={count(data?.pendingDeliveryCount)} to="/webhooks" />
        <Tile label={t("Failed deliveries, last 24 hours")} count={count(data?.failedDeliveryCount)} to="/webhooks" alarming />
        <Tile label={t("Disabled endpoints")} count={count(data?.disabledEndpointCount)} to="/webhooks" alarming />
      </div>
      <Together><Card title={t("Lanes")}>
        <Table label={t("Lanes")} columns={useLaneColumns()} query={{ data: data && { data: data.lanes }, error, isPending, refetch }} rowKey={(lane) => lane.lane} empty={t("No lane: this server runs no jobs. Set JOBS_IN_SERVE=true, or start `mainstay worker`.")} />
      </Card>
      <DeadJobs />
      <Related title={t("Dead events")} name={["inbound-events", "dead"]} empty={t("No dead events. Inbound events that could not be processed appear here, to be retried.")} columns={useEventColumns()} refetchMs={REFRESH_MS}
        actions={(count) => <div className="actions"><Link to="/inbound-events" search={{ state: "INBOUND_EVENT_STATE_DEAD" } as never}>{t("All")}</Link> {count > 0 && <Action id="InboundEventService_RedriveInboundEvents" label={t("Retry all dead events")} />}</div>}
        fetch={(signal) => read(api.GET("/api/v1/inbound-events", { params: { query: { state: "INBOUND_EVENT_STATE_DEAD", pageSize: 10 } }, signal }))} />
      </Together>
    </PageFrame>
  );
}

function useLaneColumns(): Column<Lane>[] {
  const t = useText();
  const locale = useLocale();
  const duration = useDuration();
  return [
    { name: "lane", label: t("Lane"), cell: ({ lane }) => <code>{lane}</code> },
    { name: "dueCount", label: t("Due"), number: true, cell: ({ dueCount }) => Number(dueCount).toLocaleString(locale) },
    { name: "oldestDueMs", label: t("Oldest due"), number: true, cell: ({ dueCount, oldestDueMs }) => (dueCount === "0" ? "–" : duration(Number(oldestDueMs))) },
  ];
}

function useEventColumns(): Column<InboundEvent>[] {
  const t = useText();
  const name = useName();
  return [
    { name: "type", label: name("event"), cell: (event) => <Link className="row-link" to="/inbound-events/$id" params={{ id: event.id }}>{event.type}</Link> },
    { name: "failure", label: name("failure"), wide: true, cell: (event) => event.failure },
    { name: "receiveTime", label: name("receiveTime"), wide: true, cell: (event) => <Age value={event.receiveTime} /> },
    {
      name: "redrive",
      label: t("Actions"),
      unlabelled: true,
      cell: (event) => <Action id="InboundEventService_RedriveInboundEvent" label={t("Retry")} values={{ eventId: event.id }} version={event.version} name={event.type} />,
    },
  ];
}
