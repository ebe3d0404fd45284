import type { Role } from "./api";

/** The scopes that the roles may have: every one is part of a built-in role. */
export function scopesOf(roles: readonly Role[]): string[] {
  return [...new Set(roles.flatMap(({ scopes }) => scopes))].sort();
}

/** Groups scopes by their first word, the module. */
export function byModule(scopes: readonly string[]): [string, string[]][] {
  const modules = new Map<string, string[]>();
  for (const scope of scopes) {
    const module = scope.split(".")[0] ?? scope;
    modules.set(module, [...(modules.get(module) ?? []), scope]);
  }
  return [...modules];
}
