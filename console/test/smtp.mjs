// A mail server on this machine, the SMTP server of the mail tests, whose mails steps read.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { becomes } from "./wait.mjs";

const PROGRAM = fileURLToPath(new URL("../../tests/processes/mail_server/server.py", import.meta.url));

/** Starts a mail server. */
export async function mailServer() {
  const dir = mkdtempSync(join(tmpdir(), "mainstay-mail-"));
  const child = spawn(process.env.MAIL_SERVER_PYTHON, ["-W", "ignore", PROGRAM, dir, "0"], { stdio: ["ignore", "pipe", "ignore"] });
  const [port] = await once(child.stdout.setEncoding("utf8"), "data");
  return {
    url: `smtp://mainstay:sesame@127.0.0.1:${port.trim()}?tls=none`,
    /** Returns the link with a path in the mail to an address. */
    link: (address, path) => becomes(() => linkOf(dir, address, path), (link) => link !== undefined, `the link ${path} in a mail to ${address}`),
    /** Waits for a mail to an address with a text. */
    wait: (address, text) => becomes(() => mailsTo(dir, address).some((mail) => mail.text.includes(text)), true, `whether a mail to ${address} says “${text}”`),
    stop: () => {
      child.kill();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function mailsTo(dir, address) {
  const names = readdirSync(dir).filter((name) => name.endsWith(".json"));
  return names.map((name) => JSON.parse(readFileSync(join(dir, name), "utf8"))).filter(({ to }) => to.includes(address));
}

function linkOf(dir, address, path) {
  const links = mailsTo(dir, address).map(({ text }) => text.match(new RegExp(`https?://\\S+${path}\\?token=[\\w-]+`))?.[0]);
  return links.find((link) => link !== undefined);
}
