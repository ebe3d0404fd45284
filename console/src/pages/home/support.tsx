/** The waiting times of tickets, and the workload of agents. */

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import { api, read, type Schemas } from "../../api/client";
import { useText } from "../../text";
import { useDuration } from "../../ui/format";
import { Card, Skeleton } from "../../ui/page";
import { Problem } from "../../ui/problem";
import { Bars } from "./bars";

const REFRESH_MS = 30_000;
const AGENTS = 8;

export function useTicketOverview() {
  return useQuery({
    queryKey: ["dashboard", "tickets"],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/dashboard/tickets", { params: { query: { days: 7 } }, signal }))).data,
    refetchInterval: REFRESH_MS,
  });
}

export function Waiting() {
  const t = useText();
  const duration = useDuration();
  const { data, error, refetch } = useTicketOverview();
  const name = ({ fromSeconds, untilSeconds }: Schemas["TicketAge"]) => {
    const [from, until] = [duration(Number(fromSeconds) * 1000), duration(Number(untilSeconds ?? 0) * 1000)];
    if (untilSeconds === undefined) return t("over {time}", { time: from });
    return fromSeconds === "0" ? t("under {time}", { time: until }) : `${from} – ${until}`;
  };
  return (
    <Card title={t("Unresolved, by age")}>
      {error && <Problem error={error} onRetry={() => void refetch()} />}
      {!data && !error && <Skeleton />}
      {data && <Bars rows={data.ages.map((age) => ({ name: name(age), value: Number(age.ticketCount) }))} />}
    </Card>
  );
}

export function ResponseTimes() {
  const t = useText();
  const { data, error, refetch } = useTicketOverview();
  return (
    <Card title={t("Response times, last 7 days")}>
      {error && <Problem error={error} onRetry={() => void refetch()} />}
      {!data && !error && <Skeleton />}
      {data && (
        <dl className="fields">
          <div><dt>{t("First response")}</dt><dd><Durations value={data.firstResponses} /></dd></div>
          <div><dt>{t("Resolution")}</dt><dd><Durations value={data.resolutions} /></dd></div>
        </dl>
      )}
      {data && data.agents.length > 0 && (
        <>
          <h3>{t("In progress, by agent")}</h3>
          <Bars rows={data.agents.slice(0, AGENTS).map((agent) => ({
            name: agent.name,
            label: <Link to="/tickets" search={{ status: "TICKET_STATUS_IN_PROGRESS", assignee: agent.agentId } as never}>{agent.name}</Link>,
            value: Number(agent.inProgressCount),
          }))} />
          {data.agents.length > AGENTS && <p className="foot">{t("The {count} with the most tickets.", { count: AGENTS })}</p>}
        </>
      )}
    </Card>
  );
}

function Durations({ value }: { value: Schemas["TicketDurations"] }) {
  const t = useText();
  const duration = useDuration();
  if (value.medianMs === undefined || value.ninthDecileMs === undefined) return <span className="none">{t("none in this time")}</span>;
  return (
    <>
      {t("median {time}", { time: duration(Number(value.medianMs)) })}, {t("90th percentile {time}", { time: duration(Number(value.ninthDecileMs)) })}
      <br /><small>{t("Number: {count}", { count: value.ticketCount })}</small>
    </>
  );
}
