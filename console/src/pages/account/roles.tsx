/** The roles of an account or of the staff: the matrix of their scopes, and the custom ones. */

import { Fragment, useState } from "react";

import { useContract } from "../../api/contract";
import { useMay, useMe } from "../../shell/user";
import { useName, useScope, useText } from "../../text";
import { Card, PageFrame, Skeleton } from "../../ui/page";
import { Problem } from "../../ui/problem";
import { byModule } from "../../ui/scopes";
import { Table, type Column } from "../../ui/table";
import { Action } from "../kit";
import { useHolds, useRoleLabel, useRoles, type Role } from "./api";
import { RoleSheet } from "./role-sheet";
import { scopesOf } from "./scopes";

/** The page of the staff's roles. */
export function StaffRolesPage() {
  const t = useText();
  const mayManage = useMayManage(undefined);
  return (
    <PageFrame title={t("Staff roles")} actions={mayManage && <NewRole accountId={undefined} />}>
      <p className="lead">{t("A custom role gives an agent other scopes than the built-in role. Assign it on the agent's page under People, with “Change role”.")}</p>
      <Roles accountId={undefined} />
    </PageFrame>
  );
}

/** Returns whether the caller may create, change and delete the custom roles of an account or of the staff. */
export function useMayManage(accountId: string | undefined): boolean {
  const may = useMay();
  const { scopes } = useMe();
  // The roles of the staff need another scope than those of accounts; the same methods change both.
  return may("RoleService_CreateRole") && (accountId !== undefined || scopes.has("identity.staff_roles.manage"));
}

export function NewRole({ accountId }: { accountId: string | undefined }) {
  const t = useText();
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" className="primary" onClick={() => setOpen(true)}>{t("New role")}</button>
      {open && <RoleSheet accountId={accountId} onClose={() => setOpen(false)} />}
    </>
  );
}

export function Roles({ accountId }: { accountId: string | undefined }) {
  const t = useText();
  const { data: roles, error, isPending, refetch } = useRoles(accountId);
  const columns = useColumns(accountId);
  if (error && !roles) return <Problem error={error} onRetry={() => void refetch()} />;
  if (!roles) return <Skeleton />;
  const custom = { data: roles.filter((one) => !one.builtIn) };
  return (
    <>
      <Card title={t("Custom roles")}>
        <Table label={t("Custom roles")} columns={columns} query={{ data: custom, error, isPending, refetch }} rowKey={(role) => role.id ?? role.name}
          empty={t("No custom role yet. “New role” above creates one: a set of scopes that you choose.")} />
      </Card>
      <Card title={t("Who may do what")}><Matrix roles={roles} /></Card>
    </>
  );
}

function useColumns(accountId: string | undefined): Column<Role>[] {
  const t = useText();
  const name = useName();
  const mayManage = useMayManage(accountId);
  const holds = useHolds();
  return [
    { name: "name", label: name("name"), cell: (role) => <><b>{role.name}</b>{role.description && <span className="gist"><small>{role.description}</small></span>}</> },
    { name: "scopes", label: name("scopes"), number: true, cell: (role) => role.scopes.length },
    { name: "actions", label: t("Actions"), unlabelled: true, cell: (role) => mayManage && holds(role) && <RoleActions role={role} accountId={accountId} /> },
  ];
}

function RoleActions({ role, accountId }: { role: Role; accountId: string | undefined }) {
  const t = useText();
  const [open, setOpen] = useState(false);
  return (
    <span className="actions">
      <button type="button" onClick={() => setOpen(true)}>{t("Edit")}</button>
      <Action id="RoleService_DeleteRole" label={t("Delete")} values={{ roleId: role.id ?? "" }} name={role.name} {...(role.version && { version: role.version })} />
      {open && <RoleSheet accountId={accountId} role={role} onClose={() => setOpen(false)} />}
    </span>
  );
}

/** The scopes by module, a row each, and the roles that have them. */
function Matrix({ roles }: { roles: readonly Role[] }) {
  const t = useText();
  const name = useName();
  const scope = useScope();
  const label = useRoleLabel();
  const { data: contract } = useContract();
  return (
    <div className="table matrix" role="region" tabIndex={0} aria-label={t("Who may do what")} aria-busy={!contract}>
      <table>
        <caption className="hidden">{t("Who may do what")}</caption>
        <thead><tr><th scope="col">{t("Scope")}</th>{roles.map((role) => <th key={role.id ?? role.name} scope="col">{label(role)}</th>)}</tr></thead>
        <tbody>
          {byModule(scopesOf(roles)).map(([module, scopes]) => (
            <Fragment key={module}>
              <tr className="module"><th scope="rowgroup" colSpan={roles.length + 1}>{name(module)}</th></tr>
              {scopes.map((one) => (
                <tr key={one}>
                  <th scope="row"><span className="scope">{scope(one, contract?.scopes)}</span><small><code>{one}</code></small></th>
                  {roles.map((role) => <td key={role.id ?? role.name}><Mark isSet={role.scopes.includes(one)} /></td>)}
                </tr>
              ))}
            </Fragment>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Mark({ isSet }: { isSet: boolean }) {
  const t = useText();
  return <><span aria-hidden="true" className={isSet ? "mark" : "dim"}>{isSet ? "✓" : "–"}</span><span className="hidden">{isSet ? t("yes") : t("no")}</span></>;
}
