/** The form of a custom role: its name, and its scopes, selected from the scopes of the caller. */

import { useState } from "react";

import { api, ifMatch, read } from "../../api/client";
import { useContract } from "../../api/contract";
import { useMe } from "../../shell/user";
import { useName, useScope, useText } from "../../text";
import { FormSheet } from "../../ui/form-sheet";
import { useRoles, type Role, type Scopes } from "./api";
import { byModule, scopesOf } from "./scopes";

export function RoleSheet({ accountId, role, onClose }: { accountId: string | undefined; role?: Role; onClose: () => void }) {
  const t = useText();
  const [name, setName] = useState(role?.name ?? "");
  const [description, setDescription] = useState(role?.description ?? "");
  const [scopes, setScopes] = useState<readonly string[]>(role?.scopes ?? []);
  const body = { name: name.trim(), description: description.trim(), scopes: [...scopes].sort() as Scopes };
  const send = (key: string) => {
    const header = { "Idempotency-Key": key };
    if (!role) return read(api.POST("/api/v1/roles", { params: { header }, body: { ...body, ...(accountId && { accountId }) } }));
    const params = { path: { roleId: role.id ?? "" }, query: { updateMask: "name,description,scopes" }, header: { ...header, ...ifMatch(role.version) } };
    return read(api.PATCH("/api/v1/roles/{roleId}", { params, body }));
  };
  return (
    <FormSheet title={role ? t("Edit the role") : t("New role")} action={t("Save")} request={{ ...body, version: role?.version }} valid={scopes.length > 0} wide onSubmit={send} onClose={onClose}>
      <label><span>{t("Name")}</span><input required autoFocus maxLength={60} autoComplete="off" value={name} onChange={(event) => setName(event.target.value)} /></label>
      <label><span>{t("Description")}</span><input maxLength={300} autoComplete="off" value={description} onChange={(event) => setDescription(event.target.value)} /></label>
      <ScopeChecks accountId={accountId} chosen={scopes} onChange={setScopes} />
      <p className="help">{t("You can give only scopes that you hold yourself.")}</p>
    </FormSheet>
  );
}

/** The scopes that the caller holds and the role may have, by module. */
function ScopeChecks({ accountId, chosen, onChange }: { accountId: string | undefined; chosen: readonly string[]; onChange: (scopes: readonly string[]) => void }) {
  const name = useName();
  const scope = useScope();
  const { scopes: held } = useMe();
  const { data: contract } = useContract();
  const { data: roles = [] } = useRoles(accountId);
  const offered = scopesOf(roles.filter((one) => one.builtIn)).filter((one) => held.has(one));
  const toggle = (one: string) => onChange(chosen.includes(one) ? chosen.filter((other) => other !== one) : [...chosen, one]);
  return (
    <div className="scopes">
      {byModule(offered).map(([module, scopes]) => (
        <fieldset key={module}>
          <legend>{name(module)}</legend>
          {scopes.map((one) => (
            <label key={one} className="check">
              <input type="checkbox" checked={chosen.includes(one)} onChange={() => toggle(one)} />
              <span>{scope(one, contract?.scopes)}<br /><small><code>{one}</code></small></span>
            </label>
          ))}
        </fieldset>
      ))}
    </div>
  );
}
