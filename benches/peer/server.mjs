// What many teams run today, carefully written: Express with pg and ioredis, the same routes on the same rows.
//
// It does less than Mainstay, which flatters it: a fixed token instead of signed ones, a counter instead of a rate limiter,
// no validation beyond types, no webhooks, mails or changes to tell of, and charges without a ledger that are not resumed
// after a crash. Its tables are its own, with the indexes of these queries only (`peer.sql`).
import { randomUUID, timingSafeEqual } from "node:crypto";
import express from "express";
import Redis from "ioredis";
import pg from "pg";
import pino from "pino";

const { DATABASE_URL, REDIS_URL, PORT, POOL_SIZE, TOKEN } = process.env;
const pool = new pg.Pool({ connectionString: DATABASE_URL, max: Number(POOL_SIZE) });
const redis = new Redis(REDIS_URL, { enableAutoPipelining: true });
const log = pino(pino.destination({ fd: 2, sync: false }));

const POST_SECONDS = 300;
const LIST_SECONDS = 60;
const REQUESTS_PER_MINUTE = 1e9;

const app = express();
app.disable("x-powered-by");
app.use(express.json());

app.use((request, response, next) => {
  const began = process.hrtime.bigint();
  const id = randomUUID();
  response.set("x-request-id", id);
  response.on("finish", () => {
    const { method, originalUrl: path, ip: client } = request;
    const elapsed_us = Number((process.hrtime.bigint() - began) / 1000n);
    log.info({ id, method, path, client, status: response.statusCode, elapsed_us }, "request done");
  });
  next();
});

app.use(async (request, response, next) => {
  const key = `peer:limit:${request.ip}:${Math.floor(Date.now() / 60_000)}`;
  const count = await redis.incr(key);
  if (count === 1) await redis.expire(key, 60);
  if (count > REQUESTS_PER_MINUTE) return response.status(429).json({ error: { code: "RATE_LIMITED" } });
  next();
});

function authenticate(request, response, next) {
  const given = Buffer.from(request.get("authorization") ?? "");
  const known = Buffer.from(`Bearer ${TOKEN}`);
  if (given.length !== known.length || !timingSafeEqual(given, known)) {
    return response.status(401).json({ error: { code: "UNAUTHENTICATED" } });
  }
  next();
}

const ticket = (row) => ({
  id: row.id,
  accountId: row.account_id,
  requesterId: row.requester_id,
  subject: row.subject,
  body: row.body,
  kind: row.kind,
  status: row.status,
  priority: row.priority,
  queue: row.queue,
  language: row.language,
  tags: row.tags,
  version: row.version,
  createTime: row.created_at,
  updateTime: row.updated_at,
});

const TICKET =
  "id, account_id, requester_id, subject, body, kind, status, priority, queue, language, tags, version, created_at, updated_at";

app.get("/api/v1/tickets/:id", authenticate, async (request, response) => {
  const text = `SELECT ${TICKET} FROM peer.tickets WHERE id = $1`;
  const { rows } = await pool.query({ name: "get", text, values: [request.params.id] });
  if (rows.length === 0) return response.status(404).json({ error: { code: "NOT_FOUND" } });
  response.json({ data: ticket(rows[0]) });
});

app.get("/api/v1/tickets", authenticate, async (request, response) => {
  const page = Number(request.query.page ?? 1);
  if (!Number.isInteger(page) || page < 1 || page > 500) {
    return response.status(400).json({ error: { code: "VALIDATION_FAILED" } });
  }
  const text = `SELECT ${TICKET} FROM peer.tickets ORDER BY created_at DESC, id DESC LIMIT 20 OFFSET $1`;
  const [{ rows }, { rows: total }] = await Promise.all([
    pool.query({ name: "list", text, values: [20 * (page - 1)] }),
    pool.query({ name: "total", text: "SELECT count(*) FROM peer.tickets" }),
  ]);
  response.json({ data: rows.map(ticket), meta: { page, pageSize: 20, total: total[0].count } });
});

app.post("/api/v1/tickets", authenticate, async (request, response) => {
  const { subject, body, tags, accountId } = request.body;
  const isGood =
    typeof subject === "string" && typeof body === "string" && typeof accountId === "string" && Array.isArray(tags);
  if (!isGood) return response.status(400).json({ error: { code: "VALIDATION_FAILED" } });
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    const insert = `INSERT INTO peer.tickets (${TICKET})
       VALUES ($1, $2, NULL, $3, $4, 1, 1, 2, 'Support', 'en', $5, 1, now(), now()) RETURNING ${TICKET}`;
    const values = [randomUUID(), accountId, subject, body, tags];
    const { rows } = await client.query({ name: "create", text: insert, values });
    const activity = "INSERT INTO peer.activities (id, ticket_id, kind, created_at) VALUES ($1, $2, 1, now())";
    await client.query({ name: "activity", text: activity, values: [randomUUID(), rows[0].id] });
    await client.query("COMMIT");
    response.status(201).json({ data: ticket(rows[0]) });
  } catch (error) {
    await client.query("ROLLBACK");
    throw error;
  } finally {
    client.release();
  }
});

