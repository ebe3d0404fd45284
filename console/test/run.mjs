// Uses the console in a real browser against a real server: every page in both themes and both widths, without a
// violation that axe finds, and the main actions. Arguments select steps by a part of their names.

import { fill } from "./fixture.mjs";
import { actions } from "./actions.mjs";
import { failures } from "./failures.mjs";
import { browse, open, signIn } from "./browser.mjs";
import { looks } from "./pages.mjs";

const made = await fill();
const steps = [...looks(made), ...actions(made), ...failures(made)];
const wanted = process.argv.slice(2);
const browser = await browse();
const faults = [];
try {
  for (const { name, run, options } of steps.filter(({ name }) => wanted.every((word) => name.includes(word)))) {
    const page = await open(browser, options);
    try {
      if (options?.signedIn !== false) await signIn(page);
      await run(page);
      page.check();
      console.log(`ok      ${name}`);
    } catch (error) {
      faults.push(name);
      console.log(`FAILED  ${name}\n${String(error?.stack ?? error).slice(0, 3000)}`);
      if (process.env.ARTEFACTS) await page.screenshot({ path: `${process.env.ARTEFACTS}/failed-${faults.length}.png` });
    } finally {
      await page.context().close();
    }
  }
} finally {
  await browser.close();
}
if (faults.length > 0) {
  console.error(`${faults.length} steps failed`);
  process.exitCode = 1;
}
