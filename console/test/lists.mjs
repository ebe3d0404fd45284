// Steps in a list of very many tickets, on a dedicated server.

import { drawn, go, NARROW, same, scrollBy, sound, WIDE } from "./browser.mjs";
import { becomes } from "./wait.mjs";

const TICKETS = 20_000;
/** The maximum time for moving through many rows on a slow machine, in milliseconds. */
const LONG_MS = 120_000;

const row = (page, number) => page.getByRole("link", { name: new RegExp(`^No ${number}( |$)`) });
const current = (page, number) => page.locator("tr[aria-current=true]").getByText(new RegExp(`^No ${number}( |$)`));
/** Returns the number of the focused row. */
const focused = (page) => page.evaluate(() => Number(/^No (\d+)/.exec(document.activeElement?.textContent ?? "")?.[1] ?? 0));
const focusOn = (page, number) => page.waitForFunction((number) => new RegExp(`^No ${number}( |$)`).test(document.activeElement?.textContent ?? ""), number);
/** The surrounding rows are measured after it is focused, so it may still move. */
const inSight = (page, number) => becomes(async () => (await row(page, number).boundingBox())?.y, (y) => y > 0 && y < WIDE.height, `where row ${number} stands, which is to be in sight`);
const queue = (page) => new URL(page.url()).searchParams.get("queue");

const RETURN = {
  name: "the selection and the place in a long list survive a look at a ticket",
  // The page of a ticket may read its comments while the request that deletes the ticket is under way.
  options: { ownServer: true, refused: [404] },
  run: async (page, server) => {
    server.fillQueue("Return", "No", TICKETS);
    const list = "/tickets?queue=Return";
    await go(page, list);
    await page.getByText("10,000+ total").waitFor();
    await page.getByRole("checkbox", { name: "Select No 2", exact: true }).check();
    await page.getByRole("checkbox", { name: "Select No 4", exact: true }).check();
    await page.getByText("2 selected").waitFor();
    // Step by step, so that rows of both heights are measured above it.
    await drawn(page);
    await becomes(async () => {
      if (await row(page, 400).isVisible()) return true;
      await scrollBy(page, 600);
      return false;
    }, true, "whether row 400 is reached", { within: LONG_MS });
    for (const back of [() => page.goBack(), () => page.locator(".above").getByRole("link", { name: "Tickets" }).click()]) {
      await row(page, 400).click();
      await page.getByRole("heading", { name: "No 400" }).waitFor();
      await back();
      await page.getByText("2 selected").waitFor();
      await becomes(() => queue(page), "Return", "the filter");
      await focusOn(page, 400);
      await current(page, 400).waitFor();
      await inSight(page, 400);
    }
    await sound(page, "a list with a selection");
    for (const scheme of ["dark", "light"]) {
      await page.emulateMedia({ colorScheme: scheme });
      await page.setViewportSize(NARROW);
      await page.getByRole("button", { name: "Clear selection" }).click({ trial: true });
      await sound(page, `a list with a selection, narrow and ${scheme}`);
      const unused = () => page.locator("tr[data-index]").first().evaluate((row) => row.getBoundingClientRect().right - row.querySelector(".row-link").closest("td").getBoundingClientRect().right);
      await becomes(unused, (pixels) => pixels < 2, "pixels of the table's width that the subjects leave unused");
      if (process.env.ARTEFACTS) await page.screenshot({ path: `${process.env.ARTEFACTS}/selection-${scheme}.png` });
      await page.setViewportSize(WIDE);
    }
    await row(page, 400).focus();
    // The shortcuts continue from there, and a distant selection is the one that is changed.
    await page.keyboard.press("j");
    await focusOn(page, 401);
    await page.keyboard.press("x");
    await page.getByText("3 selected").waitFor();
    await page.getByRole("group", { name: "Selected tickets" }).getByLabel("Priority").selectOption("Urgent");
    await page.getByText("Tickets changed: 3").waitFor();
    same(server.sql("SELECT string_agg(subject, ',' ORDER BY created_at DESC) FROM tickets WHERE queue = 'Return' AND version > 1"), "No 2,No 4,No 401", "the changed tickets");
    // A deleted ticket is no longer selected; a selection is cleared at once.
    await page.keyboard.press("x");
    await page.getByText("1 selected").waitFor();
    await row(page, 401).click();
    // The list has a button of this name, too.
    await page.getByRole("heading", { name: "No 401" }).waitFor();
    await page.getByRole("button", { name: "Delete" }).click();
    await page.getByRole("dialog").getByRole("textbox").fill("No 401");
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByRole("button", { name: "New ticket" }).waitFor();
    await becomes(() => queue(page), "Return", "the filter");
    // The agent continues with the ticket at its place.
    await focusOn(page, 402);
    await inSight(page, 402);
    await becomes(() => page.getByText("1 selected").count(), 0, "selections of what is gone");
    await page.keyboard.press("j");
    await focusOn(page, 403);
    await page.keyboard.press("x");
    await page.getByText("1 selected").waitFor();
    await page.getByRole("button", { name: "Clear selection" }).click();
    await page.getByText("1 selected").waitFor({ state: "detached" });
    await inSight(page, 403);
    await becomes(() => page.getByRole("checkbox", { name: "Select No 403" }).isChecked(), false, "whether it is selected");
  },
};

const ENDS = {
  name: "Home and End go to the first and the last row of a long list",
  options: { ownServer: true },
  run: async (page, server) => {
    server.fillQueue("Ends", "No", TICKETS);
    await go(page, "/tickets?queue=Ends");
    await row(page, 1).waitFor();
    await drawn(page);
    await page.keyboard.press("End");
    await focusOn(page, 10_100);
    await inSight(page, 10_100);
    await page.keyboard.press("k");
    await focusOn(page, 10_099);
    await page.keyboard.press("o");
    await page.getByRole("heading", { name: "No 10099" }).waitFor();
    await page.goBack();
    await focusOn(page, 10_099);
    await inSight(page, 10_099);
    // Beyond the numbered pages.
    await page.keyboard.press("End");
    await becomes(() => focused(page), (number) => number > 10_100, "the row with the focus");
    await page.keyboard.press("Home");
    await focusOn(page, 1);
    await inSight(page, 1);
    // In a field, the keys belong to the field.
    await page.getByLabel("Search").fill("of");
    await page.keyboard.press("End");
    await page.waitForURL((url) => url.searchParams.get("query") === "of");
    await drawn(page);
    same(await page.getByLabel("Search").evaluate((field) => field === document.activeElement), true, "whether the field keeps the focus");
  },
};

export const LISTS = [RETURN, ENDS];
