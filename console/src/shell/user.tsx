/** The signed-in user, the account of the session, and what the user may do. */

import { useQuery } from "@tanstack/react-query";
import { createContext, useContext } from "react";

import { api, read, type Schemas } from "../api/client";
import { useContract, type Operation } from "../api/contract";
import { impersonation } from "../api/impersonation";
import { setAccounts } from "../api/session";

export type User = Schemas["User"];
export type Membership = Schemas["Membership"];

export type Me = {
  user: User;
  /** The account of the session; undefined if the user is a member of none. */
  accountId: string | undefined;
  memberships: readonly Membership[];
  /** The names of the scopes that the user holds in this session. */
  scopes: ReadonlySet<string>;
};

export const MeContext = createContext<Me | undefined>(undefined);

export function useMe(): Me {
  const me = useContext(MeContext);
  if (!me) throw new Error("outside of the shell");
  return me;
}

export function useUser(): User {
  return useMe().user;
}

/** Returns whether the user is staff, who work for all accounts. */
export function useIsStaff(): boolean {
  return useUser().role !== "ROLE_CUSTOMER";
}

/** The membership in the account of the session. */
export function useMembership(): Membership | undefined {
  const { accountId, memberships } = useMe();
  return memberships.find((one) => one.accountId === accountId);
}

export function useMeQuery() {
  return useQuery({
    queryKey: ["me"],
    queryFn: async ({ signal }): Promise<Me> => {
      const [{ data: user, accountId, memberships }, access] = await Promise.all([
        read(api.GET("/api/v1/me", { signal })),
        read(api.GET("/api/v1/me/access", { signal })),
      ]);
      if (!impersonation()) setAccounts(memberships.map((one) => one.accountId));
      return { user, accountId, memberships, scopes: new Set(access.data.scopes) };
    },
  });
}

/** Returns the resources that the caller reaches by an operation, such as `any`; undefined if the caller may not call it. */
export type Reach = (operation: Operation) => string | undefined;

function reachOf({ grants }: Operation, { user, scopes }: Me): string | undefined {
  const role = user.role.replace("ROLE_", "").toLowerCase();
  const grant = grants.find((one) => one.role === role);
  if (!grant) return undefined;
  const isHeld = !grant.scope || scopes.has(grant.scope);
  return isHeld ? grant.reach : (grant.reachWithoutScope ?? undefined);
}

export function useReach(): Reach {
  const me = useMe();
  return (operation) => reachOf(operation, me);
}

/** Returns whether the user may call an operation, given by its `operationId`. Until the contract is loaded, none. */
export function useMay(): (id: string) => boolean {
  const reach = useReach();
  const { data: contract } = useContract();
  return (id) => {
    const operation = contract?.services.flatMap(({ operations }) => operations).find((one) => one.id === id);
    return operation !== undefined && reach(operation) !== undefined;
  };
}
