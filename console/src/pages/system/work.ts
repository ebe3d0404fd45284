/** Pending background work. */

import { useQuery } from "@tanstack/react-query";

import { api, read } from "../../api/client";

const REFRESH_MS = 5000;

export function useWork() {
  return useQuery({
    queryKey: ["dashboard", "work"],
    queryFn: async ({ signal }) => (await read(api.GET("/api/v1/dashboard/work", { signal }))).data,
    refetchInterval: REFRESH_MS,
  });
}
