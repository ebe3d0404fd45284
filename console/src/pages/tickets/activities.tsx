/** The activities of a ticket, oldest first. */

import { useQuery } from "@tanstack/react-query";

import { api, read, readAll } from "../../api/client";
import { useName, useText } from "../../text";
import { Age } from "../../ui/format";
import { Card, Skeleton } from "../../ui/page";
import { Problem } from "../../ui/problem";
import { useNames } from "./people";

export function Activities({ ticketId, accountId }: { ticketId: string; accountId: string }) {
  const t = useText();
  const name = useName();
  const nameOf = useNames(accountId);
  const { data, error, refetch } = useQuery({
    queryKey: ["activities", ticketId],
    queryFn: ({ signal }) => readAll((pageToken) => {
      const params = { path: { ticketId }, query: { pageSize: 100, pageToken } };
      return read(api.GET("/api/v1/tickets/{ticketId}/activities", { params, signal }));
    }),
  });
  const who = (id: string | undefined, role: string) => nameOf(id) ?? (id ? name(role) : t("the system"));
  return (
    <Card title={t("History")}>
      {error && <Problem error={error} onRetry={() => void refetch()} />}
      {!data && !error && <Skeleton lines={3} />}
      <ol className="timeline">
        {data?.map((activity) => (
          <li key={activity.id}>
            <b>{name(activity.kind)}</b> {t("by {name}", { name: who(activity.actorId, activity.actorRole) })}
            <br /><Age value={activity.createTime} />
          </li>
        ))}
      </ol>
    </Card>
  );
}
