/** The events received from providers; dead events can be redriven. */

import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";

import { api, read, type Schemas } from "../../api/client";
import { useName, useText } from "../../text";
import { Age, Badge } from "../../ui/format";
import { Card, PageFrame, Skeleton } from "../../ui/page";
import { ProblemPage } from "../../ui/problem";
import type { Column } from "../../ui/table";
import { Fields } from "../../ui/value";
import { Action, ChoiceFilter, FilterBar, ListPage, pageOf } from "../kit";
import { pretty } from "./delivery";

type InboundEvent = Schemas["InboundEvent"];
const STATES = ["INBOUND_EVENT_STATE_PENDING", "INBOUND_EVENT_STATE_PROCESSED", "INBOUND_EVENT_STATE_IGNORED", "INBOUND_EVENT_STATE_DEAD"] as const satisfies readonly InboundEvent["state"][];

export function InboundEventsPage() {
  const t = useText();
  const name = useName();
  // The response also has the names of all providers.
  const { data: dead } = useQuery({
    queryKey: ["inbound-events-dead"],
    queryFn: ({ signal }) => read(api.GET("/api/v1/inbound-events", { params: { query: { state: "INBOUND_EVENT_STATE_DEAD", pageSize: 1 } }, signal })),
  });
  const columns: Column<InboundEvent>[] = [
    { name: "type", label: name("event"), cell: (event) => <Link className="row-link" to="/inbound-events/$id" params={{ id: event.id }}>{event.type}</Link> },
    { name: "state", label: name("state"), cell: (event) => <Badge value={event.state} /> },
    { name: "provider", label: name("provider"), wide: true, cell: (event) => name(event.providerName) },
    { name: "attempts", label: name("attempts"), number: true, wide: true, cell: (event) => event.attempts },
    { name: "receiveTime", label: name("receiveTime"), wide: true, cell: (event) => <Age value={event.receiveTime} /> },
  ];
  return (
    <ListPage name="inbound-events" title={t("Inbound events")} empty={t("No events yet. What providers send to POST /webhooks/{provider} appears here, once WEBHOOK_SECRETS_STRIPE or the like is set.")} columns={columns}
      actions={!!dead?.data.length && <Action id="InboundEventService_RedriveInboundEvents" label={t("Retry all dead events")} />}
      filters={<FilterBar><ChoiceFilter name="state" values={STATES} /><ChoiceFilter name="provider" values={dead?.providerNames ?? []} /></FilterBar>}
      fetch={(search, signal) => {
        const state = STATES.find((one) => one === search["state"]);
        const providerName = search["provider"];
        const query = { page: pageOf(search), pageSize: 50, ...(state && { state }), ...(providerName && { providerName }) };
        return read(api.GET("/api/v1/inbound-events", { params: { query }, signal }));
      }} />
  );
}

export function InboundEventPage() {
  const t = useText();
  const { id } = useParams({ strict: false }) as { id: string };
  const path = { eventId: id };
  const { data, error, refetch } = useQuery({
    queryKey: ["inbound-event", id],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/inbound-events/{eventId}", { params: { path }, signal }))).data,
    refetchInterval: ({ state }) => (state.data?.state === "INBOUND_EVENT_STATE_PENDING" ? 2000 : false),
  });
  const above = <Link to="/inbound-events">{t("Inbound events")}</Link>;
  if (error && !data) return <ProblemPage error={error} above={above} onRetry={() => void refetch()} />;
  if (!data) return <PageFrame title="…" above={above}><Skeleton /></PageFrame>;
  const dead = data.state === "INBOUND_EVENT_STATE_DEAD";
  return (
    <PageFrame title={data.type} above={above} actions={dead && <Action id="InboundEventService_RedriveInboundEvent" label={t("Retry")} values={path} version={data.version} name={data.type} primary />}>
      {data.failure && <p className="warning">{data.failure}</p>}
      <div className="columns">
        <Card title={t("Payload")}><pre tabIndex={0}>{pretty(data.payload ?? "")}</pre></Card>
        <Card title={t("Details")} actions={<Badge value={data.state} />}><Fields value={data} without={["payload", "failure", "provider"]} /></Card>
      </div>
    </PageFrame>
  );
}
