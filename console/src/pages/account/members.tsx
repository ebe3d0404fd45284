/** The members of an account, their roles, and the transfer of its ownership. */

import { Link } from "@tanstack/react-router";
import { useState } from "react";

import { api, ifMatch, read } from "../../api/client";
import { useIsStaff, useMay, useMe, useMembership } from "../../shell/user";
import { useName, useText } from "../../text";
import { FormSheet } from "../../ui/form-sheet";
import { Time } from "../../ui/format";
import type { Column } from "../../ui/table";
import { Action } from "../kit";
import { RelatedList } from "../related-list";
import { roleOf, roleValue, useHolds, useRoles, type Member } from "./api";
import { RoleBadge, RoleSelect } from "./role-select";

const PAGE_SIZE = 50;

export function Members({ accountId }: { accountId: string }) {
  const t = useText();
  const name = useName();
  const { user } = useMe();
  const isStaff = useIsStaff();
  const columns: Column<Member>[] = [
    {
      name: "name",
      label: name("name"),
      cell: (member) => (
        <>
          {isStaff ? <Link className="row-link" to="/people/$id" params={{ id: member.userId }}>{member.name}</Link> : <b>{member.name}</b>}{" "}
          {member.userId === user.id && <span className="badge good">{t("you")}</span>}
          <span className="gist"><small>{member.email}</small></span>
        </>
      ),
    },
    { name: "role", label: t("Role"), cell: (member) => <RoleBadge accountId={accountId} value={member} /> },
    { name: "createTime", label: t("Member since"), wide: true, cell: (member) => <Time value={member.createTime} /> },
    { name: "actions", label: t("Actions"), unlabelled: true, cell: (member) => <MemberActions member={member} isSelf={member.userId === user.id} /> },
  ];
  return (
    <RelatedList title={t("Members")} name={["members", accountId]} empty={t("No person belongs to this account any more.")} columns={columns}
      fetch={(pageToken, signal) => read(api.GET("/api/v1/members", { params: { query: { accountId, pageSize: PAGE_SIZE, pageToken } }, signal }))} />
  );
}

/** What the caller may do to a member. The own membership is left on the page's head. */
function MemberActions({ member, isSelf }: { member: Member; isSelf: boolean }) {
  const t = useText();
  const may = useMay();
  const holds = useHolds();
  const own = useMembership();
  const { data: roles = [] } = useRoles(member.accountId);
  const [open, setOpen] = useState<"role" | "transfer">();
  const present = roles.find((one) => (one.id ? one.id === member.customRoleId : `MEMBER_ROLE_${one.name.toUpperCase()}` === member.role));
  // Only a holder of all scopes of a role takes it from a member.
  if (isSelf || (present && !holds(present))) return null;
  const isOwner = own?.accountId === member.accountId && own.role === "MEMBER_ROLE_OWNER";
  return (
    <span className="actions">
      {may("MemberService_UpdateMember") && <button type="button" onClick={() => setOpen("role")}>{t("Change role")}</button>}
      {isOwner && may("AccountService_TransferOwnership") && <button type="button" onClick={() => setOpen("transfer")}>{t("Make owner")}</button>}
      <Action id="MemberService_RemoveMember" label={t("Remove")} values={{ memberId: member.id }} version={member.version} name={member.name} />
      {open === "role" && <ChangeRole member={member} onClose={() => setOpen(undefined)} />}
      {open === "transfer" && <Transfer member={member} onClose={() => setOpen(undefined)} />}
    </span>
  );
}

type SheetProps = { member: Member; onClose: () => void };

function ChangeRole({ member, onClose }: SheetProps) {
  const t = useText();
  const [role, setRole] = useState(() => roleValue(member));
  const request = { role, version: member.version };
  const send = (key: string) => {
    const params = { path: { memberId: member.id }, query: { updateMask: "role,customRoleId" }, header: { "Idempotency-Key": key, ...ifMatch(member.version) } };
    return read(api.PATCH("/api/v1/members/{memberId}", { params, body: roleOf(role) }));
  };
  return (
    <FormSheet title={t("Change role")} action={t("Save")} request={request} valid={role !== roleValue(member)} onSubmit={send} onClose={onClose}>
      <p><b>{member.name}</b> <small>{member.email}</small></p>
      <RoleSelect accountId={member.accountId} value={role} onChange={setRole} />
      <p className="help">{t("It takes effect within a second, in all sessions of this person.")}</p>
    </FormSheet>
  );
}

function Transfer({ member, onClose }: SheetProps) {
  const t = useText();
  const send = (key: string) => {
    const params = { path: { accountId: member.accountId }, header: { "Idempotency-Key": key } };
    return read(api.POST("/api/v1/accounts/{accountId}/transfer", { params, body: { memberId: member.id } }));
  };
  return (
    <FormSheet title={t("Transfer the ownership")} action={t("Transfer")} danger request={member.id} onSubmit={send} onClose={onClose}>
      <p className="warning">{t("{name} becomes an owner of this account, and you become an admin. Only an owner can give the ownership back.", { name: member.name })}</p>
    </FormSheet>
  );
}
