/** The names of accounts, agents and admins, for staff: one request each, which all ids of a page share. */

import { useQuery } from "@tanstack/react-query";

import { api, read } from "../api/client";
import { useIsStaff, useMay } from "../shell/user";

/** The maximum page size: further accounts are shown by their ids. */
const PAGE_SIZE = 100;
const STALE_MS = 60_000;
const AGENT_FIELDS = new Set(["authorId", "assigneeId", "createdBy", "userId"]);

type Named = { id: string; name: string };

/** Returns the latest accounts. */
export function useAccounts(isEnabled = true) {
  const [isStaff, may] = [useIsStaff(), useMay()];
  return useQuery({
    enabled: isEnabled && isStaff && may("AccountService_ListAccounts"),
    queryKey: ["account-names"],
    queryFn: async ({ signal }): Promise<Named[]> => (await read(api.GET("/api/v1/accounts", { params: { query: { pageSize: PAGE_SIZE } }, signal }))).data,
    staleTime: STALE_MS,
  });
}

function useStaff(isEnabled: boolean) {
  const [isStaff, may] = [useIsStaff(), useMay()];
  return useQuery({
    enabled: isEnabled && isStaff && may("UserService_ListUsers"),
    queryKey: ["staff-names"],
    queryFn: async ({ signal }): Promise<Named[]> => (await read(api.GET("/api/v1/users", { params: { query: { roles: ["ROLE_AGENT", "ROLE_ADMIN"], pageSize: PAGE_SIZE } }, signal }))).data,
    staleTime: STALE_MS,
  });
}

/** Returns the name of the account or the colleague that a field refers to, once it is known. */
export function useKnownName(field: string | undefined, id: string | undefined): string | undefined {
  const { data: accounts } = useAccounts(field === "accountId" && id !== undefined);
  const { data: staff } = useStaff(field !== undefined && AGENT_FIELDS.has(field) && id !== undefined);
  return (field === "accountId" ? accounts : staff)?.find((one) => one.id === id)?.name;
}
