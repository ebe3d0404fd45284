// Uses the console in a real browser against a real server: every page in both themes and both widths, without a
// violation that axe finds, and the main actions. Arguments select steps by a part of their names; `--shard=1/2` takes the
// first of every two.

import { setTimeout as pause } from "node:timers/promises";

import { fill } from "./fixture.mjs";
import { ACCOUNTS } from "./accounts.mjs";
import { actions } from "./actions.mjs";
import { CONTENTS } from "./contents.mjs";
import { failures } from "./failures.mjs";
import { browse, open, signIn } from "./browser.mjs";
import { JOURNEY } from "./journey.mjs";
import { LIFE } from "./life.mjs";
import { LISTS } from "./lists.mjs";
import { looks } from "./pages.mjs";
import { paging } from "./paging.mjs";
import { PEOPLE } from "./people.mjs";
import { REFERENCE } from "./reference.mjs";
import { resends } from "./resends.mjs";
import { RESTARTS } from "./restarts.mjs";
import { start } from "./server.mjs";

/**
 * The maximum time of a step in milliseconds, so that a step that waits in vain ends too; the longest step takes a
 * minute.
 */
const STEP_MS = 600_000;

async function within(milliseconds, work) {
  const timer = new AbortController();
  const late = pause(milliseconds, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`the step did not end within ${milliseconds / 1000} s`);
  });
  // A step that exceeds its time loses its page, which ends its waiting loops.
  await Promise.race([work, late]).finally(() => timer.abort());
}

const made = await fill();
const steps = [...looks(made), ...actions(made), ...failures(made), ...resends(made), ...paging(made), ...PEOPLE, ...ACCOUNTS, ...REFERENCE, ...RESTARTS, ...LISTS, ...CONTENTS, ...JOURNEY, ...LIFE];
const isShard = (argument) => argument.startsWith("--shard=");
const [shard, shards] = (process.argv.find(isShard)?.slice("--shard=".length) ?? "1/1").split("/").map(Number);
const wanted = process.argv.slice(2).filter((argument) => !isShard(argument));
const chosen = steps.filter(({ name }, index) => index % shards === shard - 1 && wanted.every((word) => name.includes(word)));
const browser = await browse();
const faults = [];
/** A server that a step may kill, and whose database it may write to; started for the first step that needs it. */
let server;
try {
  for (const { name, run, options } of chosen) {
    if (options?.ownServer) server ??= await start();
    const own = options?.ownServer ? server : undefined;
    const page = await open(browser, { ...options, ...(own && { origin: own.origin }) });
    try {
      if (options?.signedIn !== false) await signIn(page, own?.email, own?.password);
      await within(STEP_MS, run(page, own));
      page.check();
      console.log(`ok      ${name}`);
    } catch (error) {
      faults.push(name);
      console.log(`FAILED  ${name}\n${String(error?.stack ?? error).slice(0, 3000)}`);
      console.log((await page.locator("[role=alert]").allTextContents().catch(() => [])).join("\n"));
      if (process.env.ARTEFACTS) await page.screenshot({ path: `${process.env.ARTEFACTS}/failed-${faults.length}.png` });
    } finally {
      await page.context().close();
    }
  }
} finally {
  await browser.close();
  await server?.stop();
}
if (faults.length > 0) {
  console.error(`${faults.length} steps failed`);
  process.exitCode = 1;
}
