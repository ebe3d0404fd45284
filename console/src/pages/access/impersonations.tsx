/** The live impersonations: staff that acts in the name of users. */

import { Link } from "@tanstack/react-router";

import { api, read, type Schemas } from "../../api/client";
import { useName, useText } from "../../text";
import { Id, short, Time } from "../../ui/format";
import type { Column } from "../../ui/table";
import { Action, ListPage, pageOf } from "../kit";

type Impersonation = Schemas["Impersonation"];

export function ImpersonationsPage() {
  const t = useText();
  const name = useName();
  const person = (id: string) => <Link to="/people/$id" params={{ id }} title={id}><code>{short(id)}</code></Link>;
  const columns: Column<Impersonation>[] = [
    {
      name: "reason",
      label: name("reason"),
      cell: (one) => <><b className="text">{one.reason}</b>{one.allowsWrites && <> <span className="badge warn">{t("With changes")}</span></>}</>,
    },
    { name: "impersonatorId", label: t("Staff"), cell: (one) => person(one.impersonatorId) },
    { name: "userId", label: t("In the name of"), cell: (one) => person(one.userId) },
    { name: "accountId", label: t("Account"), wide: true, cell: (one) => <Id value={one.accountId} /> },
    { name: "createTime", label: t("Since"), wide: true, cell: (one) => <Time value={one.createTime} /> },
    { name: "expireTime", label: name("expireTime"), wide: true, cell: (one) => <Time value={one.expireTime} /> },
    {
      name: "actions",
      label: t("Actions"),
      unlabelled: true,
      cell: (one) => <Action id="ImpersonationService_EndImpersonation" label={t("End")} values={{ impersonationId: one.id }} name={one.reason} />,
    },
  ];
  return (
    <ListPage title={t("Impersonations")} name="impersonations" columns={columns} empty={t("No member of the staff acts in the name of a user now. “Act as this person” on the page of a person starts it.")}
      fetch={(search, signal) => read(api.GET("/api/v1/impersonations", { params: { query: { page: pageOf(search) } }, signal }))} />
  );
}
