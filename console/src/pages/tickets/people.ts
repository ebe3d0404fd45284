/** The people of a ticket: the agents and admins who work on it, and those who ask. Only the former may list people. */

import { useQuery } from "@tanstack/react-query";

import { api, read, readAll } from "../../api/client";
import { useIsStaff } from "../../shell/user";

/** The most on one page. */
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

/** The latest people of an account, for their names: of an account that has more, the others are told by their ids. */
export function usePeople(accountId: string) {
  const isStaff = useIsStaff();
  return useQuery({
    enabled: isStaff,
    queryKey: ["people", accountId],
    queryFn: ({ signal }) => read(api.GET("/api/v1/users", { params: { query: { accountId, pageSize: PAGE_SIZE } }, signal })),
    staleTime: 60_000,
  });
}

/** What an account is called: by the name of its latest user, until it has one of its own. */
export function useCustomerName(accountId: string): string | undefined {
  return usePeople(accountId).data?.data[0]?.name;
}

/** Names those who have to do with the tickets of an account. */
export function useNames(accountId: string): (id: string | undefined) => string | undefined {
  const { data: agents = [] } = useAgents();
  const { data: people } = usePeople(accountId);
  return (id) => [...agents, ...(people?.data ?? [])].find((one) => one.id === id)?.name;
}
