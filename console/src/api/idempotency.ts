/** The idempotency keys of user actions: a request with an unknown outcome is repeated under the same key. */

import { newKey } from "./client";
import { asApiError, mayHaveTakenEffect } from "./errors";

type Attempt = { key: string; isUnknown: boolean };

export class IdempotencyKeys {
  readonly #attempts = new Map<string, Attempt>();

  /**
   * Sends a request under a key that is bound to its content. The key is kept while the request runs and while its
   * outcome is unknown, until it succeeds. After a rejection nothing was done, and the server would return the stored
   * rejection under the same key, so the next attempt gets another key.
   */
  async send<T>(request: unknown, send: (key: string) => Promise<T>): Promise<T> {
    const content = canonical(request);
    const attempt = this.#attempts.get(content) ?? { key: newKey(), isUnknown: false };
    this.#attempts.set(content, attempt);
    try {
      const answer = await send(attempt.key);
      this.#attempts.delete(content);
      return answer;
    } catch (error) {
      // A later rejection, such as a rate limit, does not determine the outcome of an earlier attempt.
      attempt.isUnknown ||= mayHaveTakenEffect(asApiError(error));
      if (!attempt.isUnknown) this.#attempts.delete(content);
      throw error;
    }
  }

  /** Returns whether this request may have taken effect already. */
  isUnknown(request: unknown): boolean {
    return this.#attempts.get(canonical(request))?.isUnknown ?? false;
  }

  /** Returns whether a request other than this one may have taken effect. */
  isOtherUnknown(request: unknown): boolean {
    const content = canonical(request);
    return [...this.#attempts].some(([other, { isUnknown }]) => isUnknown && other !== content);
  }
}

/** Returns equal texts for equal contents, independent of the order of fields. */
function canonical(request: unknown): string {
  return JSON.stringify(request, (_, value: unknown) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)));
  });
}
