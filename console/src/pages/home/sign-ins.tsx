/** The sign-ins of the last days. */

import { useQuery } from "@tanstack/react-query";

import { api, read } from "../../api/client";
import { useText } from "../../text";
import { useLocale } from "../../ui/format";
import { Card, Skeleton } from "../../ui/page";
import { Problem } from "../../ui/problem";
import { Bars } from "./bars";

const REFRESH_MS = 30_000;

export function SignIns() {
  const t = useText();
  const locale = useLocale();
  const { data, error, refetch } = useQuery({
    queryKey: ["dashboard", "sign-ins"],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/dashboard/sign-ins", { params: { query: { days: 7 } }, signal }))).data,
    refetchInterval: REFRESH_MS,
  });
  // Password guessing shows as a peak in one hour.
  const worst = data?.hours.reduce((one, other) => (Number(other.refusedCount) > Number(one.refusedCount) ? other : one), data.hours[0] ?? { startTime: "", acceptedCount: "0", refusedCount: "0" });
  const time = new Intl.DateTimeFormat(locale, { weekday: "short", hour: "numeric", minute: "2-digit" });
  return (
    <Card title={t("Sign-ins, last 7 days")}>
      {error && <Problem error={error} onRetry={() => void refetch()} />}
      {!data && !error && <Skeleton />}
      {data && <Bars rows={[{ name: t("Accepted"), value: Number(data.acceptedCount) }, { name: t("Refused"), value: Number(data.refusedCount) }]} />}
      {worst && Number(worst.refusedCount) > 0 && <p className="foot">{t("{count} refused in one hour, {time}", { count: worst.refusedCount, time: time.format(new Date(worst.startTime)) })}</p>}
    </Card>
  );
}
