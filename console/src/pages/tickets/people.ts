/** The people of a ticket: the agents and admins who work on it, and the requesters. Only staff may list users. */

import { useQuery } from "@tanstack/react-query";

import { api, read, readAll } from "../../api/client";
import { useIsStaff } from "../../shell/user";

/** The maximum page size. */
const PAGE_SIZE = 100;

export function useAgents() {
  const isStaff = useIsStaff();
  return useQuery({
    enabled: isStaff,
    queryKey: ["users", "agents"],
    queryFn: ({ signal }) => readAll((pageToken) => {
      const query = { roles: ["ROLE_AGENT", "ROLE_ADMIN"] as ("ROLE_AGENT" | "ROLE_ADMIN")[], pageSize: PAGE_SIZE, pageToken };
      return read(api.GET("/api/v1/users", { params: { query }, signal }));
    }),
    staleTime: 60_000,
  });
}

/** Reads the latest users of an account, for their names. Further users are shown by their ids. */
export function usePeople(accountId: string) {
  const isStaff = useIsStaff();
  return useQuery({
    enabled: isStaff,
    queryKey: ["people", accountId],
    queryFn: ({ signal }) => read(api.GET("/api/v1/users", { params: { query: { accountId, pageSize: PAGE_SIZE } }, signal })),
    staleTime: 60_000,
  });
}

/** Returns the display name of an account: the name of its latest user, until the account has a name. */
export function useCustomerName(accountId: string): string | undefined {
  return usePeople(accountId).data?.data[0]?.name;
}

/** Returns the names of the people of an account's tickets. */
export function useNames(accountId: string): (id: string | undefined) => string | undefined {
  const { data: agents = [] } = useAgents();
  const { data: people } = usePeople(accountId);
  return (id) => [...agents, ...(people?.data ?? [])].find((one) => one.id === id)?.name;
}