// The gateway of the charges, as Mainstay's sandbox is one: it moves no money, and keeps its books in the same Postgres.
// Returns the id of its movement, the same one whenever it is called with the same key.
async function chargeAtSandbox(key, { id, currency, amount_minor }) {
  const insert = `INSERT INTO peer.sandbox_movements (key, kind, subject_id, gateway_id, currency, amount_minor, created_at)
     VALUES ($1, 1, $2, $3, $4, $5, now()) ON CONFLICT (key) DO NOTHING`;
  const gatewayId = `sandbox_pi_${randomUUID()}`;
  const values = [key, id, gatewayId, currency, amount_minor];
  const { rowCount } = await pool.query({ name: "sandbox", text: insert, values });
  if (rowCount === 1) return gatewayId;
  const known = "SELECT gateway_id FROM peer.sandbox_movements WHERE key = $1";
  const { rows } = await pool.query({ name: "sandbox-known", text: known, values: [key] });
  return rows[0].gateway_id;
}

const PAYMENT_STATUS = { 1: "PAYMENT_STATUS_PENDING", 2: "PAYMENT_STATUS_SUCCEEDED" };

const payment = (row) => ({
  id: row.id,
  accountId: row.account_id,
  orderId: row.order_id,
  status: PAYMENT_STATUS[row.status],
  amount: { amountMinor: row.amount_minor, currencyCode: row.currency },
  gateway: "sandbox",
  gatewayId: row.gateway_id ?? undefined,
  createTime: row.created_at,
  updateTime: row.updated_at,
});

const PAYMENT = "id, account_id, order_id, currency, amount_minor, status, gateway_id, created_at, updated_at";
const PENDING = 1;
const SUCCEEDED = 2;

// The key is claimed before the gateway is called, and the outcome is stored after it. If the process dies in between, the
// payment stays pending: nobody asks the gateway what became of it.
app.post("/api/v1/payments/charge", authenticate, async (request, response) => {
  const { orderId, paymentMethod } = request.body;
  const key = request.get("idempotency-key");
  const isGood = typeof key === "string" && typeof orderId === "string" && typeof paymentMethod === "string";
  if (!isGood) return response.status(400).json({ error: { code: "VALIDATION_FAILED" } });
  const known = `SELECT ${PAYMENT} FROM peer.payments WHERE idempotency_key = $1`;
  const { rows: earlier } = await pool.query({ name: "charge-known", text: known, values: [key] });
  if (earlier.length > 0) {
    if (earlier[0].order_id !== orderId) {
      return response.status(422).json({ error: { code: "IDEMPOTENCY_KEY_REUSED" } });
    }
    return response.status(201).set("idempotent-replayed", "true").json({ data: payment(earlier[0]) });
  }
  const insert = `INSERT INTO peer.payments (idempotency_key, ${PAYMENT})
     SELECT $1, $2, account_id, id, currency, total_minor, ${PENDING}, NULL, now(), now()
     FROM peer.orders WHERE id = $3 AND status = 1
     ON CONFLICT DO NOTHING RETURNING ${PAYMENT}`;
  const { rows: claimed } = await pool.query({ name: "charge", text: insert, values: [key, randomUUID(), orderId] });
  if (claimed.length === 0) return response.status(409).json({ error: { code: "CONFLICT" } });
  const gatewayId = await chargeAtSandbox(key, claimed[0]);
  const update = `WITH paid AS (UPDATE peer.orders SET status = 3 WHERE id = $3)
     UPDATE peer.payments SET status = ${SUCCEEDED}, gateway_id = $2, updated_at = now() WHERE id = $1
     RETURNING ${PAYMENT}`;
  const values = [claimed[0].id, gatewayId, orderId];
  const { rows } = await pool.query({ name: "charged", text: update, values });
  response.status(201).json({ data: payment(rows[0]) });
});

const post = (row) => ({
  id: row.id,
  authorId: row.author_id,
  slug: row.slug,
  title: row.title,
  summary: row.summary,
  body: row.body,
  tags: row.tags,
  publishTime: row.published_at,
});

// Returns the cached text of a response, or makes and caches it.
async function cached(key, seconds, make) {
  const known = await redis.get(key);
  if (known !== null) return known;
  const made = await make();
  if (made !== undefined) await redis.set(key, made, "EX", seconds);
  return made;
}

app.get("/api/v1/posts/:id", async (request, response) => {
  const { id } = request.params;
  const text = await cached(`peer:post:${id}`, POST_SECONDS, async () => {
    const { rows } = await pool.query("SELECT * FROM posts WHERE id = $1 AND status = 3", [id]);
    return rows.length === 0 ? undefined : JSON.stringify({ data: post(rows[0]) });
  });
  if (text === undefined) return response.status(404).json({ error: { code: "NOT_FOUND" } });
  response.type("json").send(text);
});

app.get("/api/v1/posts", async (_, response) => {
  const text = await cached("peer:posts", LIST_SECONDS, async () => {
    const { rows } = await pool.query(
      "SELECT * FROM posts WHERE status = 3 ORDER BY published_at DESC, id DESC LIMIT 20",
    );
    return JSON.stringify({ data: rows.map((row) => ({ ...post(row), body: undefined })) });
  });
  response.type("json").send(text);
});

app.listen(Number(PORT), "127.0.0.1");
