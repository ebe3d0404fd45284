/** Signs in, creates a ticket exactly once, finds it in a stream, and reads a validation error. */

import type { components } from "../generated/mainstay.js";
import { connect, lines, Refused, take } from "./client.js";

type Exported = components["schemas"]["ExportTicketsResponse"];

export async function example(server: string, email: string, password: string, say: (line: string) => void): Promise<void> {
  let token: string | undefined;
  const api = connect(server, () => token);

  token = (await take(api.POST("/api/v1/auth/login", { body: { email, password } }))).data?.accessToken;
  const me = await take(api.GET("/api/v1/me"));
  say(`signed in as ${me.data?.email}`);

  // One idempotency key per intent; repeated requests use the same key.
  const key = crypto.randomUUID();
  const draft = { subject: `Printer on fire ${key}`, body: "Smoke since nine.", accountId: me.accountId ?? "" };
  const made = new Set<string | undefined>();
  let replayed: string | null = null;
  for (let time = 1; time <= 3; time++) {
    const answer = await api.POST("/api/v1/tickets", { params: { header: { "Idempotency-Key": key } }, body: draft });
    made.add(answer.data?.data?.id);
    replayed = answer.response.headers.get("Idempotent-Replayed");
  }
  say(`asked 3 times with one key: ${made.size} ticket, the last answer replayed: ${replayed}`);

  const stream = await take(
    api.GET("/api/v1/tickets/export", {
      params: { query: { accountId: draft.accountId } },
      headers: { Accept: "application/x-ndjson" },
      parseAs: "stream",
    }),
  );
  let found = 0;
  for await (const message of lines<Exported>(stream as ReadableStream<Uint8Array>)) {
    if ("error" in message) {
      throw new Error("the export broke off");
    }
    found += Number(message.data?.subject === draft.subject);
  }
  say(`the export holds it: ${found} time`);

  try {
    await take(api.POST("/api/v1/tickets", { body: { subject: "", body: "No subject." } }));
  } catch (error) {
    if (!(error instanceof Refused)) {
      throw error;
    }
    say(`refused: ${error.reason}, subject ${error.fields.subject}`);
  }
}
