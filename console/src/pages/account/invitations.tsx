/** The invitations to an account that are not accepted yet. */

import { useState } from "react";

import { api, read } from "../../api/client";
import { useMay } from "../../shell/user";
import { useName, useText } from "../../text";
import { FormSheet } from "../../ui/form-sheet";
import { Time } from "../../ui/format";
import type { Column } from "../../ui/table";
import { Action } from "../kit";
import { RelatedList } from "../related-list";
import { roleOf, useRoleOptions, type Invitation } from "./api";
import { RoleBadge, RoleSelect } from "./role-select";

const PAGE_SIZE = 50;

export function Invitations({ accountId }: { accountId: string }) {
  const t = useText();
  const name = useName();
  const may = useMay();
  const columns: Column<Invitation>[] = [
    { name: "email", label: t("E-mail address"), cell: (one) => <><b className="text">{one.email}</b><span className="narrow-only"><br /><RoleBadge accountId={accountId} value={one} /></span></> },
    { name: "role", label: t("Role"), wide: true, cell: (one) => <RoleBadge accountId={accountId} value={one} /> },
    { name: "state", label: name("state"), cell: (one) => <State invitation={one} /> },
    { name: "updateTime", label: t("Sent"), wide: true, cell: (one) => <Time value={one.updateTime} /> },
    { name: "expireTime", label: name("expireTime"), wide: true, cell: (one) => <Time value={one.expireTime} /> },
    {
      name: "actions",
      label: t("Actions"),
      unlabelled: true,
      cell: (one) => (
        <span className="actions">
          <Action id="InvitationService_ResendInvitation" label={t("Send again")} values={{ invitationId: one.id }} version={one.version} name={one.email} />
          <Action id="InvitationService_RevokeInvitation" label={t("Revoke")} values={{ invitationId: one.id }} version={one.version} name={one.email} />
        </span>
      ),
    },
  ];
  return (
    <RelatedList title={t("Invitations")} name={["invitations", accountId]} empty={may("InvitationService_CreateInvitation") ? t("No invitation waits. “Invite” above sends one by mail.") : t("No invitation waits. An owner of this account invites people.")} columns={columns}
      fetch={(pageToken, signal) => read(api.GET("/api/v1/invitations", { params: { query: { accountId, pageSize: PAGE_SIZE, pageToken } }, signal }))} />
  );
}

function State({ invitation }: { invitation: Invitation }) {
  const t = useText();
  const isExpired = Date.parse(invitation.expireTime) < Date.now();
  return isExpired ? <span className="badge warn">{t("Expired")}</span> : <span className="badge info">{t("Waits")}</span>;
}

/** The button that invites an address. */
export function Invite({ accountId }: { accountId: string }) {
  const t = useText();
  const may = useMay();
  const [open, setOpen] = useState(false);
  if (!may("InvitationService_CreateInvitation")) return null;
  return (
    <>
      <button type="button" className="primary" onClick={() => setOpen(true)}>{t("Invite")}</button>
      {open && <InviteSheet accountId={accountId} onClose={() => setOpen(false)} />}
    </>
  );
}

function InviteSheet({ accountId, onClose }: { accountId: string; onClose: () => void }) {
  const t = useText();
  const [email, setEmail] = useState("");
  const [role, setRole] = useState("MEMBER_ROLE_MEMBER");
  const isAssignable = useRoleOptions(accountId).some(([one]) => one === role);
  const body = { accountId, email: email.trim(), ...roleOf(role) };
  const send = (key: string) => read(api.POST("/api/v1/invitations", { params: { header: { "Idempotency-Key": key } }, body }));
  return (
    <FormSheet title={t("Invite a person")} action={t("Invite")} request={body} valid={isAssignable} onSubmit={send} onClose={onClose}>
      <label>
        <span>{t("E-mail address")}</span>
        <input type="email" required autoFocus autoComplete="off" maxLength={254} value={email} onChange={(event) => setEmail(event.target.value)} />
      </label>
      <RoleSelect accountId={accountId} value={role} onChange={setRole} />
      <p className="help">{t("The mail contains a link that works once, for seven days.")}</p>
    </FormSheet>
  );
}
