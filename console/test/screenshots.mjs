// Takes the pictures of the README: docs/console-home.webp and docs/console-ticket.webp.

import { writeFileSync } from "node:fs";

import { browse, go, open, settled, signIn } from "./browser.mjs";
import { fill, send } from "./fixture.mjs";

const SIZE = { width: 1280, height: 760 };
const SUBJECTS = [
  "Label printer prints blank pages", "Order arrived without the cable", "VPN drops every hour", "Invoice shows the old address",
  "Access for a new colleague", "Dashboard is slow on Mondays", "Monitor flickers after the update", "Wrong quantity in order 2041",
];
const PRIORITIES = ["LOW", "MEDIUM", "MEDIUM", "HIGH", "MEDIUM", "URGENT", "LOW", "HIGH"];

const { token, me, tickets } = await fill();
const drafts = Array.from({ length: 64 }, (_, index) => ({
  accountId: me.accountId, subject: SUBJECTS[index % 8], body: "As described on the phone.", priority: `TICKET_PRIORITY_${PRIORITIES[(index * 5) % 8]}`,
}));
const { data: made } = await send("POST", "tickets/batch", { tickets: drafts }, token);
for (const { id } of made.filter((_, index) => index % 3 === 0)) await send("POST", `tickets/${id}/assign`, { assigneeId: me.id }, token);

const browser = await browse();
for (const [name, path, theme] of [["home", "/", "light"], ["ticket", `/tickets/${tickets[0].id}`, "dark"]]) {
  const page = await open(browser);
  await page.setViewportSize(SIZE);
  await page.emulateMedia({ colorScheme: theme });
  await signIn(page);
  await go(page, path);
  await settled(page);
  // The chart is loaded separately.
  if (name === "home") await page.locator(".chart-room svg").first().waitFor();
  await page.evaluate(() => document.fonts.ready);
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: 80 });
  writeFileSync(new URL(`../../docs/console-${name}.webp`, import.meta.url), Buffer.from(data, "base64"));
}
await browser.close();
