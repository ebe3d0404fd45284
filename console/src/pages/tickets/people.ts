/** The agents and admins who work on tickets. */

import { useQuery } from "@tanstack/react-query";

import { api, read, type Schemas } from "../../api/client";

export type Person = Schemas["User"];

export function useAgents() {
  return useQuery({
    queryKey: ["users", "agents"],
    queryFn: async ({ signal }) => {
      const query = { roles: ["ROLE_AGENT", "ROLE_ADMIN"] as ("ROLE_AGENT" | "ROLE_ADMIN")[], pageSize: 100 };
      return (await read(api.GET("/api/v1/users", { params: { query }, signal }))).data;
    },
    staleTime: 60_000,
  });
}
