/** The impersonation of this tab: staff sees what a user sees, with another access token, until it ends. */

export type Impersonation = { id: string; token: string; userName: string };

let current: Impersonation | undefined;

export function impersonation(): Impersonation | undefined {
  return current;
}

export function setImpersonation(next: Impersonation | undefined): void {
  current = next;
}
