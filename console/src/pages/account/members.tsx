/** The members of an account and their roles. */

import { Link } from "@tanstack/react-router";
import { useState } from "react";

import { api, ifMatch, read } from "../../api/client";
import { useIsStaff, useMay, useMe } from "../../shell/user";
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
          {isStaff ? <Link className="row-link fitted" to="/people/$id" params={{ id: member.userId }}>{member.name}</Link> : <b>{member.name}</b>}{" "}
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

/** What the caller may do to a member. The own membership ends by leaving, at the head of the page. */
function MemberActions({ member, isSelf }: { member: Member; isSelf: boolean }) {
  const t = useText();
  const may = useMay();
  const holds = useHolds();
  const { data: roles = [] } = useRoles(member.accountId);
  const [open, setOpen] = useState(false);
  const present = roles.find((one) => (one.id ? one.id === member.customRoleId : `MEMBER_ROLE_${one.name.toUpperCase()}` === member.role));
  // Only a holder of all scopes of a role takes it from a member.
  if (isSelf || (present && !holds(present))) return null;
  return (
    <span className="actions">
      {may("MemberService_UpdateMember") && <button type="button" onClick={() => setOpen(true)}>{t("Change role")}</button>}
      <Action id="MemberService_RemoveMember" label={t("Remove")} values={{ memberId: member.id }} version={member.version} name={member.name} />
      {open && <ChangeRole member={member} onClose={() => setOpen(false)} />}
    </span>
  );
}

function ChangeRole({ member, onClose }: { member: Member; onClose: () => void }) {
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
