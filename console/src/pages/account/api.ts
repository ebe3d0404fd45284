/** The roles of an account or of the staff, and their scopes. */

import { useQuery } from "@tanstack/react-query";

import type { paths } from "../../../generated/api";
import { api, read, type Schemas } from "../../api/client";
import { useMay, useMe } from "../../shell/user";
import { useName } from "../../text";

export type Account = Schemas["Account"];
export type Member = Schemas["Member"];
export type Invitation = Schemas["Invitation"];
export type AccountDomain = Schemas["AccountDomain"];
export type AccountProvider = Schemas["AccountProvider"];
/** The roles of people who join by a mail domain, as a request names them. */
export type DomainRole = NonNullable<paths["/api/v1/account-domains"]["post"]["requestBody"]>["content"]["application/json"]["role"];
export type Role = paths["/api/v1/roles/{roleId}"]["get"]["responses"]["200"]["content"]["application/json"]["data"];
/** The declared scopes, as a request names them. */
export type Scopes = NonNullable<NonNullable<paths["/api/v1/roles"]["post"]["requestBody"]>["content"]["application/json"]["scopes"]>;
export type MemberRole = Member["role"];

export const rolesKey = (accountId: string | undefined) => ["roles", accountId ?? "staff"] as const;

/** Reads the built-in and the custom roles of an account; without an account, those of the staff. */
export function useRoles(accountId: string | undefined) {
  const may = useMay();
  return useQuery({
    queryKey: rolesKey(accountId),
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/roles", { params: { query: accountId === undefined ? {} : { accountId } }, signal }))).data,
    enabled: may("RoleService_ListRoles"),
    staleTime: 60_000,
  });
}

/** The built-in role of a name such as `owner`. */
function enumOf({ name }: Role): MemberRole {
  return `MEMBER_ROLE_${name.toUpperCase()}` as MemberRole;
}

/** The role of a member in one text, for a select: the value of the enum, or the id of a custom role. */
export function roleValue({ role, customRoleId }: { role: MemberRole; customRoleId?: string | undefined }): string {
  return customRoleId ?? role;
}

/** The inverse of `roleValue`. */
export function roleOf(value: string): { role: MemberRole; customRoleId?: string } {
  return value.startsWith("MEMBER_ROLE_") ? { role: value as MemberRole } : { role: "MEMBER_ROLE_CUSTOM", customRoleId: value };
}

export function useRoleLabel(): (role: Role) => string {
  const name = useName();
  return (role) => (role.builtIn ? name(role.name) : role.name);
}

/** Returns the roles that the caller may assign, whose scopes the caller holds, as the options of a select. */
export function useRoleOptions(accountId: string): [string, string][] {
  const label = useRoleLabel();
  const holds = useHolds();
  const { data: roles = [] } = useRoles(accountId);
  return roles.filter(holds).map((role) => [role.id ?? enumOf(role), label(role)]);
}

/** Returns whether the caller holds every scope of a role, and so may change and assign it. */
export function useHolds(): (role: Role) => boolean {
  const { scopes } = useMe();
  return (role) => role.scopes.every((scope) => scopes.has(scope));
}
