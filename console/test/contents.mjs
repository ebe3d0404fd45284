// What a new server shows: with sample data, every page has content; without it, every empty list says how to make the first item.

import { go, same, settled, signIn } from "./browser.mjs";
import { start } from "./server.mjs";
import { becomes } from "./wait.mjs";

/** The number of tickets that the sample data exceeds. */
const SAMPLE_TICKETS = 100;
const SAMPLE_PEOPLE = 19;
const SAMPLE_MS = 240_000;
/** Pages that the sample data leaves empty: no staff acts as another, no application signs in, and modules of a team are unknown. */
const EMPTY = ["/impersonations", "/s/OauthClientService", "/s/OauthConsentService", "/deprecated-methods", "/s/VehicleServiceV2", "/s/LeaseService"];
/** A list that is empty unless something is wrong, beside others on its page. */
const GOOD_NEWS = /^No dead events\./;
/** What a text of an empty list names: an action in quotation marks, a page, a setting, a command, or a call of the API. */
const HOW = /[“„"`]|\bbutton above\b|\bappears? here\b|\bPOST \/|\b[A-Z]+_[A-Z_]+\b/;

/** Returns the paths of all pages that the navigation names. */
async function places(page) {
  await settled(page);
  const hrefs = await page.locator("nav#navigation a[href^='/console']").evaluateAll((links) => links.map((link) => new URL(link.href).pathname.replace(/^\/console/, "") || "/"));
  if (hrefs.length < 15) throw new Error(`the navigation has ${hrefs.length} pages: ${hrefs}`);
  return [...new Set(hrefs)];
}

/** Returns the texts of the empty lists of a page. */
async function gaps(page, path) {
  await go(page, path);
  await settled(page);
  return page.locator("main .empty, main p.none").allTextContents();
}

const SAMPLE = {
  name: "every page of a server with sample data has content",
  options: { signedIn: false },
  run: async (page) => {
    const server = await start({ hasSampleData: true });
    try {
      page.origin = server.origin;
      await becomes(async () => Number((await server.api("GET", "tickets?pageSize=1")).meta.total), (total) => total > SAMPLE_TICKETS, "tickets", { within: SAMPLE_MS });
      // The last part of the sample data is a person.
      await becomes(async () => (await server.api("GET", "users?pageSize=100")).data.length, (count) => count > SAMPLE_PEOPLE, "people", { within: SAMPLE_MS });
      await signIn(page, server.email, server.password);
      const faults = [];
      for (const path of await places(page)) {
        if (EMPTY.includes(path)) continue;
        const texts = (await gaps(page, path)).filter((text) => !GOOD_NEWS.test(text));
        if (texts.length > 0) faults.push(`${path}: ${texts.join(" | ")}`);
      }
      same(faults.join("\n"), "", "empty lists beside the sample data");
    } finally {
      await server.stop();
    }
  },
};

const NOTHING = {
  name: "every empty list says how to make the first item",
  options: { signedIn: false },
  run: async (page) => {
    const server = await start();
    try {
      page.origin = server.origin;
      await signIn(page, server.email, server.password);
      const faults = [];
      let count = 0;
      for (const path of await places(page)) {
        for (const text of await gaps(page, path)) {
          count += 1;
          if (!HOW.test(text)) faults.push(`${path}: ${text}`);
        }
      }
      same(faults.join("\n"), "", "empty lists that do not say how");
      if (count < 10) throw new Error(`an empty server has ${count} empty lists`);
    } finally {
      await server.stop();
    }
  },
};

export const CONTENTS = [SAMPLE, NOTHING];
