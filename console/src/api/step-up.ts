/** A repeated authentication, which some calls require: they wait until the user has proved again who they are. */

import type { ApiError } from "./errors";

export type StepUp = { done: () => void; cancel: () => void };

let pending: StepUp | undefined;
let outcome: Promise<void> | undefined;
const listeners = new Set<() => void>();

function become(next: StepUp | undefined): void {
  pending = next;
  for (const listener of listeners) listener();
}

export function subscribeStepUp(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function pendingStepUp(): StepUp | undefined {
  return pending;
}

/** Resolves once the user has authenticated again, and fails with the error if the user cancels. Concurrent callers share one dialog. */
export function stepUp(error: ApiError): Promise<void> {
  outcome ??= new Promise<void>((done, fail) => become({ done, cancel: () => fail(error) })).finally(() => {
    outcome = undefined;
    become(undefined);
  });
  return outcome;
}
