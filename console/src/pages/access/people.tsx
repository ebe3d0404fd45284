/** The users, their roles and states, and, for admins, their sessions. */

import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";

import { api, read, type Schemas } from "../../api/client";
import { Impersonate } from "../../shell/impersonation";
import { useMay, useMe } from "../../shell/user";
import { useName, useText } from "../../text";
import { Badge, Id, Time } from "../../ui/format";
import { Card, PageFrame, Skeleton } from "../../ui/page";
import { ProblemPage } from "../../ui/problem";
import type { Column } from "../../ui/table";
import { Fields } from "../../ui/value";
import { useAccount } from "../account/account";
import { useRoles, type Member } from "../account/api";
import { RoleBadge } from "../account/role-select";
import { useTicketColumns } from "../tickets/columns";
import { RelatedList } from "../related-list";
import { Action, ChoiceFilter, FilterBar, ListPage, pageOf, Related } from "../kit";
import { History } from "./audit";
import { Delete, ScheduledDeletion } from "./privacy";
import { SessionsOf } from "./sessions";
import { SetRole } from "./set-role";

type User = Schemas["User"];
const ROLES = ["ROLE_CUSTOMER", "ROLE_AGENT", "ROLE_ADMIN"] as const satisfies readonly User["role"][];
const STATES = ["USER_STATE_ACTIVE", "USER_STATE_DEACTIVATED"] as const satisfies readonly User["state"][];

export function PeoplePage() {
  const t = useText();
  const name = useName();
  const columns: Column<User>[] = [
    { name: "name", label: name("name"), cell: (user) => <Link className="row-link" to="/people/$id" params={{ id: user.id }}>{user.name}</Link> },
    { name: "email", label: name("email"), wide: true, cell: (user) => user.email },
    { name: "role", label: name("role"), cell: (user) => <Badge value={user.role} /> },
    { name: "state", label: name("state"), cell: (user) => <Badge value={user.state} /> },
    { name: "createTime", label: t("Created"), wide: true, cell: (user) => <Time value={user.createTime} /> },
  ];
  return (
    <ListPage name="users" title={t("People")} empty={t("No people yet. `mainstay users create-admin` creates the first one; customers register themselves.")} columns={columns}
      filters={<FilterBar><ChoiceFilter name="role" values={ROLES} /><ChoiceFilter name="state" values={STATES} /></FilterBar>}
      fetch={(search, signal) => {
        const role = ROLES.find((one) => one === search["role"]);
        const state = STATES.find((one) => one === search["state"]);
        const query = { page: pageOf(search), pageSize: 50, ...(role && { roles: [role] }), ...(state && { state }) };
        return read(api.GET("/api/v1/users", { params: { query }, signal }));
      }} />
  );
}

export function PersonPage() {
  const t = useText();
  const may = useMay();
  const { scopes } = useMe();
  const { id } = useParams({ strict: false }) as { id: string };
  const { data: user, error, refetch } = useQuery({
    queryKey: ["user", id],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/users/{userId}", { params: { path: { userId: id } }, signal }))).data,
  });
  const staffRole = useRoles(undefined).data?.find((role) => role.id !== undefined && role.id === user?.staffRoleId);
  const columns = useTicketColumns();
  const above = <Link to="/people">{t("People")}</Link>;
  if (error && !user) return <ProblemPage error={error} above={above} onRetry={() => void refetch()} />;
  if (!user) return <PageFrame title="…" above={above}><Skeleton /></PageFrame>;
  const shared = { values: { userId: id }, version: user.version, name: user.name };
  return (
    <PageFrame title={user.name} above={above} actions={<>
      <Action {...shared} id="UserService_UpdateUser" label={t("Rename")} initial={{ name: user.name }} />
      <SetRole user={user} />
      {user.secondFactorTime !== undefined && <Action id="UserService_ResetSecondFactor" label={t("Reset second factor")} values={{ userId: id }} name={user.name} />}
      {user.state === "USER_STATE_ACTIVE"
        ? <Action {...shared} id="UserService_DeactivateUser" label={t("Deactivate")} />
        : <Action {...shared} id="UserService_ReactivateUser" label={t("Reactivate")} />}
      {scopes.has("identity.deletions.manage") && user.deletionTime === undefined && <Delete subject={{ userId: id }} label={t("Delete")} />}
    </>}>
      <ScheduledDeletion subject={{ userId: id }} time={user.deletionTime} />
      <Card title={t("Details")}><Fields value={staffRole ? { ...user, staffRoleId: staffRole.name } : user} /></Card>
      {may("MemberService_ListMembers") && <Memberships user={user} />}
      {may("SessionService_ListUserSessions") && <SessionsOf userId={id} name={user.name} />}
      {may("TicketService_ListTickets") && <Related title={t("Assigned tickets")} name={["tickets", "assignee", id]} empty={t("No ticket is assigned to this person. Assign one on its page, under “Assignee”.")} columns={columns}
        actions={() => <Link to="/tickets" search={{ assignee: id } as never}>{t("All")}</Link>}
        fetch={(signal) => read(api.GET("/api/v1/tickets", { params: { query: { assigneeId: id, pageSize: 10 } }, signal }))} />}
      <History resourceId={id} />
    </PageFrame>
  );
}

/** The accounts that a person is a member of. */
function Memberships({ user }: { user: User }) {
  const t = useText();
  const may = useMay();
  const userId = user.id;
  const mayImpersonate = may("ImpersonationService_StartImpersonation") && user.role === "ROLE_CUSTOMER";
  const columns: Column<Member>[] = [
    { name: "account", label: t("Account"), cell: (member) => <AccountName id={member.accountId} /> },
    { name: "role", label: t("Role"), cell: (member) => <RoleBadge accountId={member.accountId} value={member} /> },
    { name: "createTime", label: t("Member since"), wide: true, cell: (member) => <Time value={member.createTime} /> },
    { name: "actions", label: t("Actions"), unlabelled: true, cell: (member) => mayImpersonate && <Impersonate userId={userId} accountId={member.accountId} userName={user.name} /> },
  ];
  return (
    <RelatedList title={t("Accounts")} name={["members", "user", userId]} empty={t("This person is a member of no account. An owner invites people on the page Account.")} columns={columns}
      fetch={(pageToken, signal) => read(api.GET("/api/v1/members", { params: { query: { userId, pageSize: 20, pageToken } }, signal }))} />
  );
}

function AccountName({ id }: { id: string }) {
  const { data } = useAccount(id);
  return <Id value={id} field="accountId" name={data?.name} />;
}
