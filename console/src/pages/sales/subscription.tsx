/** One subscription. */

import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";

import { api, read } from "../../api/client";
import { useText } from "../../text";
import { Badge } from "../../ui/format";
import { Card, PageFrame, Skeleton } from "../../ui/page";
import { ProblemPage } from "../../ui/problem";
import { Fields } from "../../ui/value";
import { History } from "../access/audit";
import { Action } from "../kit";

export function SubscriptionPage() {
  const t = useText();
  const { id } = useParams({ strict: false }) as { id: string };
  const { data, error, refetch } = useQuery({
    queryKey: ["subscription", id],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/subscriptions/{subscriptionId}", { params: { path: { subscriptionId: id } }, signal }))).data,
    refetchInterval: ({ state }) => (state.data?.status === "SUBSCRIPTION_STATUS_PENDING" || state.data?.pendingCancellation ? 2000 : false),
  });
  const above = <Link to="/subscriptions">{t("Subscriptions")}</Link>;
  if (error && !data) return <ProblemPage error={error} above={above} onRetry={() => void refetch()} />;
  if (!data) return <PageFrame title="…" above={above}><Skeleton /></PageFrame>;
  const ended = data.status === "SUBSCRIPTION_STATUS_CANCELLED" || data.status === "SUBSCRIPTION_STATUS_FAILED";
  return (
    <PageFrame title={data.productName} above={above} actions={!ended && (
      <Action id="SubscriptionService_CancelSubscription" values={{ subscriptionId: id }} version={data.version} name={data.productName} initial={{ atPeriodEnd: true }} />
    )}>
      {data.pendingCancellation && <p className="notice">{t("The cancellation is on its way to {gateway}.", { gateway: data.gateway })}</p>}
      <Card title={t("Details")} actions={<Badge value={data.status} />}><Fields value={data} /></Card>
      <History resourceId={id} />
    </PageFrame>
  );
}
