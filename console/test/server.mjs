// A server with a separate database, which steps may kill, restart, and fill by SQL.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { nameServer } from "./dns.mjs";
import { send, signIn } from "./fixture.mjs";
import { becomes } from "./wait.mjs";

/** Signs events of providers that follow Standard Webhooks. */
export const WEBHOOK_SECRET = "whsec_Y29uc29sZSBjb25zb2xlIGNvbnNvbGUgY29uc29sZQ==";
const START_MS = 180_000;

/** Starts the server, with the sample data on request. With the URL of an SMTP server, its mails have links to `localhost`. */
export async function start({ hasSampleData = false, smtp } = {}) {
  const dir = mkdtempSync(join(tmpdir(), "mainstay-console-"));
  // The private Postgres runs as another user if root starts it.
  chmodSync(dir, 0o711);
  const dns = await nameServer();
  const env = { ...process.env, MAINSTAY_DATA_DIR: join(dir, "data"), LISTEN_ADDR: "127.0.0.1:0", METRICS_LISTEN_ADDR: "127.0.0.1:0", WEBHOOK_SECRETS_STANDARD: WEBHOOK_SECRET, DNS_SERVERS: dns.address };
  if (smtp) {
    const port = await freePort();
    Object.assign(env, { LISTEN_ADDR: `127.0.0.1:${port}`, PUBLIC_URL: `http://localhost:${port}`, MAIL_TRANSPORT: "smtp", MAIL_FROM: "Mainstay <no-reply@shop.example>", SMTP_URL: smtp });
  }
  const options = hasSampleData ? [] : ["--empty"];
  let { child, banner } = await launch(env, options);
  const origin = new URL(banner.docs).origin;
  const { "e-mail": email, password } = banner;
  const token = await signIn(email, password, origin);
  return {
    origin,
    email,
    password,
    api: (method, path, body, headers) => send(method, path, body, token, headers, origin),
    /** Sets the text of the TXT record of a name, which the server looks up. */
    setRecord: dns.set,
    /** Suspends the process. */
    freeze: () => child.kill("SIGSTOP"),
    kill: async () => {
      child.kill("SIGKILL");
      await gone(child);
    },
    restart: async () => {
      ({ child } = await launch({ ...env, LISTEN_ADDR: new URL(origin).host }, options));
    },
    sql: (text) => sql(env.MAINSTAY_DATA_DIR, text),
    /** Returns the token with a prefix that was mailed to an address. */
    token: (address, prefix) => becomes(() => tokenOf(env.MAINSTAY_DATA_DIR, address, prefix), (token) => token !== undefined, `the token for ${address}`),
    fillQueue: (queue, subject, count) => sql(env.MAINSTAY_DATA_DIR, tickets(queue, subject, count, email)),
    stop: async () => {
      child.kill("SIGTERM");
      await gone(child);
      dns.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Returns a port that no other program has. */
async function freePort() {
  const socket = createServer().listen(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  await once(socket, "close");
  return port;
}

async function gone(child) {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

/** Starts the server, and returns its output once it accepts requests, by the first word of each line. */
async function launch(env, options) {
  const child = spawn(env.MAINSTAY_PROGRAM, ["serve", ...options], { env, stdio: ["ignore", "pipe", "ignore"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (more) => {
    text += more;
  });
  for (const end = Date.now() + START_MS; Date.now() < end && child.exitCode === null; await pause(50)) {
    const banner = Object.fromEntries([...text.matchAll(/^ *(\S+) {2,}(\S+)$/gm)].map(([, name, value]) => [name, value]));
    if (banner.docs && (await fetch(banner.docs).then((response) => response.ok, () => false))) return { child, banner };
  }
  child.kill("SIGKILL");
  throw new Error(`the server did not start:\n${text}`);
}

/** Returns SQL that inserts tickets in a separate queue, a minute apart; the subjects of some take two lines. */
function tickets(queue, subject, count, email) {
  return `
    INSERT INTO tickets (id, account_id, requester_id, subject, body, kind, status, priority, queue, language, version, created_at, updated_at)
    SELECT gen_random_uuid(), members.account_id, users.id, '${subject} ' || n || CASE WHEN n % 3 = 0 THEN ' has a subject that takes more than one line of the table' ELSE '' END,
           'One of many.', 1, 1, 1 + n % 4, '${queue}', 'en', 1, now() - n * interval '1 minute', now() - n * interval '1 minute'
    FROM generate_series(1, ${count}) AS n, users JOIN members ON members.user_id = users.id WHERE email = '${email}';
    ANALYZE tickets;`;
}

/** Returns the token with a prefix in the mail to an address, which the server has written to its outbox. */
function tokenOf(dataDir, address, prefix) {
  const outbox = join(dataDir, "outbox");
  const names = existsSync(outbox) ? readdirSync(outbox).filter((name) => name.endsWith(".eml")) : [];
  // Quoted-printable breaks lines with an equals sign.
  const mails = names.map((name) => readFileSync(join(outbox, name), "utf8").replace(/=\r?\n/g, ""));
  const mail = mails.find((text) => text.includes(`To: ${address}`) && text.includes(prefix));
  return mail?.match(new RegExp(`${prefix}[\\w-]+`))?.[0];
}

function sql(dataDir, text) {
  const read = (path) => readFileSync(join(dataDir, "postgres", path), "utf8");
  const port = read("cluster/postmaster.pid").split("\n")[3];
  const env = { ...process.env, PGHOST: "127.0.0.1", PGPORT: port, PGUSER: "mainstay", PGPASSWORD: read("password"), PGDATABASE: "mainstay" };
  // psql is installed next to the server's program, which may not be on the PATH.
  const installed = join(read("programs").trim(), "psql");
  return execFileSync(existsSync(installed) ? installed : "psql", ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"], { env, input: text, encoding: "utf8" }).trim();
}
