/** The signed-in user. */

import { useQuery } from "@tanstack/react-query";
import { createContext, useContext } from "react";

import { api, read, type Schemas } from "../api/client";

/** The user, with the account of the session. */
export type User = Schemas["User"] & { accountId?: string | undefined };

export const UserContext = createContext<User | undefined>(undefined);

export function useUser(): User {
  const user = useContext(UserContext);
  if (!user) throw new Error("outside of the shell");
  return user;
}

/** Returns whether the user is staff, who work for all accounts. */
export function useIsStaff(): boolean {
  return useUser().role !== "ROLE_CUSTOMER";
}

export function useMe() {
  return useQuery({
    queryKey: ["me"],
    queryFn: async ({ signal }): Promise<User> => {
      const { data, accountId } = await read(api.GET("/api/v1/me", { signal }));
      return { ...data, accountId };
    },
  });
}
