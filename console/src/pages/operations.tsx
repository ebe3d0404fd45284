/** Long-running operations and their progress. */

import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";

import { api, read, type Schemas } from "../api/client";
import { useName, useText } from "../text";
import { Age, Badge } from "../ui/format";
import { Card, PageFrame, Skeleton } from "../ui/page";
import { ProblemPage } from "../ui/problem";
import type { Column } from "../ui/table";
import { Fields } from "../ui/value";
import { Action, ListPage, pageOf } from "./kit";
import { RelatedList } from "./related-list";

type Operation = Schemas["Operation"];
type RowError = Schemas["OperationError"] & { id: string };
const POLL_MS = 1000;

export function isOver(operation: Operation | undefined): boolean {
  return operation !== undefined && !["OPERATION_STATE_PENDING", "OPERATION_STATE_RUNNING"].includes(operation.state);
}

/** A kind that a module declares has a name only. */
function kindOf(operation: Operation): string {
  return operation.kind.endsWith("_UNSPECIFIED") ? operation.kindName : operation.kind;
}

export function Progress({ operation }: { operation: Operation }) {
  const t = useText();
  const { rowsTotal, rowsDone } = operation.progress;
  const total = Number(rowsTotal);
  return (
    <span className="progress">
      <progress max={total || 1} value={isOver(operation) && total === 0 ? 1 : Number(rowsDone)} aria-label={t("Progress")} />{" "}
      <span className="number dim">{rowsDone} / {rowsTotal}</span>
    </span>
  );
}

export function OperationsPage() {
  const t = useText();
  const name = useName();
  const columns: Column<Operation>[] = [
    { name: "kind", label: name("kind"), cell: (one) => <><Link className="row-link" to="/operations/$id" params={{ id: one.id }}>{name(kindOf(one))}</Link><small className="gist narrow-only"><Age value={one.createTime} />{" · "}{one.progress.rowsDone} / {one.progress.rowsTotal}</small></> },
    { name: "state", label: name("state"), cell: (one) => <Badge value={one.state} /> },
    { name: "progress", label: t("Progress"), wide: true, cell: (one) => <Progress operation={one} /> },
    { name: "createTime", label: t("Created"), wide: true, cell: (one) => <Age value={one.createTime} /> },
  ];
  return (
    <ListPage name="operations" title={t("Operations")} empty={t("No operations yet. Start an import of tickets with POST /api/v1/tickets/import. It then appears here with its progress.")} columns={columns}
      fetch={(search, signal) => read(api.GET("/api/v1/operations", { params: { query: { page: pageOf(search), pageSize: 50 } }, signal }))} />
  );
}

export function OperationPage() {
  const t = useText();
  const name = useName();
  const { id } = useParams({ strict: false }) as { id: string };
  const path = { operationId: id };
  const navigate = useNavigate();
  const { data, error, refetch } = useQuery({
    queryKey: ["operation", id],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/operations/{operationId}", { params: { path }, signal }))).data,
    refetchInterval: ({ state }) => (isOver(state.data) ? false : POLL_MS),
  });
  const above = <Link to="/operations">{t("Operations")}</Link>;
  if (error && !data) return <ProblemPage error={error} above={above} onRetry={() => void refetch()} />;
  if (!data) return <PageFrame title="…" above={above}><Skeleton /></PageFrame>;
  const columns: Column<RowError>[] = [
    { name: "line", label: t("Line"), number: true, cell: (row) => row.line },
    { name: "code", label: name("code"), wide: true, cell: (row) => <code>{row.code}</code> },
    { name: "message", label: name("message"), cell: (row) => row.message },
  ];
  const errors = async (pageToken: string, signal: AbortSignal) => {
    const page = await read(api.GET("/api/v1/operations/{operationId}/errors", { params: { path, query: { pageSize: 100, pageToken } }, signal }));
    return { ...page, data: page.data.map((row) => ({ ...row, id: row.line })) };
  };
  const follow = (answer: unknown) => void navigate({ to: "/operations/$id", params: { id: (answer as { data: Operation }).data.id } });
  return (
    <PageFrame title={name(kindOf(data))} above={above} actions={isOver(data) ? data.kindName === "change_tickets" && <Action id="TicketService_UndoBulkChange" values={path} onDone={follow} /> : <Action id="OperationService_CancelOperation" values={path} version={data.version} name={name(kindOf(data))} />}>
      <Card title={t("Progress")} actions={<Badge value={data.state} />}>
        <p aria-live="polite"><Progress operation={data} /></p>
        {data.failure && <p className="warning">{data.failure.message} <code>{data.failure.code}</code></p>}
        <Fields value={data.progress} />
      </Card>
      {data.progress.rowsFailed !== "0" && <RelatedList title={t("Failed or skipped")} name={["operation-errors", id, isOver(data)]} empty={t("No row failed.")} columns={columns} fetch={errors} refetchMs={!isOver(data) && POLL_MS} />}
      <Card title={t("Details")}><Fields value={data} without={["progress", "failure", "kind"]} /></Card>
    </PageFrame>
  );
}
