/** The idempotency keys of what people send: a request whose outcome is unknown has the same key when it is sent again. */

import { newKey } from "./client";
import { asApiError, mayHaveTakenEffect } from "./errors";

type Attempt = { key: string; isUnknown: boolean };

export class IdempotencyKeys {
  readonly #attempts = new Map<string, Attempt>();

  /**
   * Sends a request under a key that belongs to its content. The key is kept while the request runs and once its outcome is
   * unknown, until it succeeds. After a refusal, nothing was done, and the server would repeat the refusal under the same
   * key: the next attempt has another.
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
      // A later refusal, such as of too many requests, does not tell what became of an earlier attempt.
      attempt.isUnknown ||= mayHaveTakenEffect(asApiError(error));
      if (!attempt.isUnknown) this.#attempts.delete(content);
      throw error;
    }
  }

  /** Whether this request may have taken effect already. */
  isUnknown(request: unknown): boolean {
    return this.#attempts.get(canonical(request))?.isUnknown ?? false;
  }

  /** Whether another request than this one may have taken effect. */
  isOtherUnknown(request: unknown): boolean {
    const content = canonical(request);
    return [...this.#attempts].some(([other, { isUnknown }]) => isUnknown && other !== content);
  }
}

/** Equal texts for equal contents, in whichever order their fields were filled in. */
function canonical(request: unknown): string {
  return JSON.stringify(request, (_, value: unknown) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)));
  });
}
