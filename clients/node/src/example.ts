/** Signs in, creates a ticket exactly once, finds it in a stream, and reads a validation error. */

import { randomUUID } from "node:crypto";

import { ConnectError, createClient } from "@connectrpc/connect";

import { AuthService } from "../generated/mainstay/identity/v1/auth_service_pb.js";
import { UserService } from "../generated/mainstay/identity/v1/user_service_pb.js";
import { TicketService } from "../generated/mainstay/support/v1/ticket_service_pb.js";
import { connect, Refused } from "./client.js";

let token: string | undefined;
const transport = connect(process.env.MAINSTAY_URL ?? "http://127.0.0.1:8080", () => token);
const auth = createClient(AuthService, transport);
const users = createClient(UserService, transport);
const tickets = createClient(TicketService, transport);

const { data: pair } = await auth.login({
  email: process.env.MAINSTAY_EMAIL ?? "demo@example.com",
  password: process.env.MAINSTAY_PASSWORD ?? "",
});
token = pair?.accessToken;
const me = await users.getMe({});
console.log(`signed in as ${me.data?.email}`);

// One idempotency key per intent; repeated requests use the same key.
const key = randomUUID();
const draft = { subject: `Printer on fire ${key}`, body: "Smoke since nine.", accountId: me.accountId ?? "" };
const made = new Set<string | undefined>();
let replayed: string | null = null;
for (let time = 1; time <= 3; time++) {
  const answer = await tickets.createTicket(draft, {
    headers: { "idempotency-key": key },
    onHeader: (headers) => (replayed = headers.get("idempotent-replayed")),
  });
  made.add(answer.data?.id);
}
console.log(`asked 3 times with one key: ${made.size} ticket, the last answer replayed: ${replayed}`);

let found = 0;
for await (const { item } of tickets.exportTickets({ accountId: draft.accountId }, { timeoutMs: 60_000 })) {
  if (item.case === "error") {
    throw new Error(item.value.message);
  }
  found += Number(item.value?.subject === draft.subject);
}
console.log(`the export holds it: ${found} time`);

try {
  await tickets.createTicket({ body: "No subject." });
} catch (error) {
  const why = new Refused(ConnectError.from(error));
  console.log(`refused: ${why.reason}, subject ${why.fields.subject}`);
}
