/** The reason why a request failed: the server's error envelope, or no response. */
export class ApiError extends Error {
  constructor(
    /** The HTTP status; 0 without a response. */
    readonly status: number,
    readonly code: string,
    message: string,
    readonly fields: Readonly<Record<string, string>> = {},
    readonly requestId: string | undefined = undefined,
    readonly retryable: boolean = false,
    /** Seconds to wait before the next attempt. */
    readonly retryAfter: number | undefined = undefined,
    /** Facts about the error, such as the provider with which the user must sign in. */
    readonly metadata: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.name = "ApiError";
  }
}

type Envelope = {
  error?: { code?: string; message?: string; fields?: Record<string, string>; requestId?: string; retryable?: boolean; metadata?: Record<string, string> };
};

/** Reads the error of a response. A proxy's response has no envelope. */
export async function errorOf(response: Response): Promise<ApiError> {
  const envelope = (await response.json().catch(() => ({}))) as Envelope;
  const error = envelope.error ?? {};
  const wait = Number(response.headers.get("retry-after") ?? Number.NaN);
  return new ApiError(
    response.status,
    error.code ?? "UNKNOWN",
    error.message ?? response.statusText,
    error.fields,
    error.requestId ?? response.headers.get("x-request-id") ?? undefined,
    error.retryable ?? response.status >= 502,
    Number.isFinite(wait) ? wait : undefined,
    error.metadata,
  );
}

export function unreachable(): ApiError {
  return new ApiError(0, "OFFLINE", "", {}, undefined, true);
}

export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError(-1, "CONSOLE_FAILED", error instanceof Error ? error.message : String(error));
}

/**
 * Returns whether a failed request may have taken effect: without a response, and after most server errors, the outcome
 * is unknown.
 */
export function mayHaveTakenEffect({ status, code }: ApiError): boolean {
  return status < 400 || status >= 500 || code === "IDEMPOTENCY_IN_PROGRESS";
}
