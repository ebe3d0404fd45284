/** One delivery of an event: its request, its responses, and a button to resend it. */

import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";

import { api, read, type Schemas } from "../../api/client";
import { useName, useText } from "../../text";
import { Age, Badge, Time } from "../../ui/format";
import { Card, PageFrame, Skeleton } from "../../ui/page";
import { ProblemPage } from "../../ui/problem";
import type { Column } from "../../ui/table";
import { Fields } from "../../ui/value";
import { Action } from "../kit";

type Delivery = Schemas["WebhookDelivery"];
const POLL_MS = 2000;

export function useDeliveryColumns(): Column<Delivery>[] {
  const t = useText();
  const name = useName();
  return [
    { name: "eventType", label: name("event"), cell: (one) => <Link className="row-link" to="/deliveries/$id" params={{ id: one.id }}>{one.eventType}</Link> },
    { name: "state", label: name("state"), cell: (one) => <Badge value={one.state} /> },
    { name: "attemptCount", label: name("attempts"), number: true, wide: true, cell: (one) => one.attemptCount },
    { name: "nextAttemptTime", label: name("nextAttemptTime"), wide: true, cell: (one) => <Age value={one.nextAttemptTime} /> },
    { name: "createTime", label: t("Created"), wide: true, cell: (one) => <Age value={one.createTime} /> },
  ];
}

export function DeliveryPage() {
  const t = useText();
  const { id } = useParams({ strict: false }) as { id: string };
  const path = { deliveryId: id };
  const { data, error, refetch } = useQuery({
    queryKey: ["delivery", id],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/webhook-deliveries/{deliveryId}", { params: { path }, signal }))).data,
    refetchInterval: ({ state }) => (state.data?.state === "WEBHOOK_DELIVERY_STATE_PENDING" ? POLL_MS : false),
  });
  const above = data
    ? <Link to="/webhooks/$id" params={{ id: data.endpointId }}>{t("Webhooks")}</Link>
    : <Link to="/webhooks">{t("Webhooks")}</Link>;
  if (error && !data) return <ProblemPage error={error} above={above} onRetry={() => void refetch()} />;
  if (!data) return <PageFrame title="…" above={above}><Skeleton /></PageFrame>;
  return (
    <PageFrame title={data.eventType} above={above} actions={<Action id="WebhookDeliveryService_ResendWebhookDelivery" label={t("Send again")} values={path} name={data.eventType} primary onDone={() => void refetch()} />}>
      <div className="columns">
        <div>
          <Card title={t("Attempts")} actions={<Badge value={data.state} />}>
            {data.attempts.length === 0 && <p className="empty">{t("No attempt yet. The first one is made within seconds.")}</p>}
            <ol className="timeline">
              {data.attempts.map((attempt) => (
                <li key={attempt.number}>
                  <b>{attempt.status ?? t("No answer")}</b> {attempt.failure} <span className="dim">{attempt.durationMs} ms</span><br /><Time value={attempt.startTime} />
                </li>
              ))}
            </ol>
          </Card>
          <Card title={t("What is sent")}><pre tabIndex={0}>{pretty(data.payload)}</pre></Card>
        </div>
        <Card title={t("Details")}><Fields value={data} without={["payload", "attempts"]} /></Card>
      </div>
    </PageFrame>
  );
}

export function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
