/** The people of a ticket: the agents and admins who work on it, whom only staff may list, and the members of its account. */

import { useQuery } from "@tanstack/react-query";

import { api, read, readAll } from "../../api/client";
import { useMay } from "../../shell/user";

/** The maximum page size. */
const PAGE_SIZE = 100;

export function useAgents() {
  const may = useMay();
  return useQuery({
    enabled: may("UserService_ListUsers"),
    queryKey: ["users", "agents"],
    queryFn: ({ signal }) => readAll((pageToken) => {
      const query = { roles: ["ROLE_AGENT", "ROLE_ADMIN"] as ("ROLE_AGENT" | "ROLE_ADMIN")[], pageSize: PAGE_SIZE, pageToken };
      return read(api.GET("/api/v1/users", { params: { query }, signal }));
    }),
    staleTime: 60_000,
  });
}

/** Reads the latest members of an account, for their names. Further people are shown by their ids. */
function usePeople(accountId: string) {
  const may = useMay();
  return useQuery({
    enabled: may("MemberService_ListMembers"),
    queryKey: ["people", accountId],
    queryFn: ({ signal }) => read(api.GET("/api/v1/members", { params: { query: { accountId, pageSize: PAGE_SIZE } }, signal })),
    staleTime: 60_000,
  });
}

/** Returns the names of the people of an account's tickets. */
export function useNames(accountId: string): (id: string | undefined) => string | undefined {
  const { data: agents = [] } = useAgents();
  const { data: people } = usePeople(accountId);
  return (id) => agents.find((one) => one.id === id)?.name ?? people?.data.find((one) => one.userId === id)?.name;
}
