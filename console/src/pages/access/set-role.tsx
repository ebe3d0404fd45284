/** The role of a person on the platform: customer, agent with the built-in or a custom role of the staff, or admin. */

import { useState } from "react";

import { api, ifMatch, read, type Schemas } from "../../api/client";
import { useMay } from "../../shell/user";
import { useName, useText } from "../../text";
import { FormSheet } from "../../ui/form-sheet";
import { useHolds, useRoles } from "../account/api";

type User = Schemas["User"];
const ROLES = ["ROLE_CUSTOMER", "ROLE_AGENT", "ROLE_ADMIN"] as const satisfies readonly User["role"][];

export function SetRole({ user }: { user: User }) {
  const t = useText();
  const may = useMay();
  const [open, setOpen] = useState(false);
  if (!may("UserService_SetUserRole")) return null;
  return (
    <>
      <button type="button" onClick={() => setOpen(true)}>{t("Change role")}</button>
      {open && <SetRoleSheet user={user} onClose={() => setOpen(false)} />}
    </>
  );
}

function SetRoleSheet({ user, onClose }: { user: User; onClose: () => void }) {
  const t = useText();
  const name = useName();
  const holds = useHolds();
  const { data: roles = [] } = useRoles(undefined);
  const present = user.staffRoleId ?? user.role;
  const [chosen, setChosen] = useState<string>(present);
  const role = ROLES.find((one) => one === chosen);
  const body = role ? { role } : { role: "ROLE_AGENT" as const, staffRoleId: chosen };
  const send = (key: string) => {
    const params = { path: { userId: user.id }, header: { "Idempotency-Key": key, ...ifMatch(user.version) } };
    return read(api.PUT("/api/v1/users/{userId}/role", { params, body }));
  };
  return (
    <FormSheet title={t("Change role")} action={t("Save")} request={{ ...body, version: user.version }} valid={chosen !== present} onSubmit={send} onClose={onClose}>
      <p><b>{user.name}</b> <small>{user.email}</small></p>
      <label>
        <span>{t("Role")}</span>
        <select value={chosen} onChange={(event) => setChosen(event.target.value)}>
          {ROLES.map((one) => <option key={one} value={one}>{name(one)}</option>)}
          {roles.filter((one) => one.id !== undefined && (holds(one) || one.id === present)).map((one) => <option key={one.id} value={one.id}>{t("Agent with the role {name}", { name: one.name })}</option>)}
        </select>
      </label>
      <p className="help">{t("All sessions of this person end. An agent with a custom role has its scopes in place of those of the built-in role.")}</p>
    </FormSheet>
  );
}
