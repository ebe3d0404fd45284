/** The endpoints that events are sent to. */

import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";

import { api, read, type Schemas } from "../../api/client";
import { useName, useText } from "../../text";
import { Badge, Time } from "../../ui/format";
import { Card, PageFrame, Skeleton } from "../../ui/page";
import { Problem, ProblemPage } from "../../ui/problem";
import type { Column } from "../../ui/table";
import { Fields, Value } from "../../ui/value";
import { History } from "../access/audit";
import { Action, ListPage, pageOf } from "../kit";
import { RelatedList } from "../related-list";
import { useDeliveryColumns } from "./delivery";

type Endpoint = Schemas["WebhookEndpoint"];

export function EndpointsPage() {
  const t = useText();
  const name = useName();
  const columns: Column<Endpoint>[] = [
    { name: "endpoint", label: name("endpoint"), cell: (one) => <><Link className="row-link" to="/webhooks/$id" params={{ id: one.id }}>{one.description || one.url}</Link>{one.description && <small className="gist">{one.url}</small>}</> },
    { name: "status", label: name("status"), cell: (one) => <Badge value={one.status} /> },
    { name: "eventTypes", label: name("eventTypes"), wide: true, cell: (one) => (one.eventTypes.length === 0 ? t("all") : <Value value={one.eventTypes} field="eventTypes" />) },
    { name: "failingSinceTime", label: t("Failing since"), wide: true, cell: (one) => <Time value={one.failingSinceTime} /> },
  ];
  return (
    <ListPage name="endpoints" title={t("Webhooks")} empty={t("No endpoints yet. Events such as paid orders are sent to them; “New endpoint” above creates the first one.")} columns={columns}
      actions={<Action id="WebhookEndpointService_CreateWebhookEndpoint" label={t("New endpoint")} primary />}
      fetch={(search, signal) => read(api.GET("/api/v1/webhook-endpoints", { params: { query: { page: pageOf(search), pageSize: 50 } }, signal }))} />
  );
}

const REFRESH_INTERVAL_MS = 5000;

export function EndpointPage() {
  const t = useText();
  const navigate = useNavigate();
  const { id } = useParams({ strict: false }) as { id: string };
  const path = { endpointId: id };
  const { data, error, refetch } = useQuery({
    queryKey: ["endpoint", id],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/webhook-endpoints/{endpointId}", { params: { path }, signal }))).data,
  });
  const deliveries = useDeliveryColumns();
  const above = <Link to="/webhooks">{t("Webhooks")}</Link>;
  if (error && !data) return <ProblemPage error={error} above={above} onRetry={() => void refetch()} />;
  if (!data) return <PageFrame title="…" above={above}><Skeleton /></PageFrame>;
  const title = data.description || data.url;
  const shared = { values: path, version: data.version, name: title };
  const initial = { url: data.url, description: data.description, eventTypes: data.eventTypes, enabled: data.status === "WEBHOOK_ENDPOINT_STATUS_ENABLED" };
  return (
    <PageFrame title={title} above={above} actions={<>
      <Action {...shared} id="WebhookEndpointService_UpdateWebhookEndpoint" label={t("Edit")} initial={initial} />
      <Action {...shared} id="WebhookEndpointService_RotateWebhookSecret" label={t("Rotate secret")} />
      <Action {...shared} id="WebhookEndpointService_DeleteWebhookEndpoint" label={t("Delete")} onDone={() => void navigate({ to: "/webhooks" })} />
    </>}>
      <Test endpointId={id} />
      <RelatedList title={t("Deliveries")} name={["deliveries", id]} empty={t("No deliveries yet. Each event of these types appears here, with the attempts to deliver it.")} columns={deliveries} refetchMs={REFRESH_INTERVAL_MS}
        fetch={(pageToken, signal) => read(api.GET("/api/v1/webhook-endpoints/{endpointId}/deliveries", { params: { path, query: { pageSize: 50, pageToken } }, signal }))} />
      <Card title={t("Details")} actions={<Badge value={data.status} />}><Fields value={data} /></Card>
      <History resourceId={id} />
    </PageFrame>
  );
}

/** Sends a test event and shows what the receiver answers. */
function Test({ endpointId }: { endpointId: string }) {
  const t = useText();
  const { mutate, data, error, isPending } = useMutation({
    mutationFn: async () => (await read(api.POST("/api/v1/webhook-endpoints/{endpointId}/test", { params: { path: { endpointId } } }))).data,
  });
  return (
    <Card title={t("Test event")} actions={<button type="button" disabled={isPending} onClick={() => mutate()}>{isPending ? t("Waiting …") : t("Send a test event")}</button>}>
      <div aria-live="polite">
        {!data && !error && <p className="dim">{t("Sends one event now and shows the response.")}</p>}
        {data && <p><span className="badge good">{data.status}</span> {t("answered in {ms} ms", { ms: data.durationMs })}</p>}
        {error && <Problem error={error} />}
      </div>
    </Card>
  );
}
