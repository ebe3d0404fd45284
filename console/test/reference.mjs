// The API reference at /docs: the additions to Scalar, which an update of it could break.

import { fits, LOAD_MS, NARROW, readable, WIDE } from "./browser.mjs";
import { becomes } from "./wait.mjs";

const { MAINSTAY_EMAIL, MAINSTAY_PASSWORD } = process.env;

async function reference(page) {
  await page.goto(`${page.origin}/docs`);
  // A megabyte of script comes first.
  await page.getByRole("heading", { name: "Responses" }).waitFor({ timeout: LOAD_MS });
}

/** Opens the request of an operation, such as "post /api/v1/auth/login", which its group lists by its summary. */
async function request(page, group, summary, operation) {
  const closed = page.getByRole("button", { name: `Open Group - ${group}`, exact: true });
  const opened = page.getByRole("button", { name: `Close Group - ${group}`, exact: true });
  // The page opens the group of its URL while it is drawn, which replaces the button.
  await becomes(async () => {
    if (await closed.isVisible()) await closed.click({ timeout: 1000 }).catch(() => undefined);
    return await opened.isVisible();
  }, true, `whether the group ${group} is open`);
  await page.getByRole("link", { name: summary }).first().click();
  await page.getByRole("button", { name: `(${operation})` }).click();
  return page.getByRole("dialog");
}

/** Sends what the dialog shows, and returns the status of the response. */
async function send(page, dialog) {
  const response = page.waitForResponse((response) => response.url().includes("/api/v1/"));
  await dialog.getByRole("button", { name: /^Send/ }).first().click();
  return (await response).status();
}

const SIGN_IN = {
  name: "the reference: signing in on it keeps the token for what is tried next, also after a reload",
  options: { signedIn: false },
  run: async (page) => {
    await reference(page);
    let dialog = await request(page, "Auth", "Log in", "post /api/v1/auth/login");
    const body = dialog.locator(".cm-content").last();
    await body.click();
    await page.keyboard.press("ControlOrMeta+A");
    await page.keyboard.insertText(JSON.stringify({ email: MAINSTAY_EMAIL, password: MAINSTAY_PASSWORD }));
    const status = await send(page, dialog);
    if (status !== 200) throw new Error(`the sign-in on the page is a ${status}`);
    await page.waitForFunction(() => sessionStorage.getItem("token"));
    for (const reload of [false, true]) {
      if (reload) await reference(page);
      else await page.keyboard.press("Escape");
      dialog = await request(page, "Users", "Get current user", "get /api/v1/me");
      const status = await send(page, dialog);
      if (status !== 200) throw new Error(`what is tried ${reload ? "after a reload" : "next"} is a ${status}`);
    }
  },
};

const SHOWS = {
  name: "the reference: samples in several languages, a search that knows fields, colours that can be read",
  options: { signedIn: false },
  run: async (page) => {
    await reference(page);
    for (const language of ["Shell", "Ruby", "Node.js", "PHP", "Python"]) {
      await page.getByText(language, { exact: true }).first().waitFor();
    }
    await page.getByRole("button", { name: "Open Group - Tickets" }).click();
    await page.getByRole("link", { name: "Create ticket" }).first().click();
    await page.getByText("Access:", { exact: false }).first().waitFor();
    if (await page.getByText(/\{\w+\}var>/).count()) throw new Error("a path shows the form of its template");
    await page.getByRole("button", { name: /Search/ }).first().click();
    await page.keyboard.insertText("ticketId");
    await page.getByRole("dialog").getByRole("option").first().waitFor();
    await page.keyboard.press("Escape");
    for (const [theme, size] of [["light", WIDE], ["dark", WIDE], ["light", NARROW]]) {
      await page.emulateMedia({ colorScheme: theme });
      await page.setViewportSize(size);
      await reference(page);
      await readable(page, `the reference, ${theme}`);
      await fits(page, "the reference");
    }
  },
};

export const REFERENCE = [SIGN_IN, SHOWS];
