/** The methods whose end is announced, and who still calls them. */

import { useQuery } from "@tanstack/react-query";
import { Fragment } from "react";

import { api, read, type Schemas } from "../../api/client";
import { useText } from "../../text";
import { Age, Badge, Id, Time, useLocale } from "../../ui/format";
import { Card, PageFrame } from "../../ui/page";
import { Table, type Column } from "../../ui/table";
import { Together } from "../kit";

type Method = Schemas["DeprecatedMethod"];
type Caller = Schemas["DeprecatedCaller"];

export function DeprecatedMethodsPage() {
  const t = useText();
  const { data, error, isPending, refetch } = useQuery({
    queryKey: ["deprecated-methods"],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/dashboard/deprecated-methods", { signal }))).data.methods,
  });
  const called = data?.filter((method) => method.callers.length > 0) ?? [];
  return (
    <PageFrame title={t("Deprecated methods")}>
      <p className="lead">{t("Methods whose end is announced, and their callers of the last 90 days. A method without callers can be removed after its sunset.")}</p>
      <Card title={t("Methods")}>
        <Table label={t("Deprecated methods")} columns={useMethodColumns()} query={{ data: data && { data }, error, isPending, refetch }} rowKey={({ method }) => method} empty={t("No method is deprecated. Methods with “option deprecated = true” appear here, with their callers.")} />
      </Card>
      <Together>{called.map((method) => <Callers key={method.method} method={method} />)}</Together>
    </PageFrame>
  );
}

function Callers({ method: { method, callers } }: { method: Method }) {
  const t = useText();
  const locale = useLocale();
  const columns: Column<Caller>[] = [
    { name: "principalId", label: t("Caller"), cell: ({ kind, principalId }) => (principalId === undefined ? <Badge value={kind} /> : <Id value={principalId} field={kind === "DEPRECATED_CALLER_KIND_SERVICE" ? "serviceId" : "userId"} />) },
    { name: "kind", label: t("Kind"), wide: true, cell: ({ kind }) => <Badge value={kind} /> },
    { name: "callCount", label: t("Calls"), number: true, cell: ({ callCount }) => Number(callCount).toLocaleString(locale) },
    { name: "lastCallTime", label: t("Last call"), cell: ({ lastCallTime }) => <Age value={lastCallTime} /> },
  ];
  return (
    <Card title={method}>
      <Table label={method} columns={columns} query={{ data: { data: callers }, error: null, isPending: false, refetch: () => undefined }} rowKey={({ kind, principalId }) => `${kind} ${principalId}`} empty={t("Nothing found.")} />
    </Card>
  );
}

/** A name that breaks after its parts. */
function Parts({ name }: { name: string }) {
  return name.split(/(?<=[./])/).map((part) => <Fragment key={part}>{part}<wbr /></Fragment>);
}

function useMethodColumns(): Column<Method>[] {
  const t = useText();
  const locale = useLocale();
  return [
    { name: "method", label: t("Method"), cell: ({ method, link }) => <a href={link}><code className="breaks"><Parts name={method} /></code></a> },
    { name: "deprecationTime", label: t("Deprecated since"), wide: true, cell: ({ deprecationTime }) => <Time value={deprecationTime} /> },
    { name: "sunsetTime", label: t("Sunset"), cell: ({ sunsetTime }) => <Time value={sunsetTime} /> },
    { name: "callerCount", label: t("Callers"), number: true, cell: ({ callerCount }) => callerCount.toLocaleString(locale) },
  ];
}
