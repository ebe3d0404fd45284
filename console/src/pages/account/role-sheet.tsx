/** The form of a custom role: its name, and its scopes, selected from the scopes of the caller. */

import { useState } from "react";

import { api, ifMatch, read } from "../../api/client";
import { useMe } from "../../shell/user";
import { useText } from "../../text";
import { FormSheet } from "../../ui/form-sheet";
import { ScopeChecks } from "../../ui/scopes";
import { useRoles, type Role, type Scopes } from "./api";
import { scopesOf } from "./scopes";

export function RoleSheet({ accountId, role, onClose }: { accountId: string | undefined; role?: Role; onClose: () => void }) {
  const t = useText();
  const [name, setName] = useState(role?.name ?? "");
  const [description, setDescription] = useState(role?.description ?? "");
  const [scopes, setScopes] = useState<readonly string[]>(role?.scopes ?? []);
  const [idle, setIdle] = useState(minutesOf(role?.sessionIdleSeconds));
  const [age, setAge] = useState(minutesOf(role?.sessionMaxAgeSeconds));
  const limits = { ...(idle !== "" && { sessionIdleSeconds: Math.round(60 * Number(idle)) }), ...(age !== "" && { sessionMaxAgeSeconds: Math.round(60 * Number(age)) }) };
  const body = { name: name.trim(), description: description.trim(), scopes: [...scopes].sort() as Scopes, ...limits };
  const send = (key: string) => {
    const header = { "Idempotency-Key": key };
    if (!role) return read(api.POST("/api/v1/roles", { params: { header }, body: { ...body, ...(accountId && { accountId }) } }));
    const params = { path: { roleId: role.id ?? "" }, query: { updateMask: "name,description,scopes,sessionIdleSeconds,sessionMaxAgeSeconds" }, header: { ...header, ...ifMatch(role.version) } };
    return read(api.PATCH("/api/v1/roles/{roleId}", { params, body }));
  };
  return (
    <FormSheet title={role ? t("Edit the role") : t("New role")} action={t("Save")} request={{ ...body, version: role?.version }} valid={scopes.length > 0} wide onSubmit={send} onClose={onClose}>
      <label><span>{t("Name")}</span><input required autoFocus maxLength={60} autoComplete="off" value={name} onChange={(event) => setName(event.target.value)} /></label>
      <label><span>{t("Description")}</span><input maxLength={300} autoComplete="off" value={description} onChange={(event) => setDescription(event.target.value)} /></label>
      <label><span>{t("Longest pause of a session, in minutes")}</span><input type="number" min={15} max={525_600} step="any" value={idle} onChange={(event) => setIdle(event.target.value)} /></label>
      <label><span>{t("Longest session without another proof of identity, in minutes")}</span><input type="number" min={15} max={525_600} step="any" value={age} onChange={(event) => setAge(event.target.value)} /></label>
      <OfferedScopes accountId={accountId} chosen={scopes} onChange={setScopes} />
      <p className="help">{t("You can give only scopes that you hold yourself.")}</p>
    </FormSheet>
  );
}

/** A limit in minutes, for an input; empty without one. */
function minutesOf(seconds: number | undefined): string {
  return seconds === undefined ? "" : String(seconds / 60);
}

/** The scopes that the caller holds and the role may have, by module. */
function OfferedScopes({ accountId, chosen, onChange }: { accountId: string | undefined; chosen: readonly string[]; onChange: (scopes: readonly string[]) => void }) {
  const { scopes: held } = useMe();
  const { data: roles = [] } = useRoles(accountId);
  const offered = scopesOf(roles.filter((one) => one.builtIn)).filter((one) => held.has(one));
  return <ScopeChecks offered={offered} chosen={chosen} onChange={onChange} />;
}
