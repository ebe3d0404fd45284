/** The dead jobs, which have used up their attempts: one job, or all listed jobs, can be redriven. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { api, newKey, read, type Schemas } from "../../api/client";
import { useName, useText } from "../../text";
import { Age } from "../../ui/format";
import { Card } from "../../ui/page";
import { Problem } from "../../ui/problem";
import { Table, type Column } from "../../ui/table";
import { toast } from "../../ui/toast";

type DeadJob = Schemas["DeadJob"];
const REFRESH_MS = 5000;
/** The server's limit of the list, which has no further pages. */
const MAX_LISTED = 100;

export function DeadJobs() {
  const t = useText();
  const name = useName();
  const query = useQuery({
    queryKey: ["dead-jobs"],
    queryFn: async ({ signal }) => await read(api.GET("/api/v1/dead-jobs", { signal })),
    refetchInterval: REFRESH_MS,
  });
  const { redrive, error, isPending } = useRedrive();
  const ids = query.data?.data.map((job) => job.id) ?? [];
  const columns: Column<DeadJob>[] = [
    { name: "kind", label: name("kind"), cell: (job) => <><code className="breaks">{job.kind}</code> <small>{job.id}</small><small className="gist narrow-only">{job.failure}</small></> },
    { name: "failure", label: name("failure"), wide: true, cell: (job) => <span className="text">{job.failure}</span> },
    { name: "attempts", label: name("attempts"), number: true, wide: true, cell: (job) => job.attempts },
    { name: "deadTime", label: t("Failed"), wide: true, cell: (job) => <Age value={job.deadTime} /> },
    {
      name: "redrive",
      label: t("Actions"),
      unlabelled: true,
      cell: (job) => <button type="button" disabled={isPending} aria-label={`${t("Retry")}: ${job.kind} ${job.id}`} onClick={() => redrive([job.id])}>{t("Retry")}</button>,
    },
  ];
  return (
    <Card title={t("Dead jobs")} actions={ids.length > 1 && <button type="button" disabled={isPending} onClick={() => redrive(ids)}>{t("Retry all {count}", { count: ids.length })}</button>}>
      {error && <Problem error={error} />}
      <Table label={t("Dead jobs")} columns={columns} query={query} rowKey={(job) => job.id} empty={t("No dead jobs. Jobs that used up their attempts appear here, to be retried.")} />
      {ids.length >= MAX_LISTED && <p className="pager">{t("Only the latest {count} are listed.", { count: MAX_LISTED })}</p>}
    </Card>
  );
}

function useRedrive() {
  const t = useText();
  const client = useQueryClient();
  const { mutate, error, isPending } = useMutation({
    mutationFn: async (ids: string[]) => {
      const params = { header: { "Idempotency-Key": newKey() } };
      return (await read(api.POST("/api/v1/dead-jobs/redrive", { params, body: { ids } }))).data.count;
    },
    onSuccess: (count) => {
      toast(t("Jobs to retry: {count}", { count }));
      void client.invalidateQueries({ queryKey: ["dead-jobs"] });
      void client.invalidateQueries({ queryKey: ["dashboard", "work"] });
    },
  });
  return { redrive: mutate, error, isPending };
}
