/** The choice of a member's role, and the name of one. */

import { useText } from "../../text";
import { Badge } from "../../ui/format";
import { useRoleOptions, useRoles, type MemberRole } from "./api";

export function RoleSelect({ accountId, value, onChange }: { accountId: string; value: string; onChange: (value: string) => void }) {
  const t = useText();
  const options = useRoleOptions(accountId);
  // A role that the caller could not assign is no choice.
  return (
    <label>
      <span>{t("Role")}</span>
      <select value={value} required onChange={(event) => onChange(event.target.value)}>
        {!options.some(([one]) => one === value) && <option value={value}>{t("Choose …")}</option>}
        {options.map(([one, label]) => <option key={one} value={one}>{label}</option>)}
      </select>
    </label>
  );
}

/** The role of a member or an invitation. */
export function RoleBadge({ accountId, value: { role, customRoleId } }: { accountId: string; value: { role: MemberRole; customRoleId?: string | undefined } }) {
  const { data: roles } = useRoles(accountId);
  const custom = roles?.find((one) => one.id === customRoleId);
  return customRoleId !== undefined && custom ? <span className="badge info">{custom.name}</span> : <Badge value={role} />;
}
