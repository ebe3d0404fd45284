import type { Role } from "./api";

/** The scopes that the roles may have: every one is part of a built-in role. */
export function scopesOf(roles: readonly Role[]): string[] {
  return [...new Set(roles.flatMap(({ scopes }) => scopes))].sort();
}
