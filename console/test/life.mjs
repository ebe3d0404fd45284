// Staff in the name of a person, the export and the deletion of the own data, and the secrets of keys and tokens. All steps use a
// separate server, whose mail is read from its outbox.

import { as, navigation, PASSWORD, register, row } from "./accounts.mjs";
import { downloaded, go, same, settled, signIn, sound } from "./browser.mjs";
import { becomes } from "./wait.mjs";

/** Returns the status of a read with a secret. */
const status = async (server, secret) => (await fetch(`${server.origin}/api/v1/tickets?pageSize=1`, { headers: { authorization: `Bearer ${secret}` } })).status;

const ACTING = {
  name: "staff acts in the name of a person: a red banner is on each page, a change is refused, and the end leads back",
  options: { ownServer: true, refused: [403] },
  run: async (page, server) => {
    const email = await register(server, "Ada Lovelace", "Difference Engines");
    const subject = `The crank is stiff ${crypto.randomUUID()}`;
    await (await as(server, email))("POST", "tickets", { subject, body: "Since this morning." });
    const [{ id }] = (await server.api("GET", `users?email=${encodeURIComponent(email)}`)).data;
    await go(page, `/people/${id}`);
    await page.getByRole("button", { name: "Act as this person" }).click();
    const dialog = page.getByRole("dialog");
    const start = dialog.getByRole("button", { name: "Start" });
    same(await start.isDisabled(), true, "whether a reason is required");
    await dialog.getByLabel("Reason").fill("Ticket 4711: the list is empty");
    await sound(page, "the form of an impersonation");
    await start.click();

    const banner = page.locator(".impersonation");
    await banner.getByText("Ada Lovelace").waitFor();
    await page.getByRole("heading", { name: "Hello, Ada Lovelace" }).waitFor();
    const [red, green, blue] = (await banner.evaluate((element) => getComputedStyle(element).backgroundColor)).match(/\d+/g).map(Number);
    same(red > 2 * Math.max(green, blue), true, "whether the banner is red");
    await settled(page);
    // A reload would end the impersonation, so the pages are opened by their links. None is behind the banner.
    const links = navigation(page).getByRole("link");
    const count = await links.count();
    same(count > 8, true, `whether ${count} pages are many`);
    for (let index = 0; index < count; index++) {
      await links.nth(index).click();
      await settled(page);
      same(await banner.isVisible(), true, `whether ${page.url()} has the banner`);
    }
    same(await navigation(page).getByRole("link", { name: "Impersonations" }).count(), 0, "links to a page of the staff");

    await navigation(page).getByRole("link", { name: "Tickets", exact: true }).click();
    await page.getByRole("link", { name: subject }).click();
    await page.getByRole("heading", { name: subject }).waitFor();
    await sound(page, "a ticket, seen in the name of its author");
    await page.getByLabel("New comment").fill("Not by Ada");
    await page.getByRole("button", { name: "Comment", exact: true }).click();
    await page.locator("main").getByRole("alert").waitFor();

    // The page is that of the staff before the server has ended the impersonation.
    const ended = page.waitForResponse((response) => /\/impersonations\/[^/]+\/end$/.test(response.url()));
    await banner.getByRole("button", { name: "End" }).click();
    await banner.waitFor({ state: "detached" });
    await page.getByRole("heading", { name: "Hello, Demo" }).waitFor();
    same((await ended).status(), 200, "the status of the end");
    await navigation(page).getByRole("link", { name: "Impersonations" }).click();
    await page.getByText("No member of the staff acts in the name of a user now.").waitFor();
  },
};

const OWN_DATA = {
  name: "a person downloads the own data, asks for the deletion of it, and undoes that",
  options: { signedIn: false, ownServer: true, refused: [422] },
  run: async (page, server) => {
    const email = await register(server, "Mary Somerville", "Molecular Science");
    await register(server, "Jane Marcet", "Conversations");
    await signIn(page, email, PASSWORD);
    await go(page, "/profile");
    const archive = await downloaded(page, "Download my data");
    for (const [text, isIn] of [["users.ndjson", true], [email, true], ["Jane Marcet", false], [PASSWORD, false]]) same(archive.includes(text), isIn, `${text} in the archive`);

    const dialog = page.getByRole("dialog");
    const ask = page.getByRole("button", { name: "Delete my account" });
    await ask.click();
    await dialog.getByLabel("Your password").fill("not this one");
    await sound(page, "the form of a person's deletion");
    await dialog.getByRole("button", { name: "Delete", exact: true }).click();
    await dialog.getByRole("alert").getByText("The current password is wrong.").waitFor();
    await dialog.getByLabel("Your password").fill(PASSWORD);
    await dialog.getByRole("button", { name: "Delete", exact: true }).click();
    // All sessions have ended; during the period of grace, another one may begin.
    await page.waitForSelector(".sign-in");
    await signIn(page, email, PASSWORD, "/profile");
    await page.getByText("All data will be deleted:").waitFor();
    same(await ask.count(), 0, "buttons that ask for the deletion again");
    await sound(page, "the profile of a person who is to be deleted");
    await page.getByRole("button", { name: "Cancel the deletion" }).click();
    await page.getByText("All data will be deleted:").waitFor({ state: "detached" });
    await ask.waitFor();
    same((await (await as(server, email))("GET", "deletions?state=DELETION_STATE_SCHEDULED")).data.length, 0, "deletions that are scheduled");
  },
};

const TOKEN = {
  name: "a person makes a personal access token, sees its secret once and its last use, and revokes it",
  options: { signedIn: false, ownServer: true },
  run: async (page, server) => {
    const email = await register(server, "Ada Lovelace", "Difference Engines");
    await signIn(page, email, PASSWORD);
    await go(page, "/service-keys");
    const dialog = page.getByRole("dialog");
    await page.getByRole("button", { name: "Create service key" }).click();
    await dialog.getByRole("textbox", { name: "Name" }).fill("Laptop of Ada");
    await dialog.getByLabel("Kind").selectOption({ label: "Person" });
    same(await dialog.getByLabel("identity.staff_roles.manage").count(), 0, "scopes that the person does not hold");
    await dialog.getByLabel("support.tickets.read").check();
    await sound(page, "the form of a personal access token");
    await dialog.getByRole("button", { name: "Create service key" }).click();
    const secret = await dialog.locator(".secret").textContent();
    await sound(page, "the secret of a personal access token");
    await dialog.getByRole("button", { name: "Saved" }).click();
    await dialog.waitFor({ state: "hidden" });
    const token = row(page, "Laptop of Ada");
    for (const text of ["Person", "never", "Valid"]) await token.getByText(text, { exact: true }).waitFor();
    same((await page.content()).includes(secret), false, "whether the secret is on the page");

    same(await status(server, secret), 200, "the status of a read with the token");
    await becomes(async () => {
      await page.reload();
      await settled(page);
      await token.waitFor();
      return token.getByText("never", { exact: true }).count();
    }, 0, "cells that say that the token was never used");
    await token.getByRole("button", { name: "Revoke" }).click();
    await dialog.getByRole("button", { name: "Revoke" }).click();
    await token.getByText("Revoked").waitFor();
    same(await token.getByRole("button").count(), 0, "buttons of a revoked token");
    await becomes(() => status(server, secret), 401, "the status of a read with the revoked token");
  },
};

const ROTATION = {
  name: "an admin rotates the secret of a service key, with and without an overlap",
  options: { ownServer: true },
  run: async (page, server) => {
    const name = `Export ${crypto.randomUUID().slice(0, 8)}`;
    const { secret: first } = await server.api("POST", "service-keys", { name, scopes: ["support.tickets.read"] });
    await go(page, "/service-keys");
    const dialog = page.getByRole("dialog");
    const rotate = async (overlap) => {
      await row(page, name).getByRole("button", { name: "Rotate secret" }).click();
      if (overlap !== undefined) await dialog.getByLabel("Overlap seconds").fill(overlap);
      await dialog.getByRole("button", { name: "Rotate secret" }).click();
      const secret = await dialog.locator(".secret").textContent();
      await dialog.getByRole("button", { name: "Saved" }).click();
      await dialog.waitFor({ state: "hidden" });
      return secret;
    };
    const second = await rotate();
    for (const secret of [first, second]) same(await status(server, secret), 200, "the status of a read during the overlap");
    const third = await rotate("0");
    for (const secret of [first, second]) await becomes(() => status(server, secret), 401, "the status of a read with an earlier secret");
    same(await status(server, third), 200, "the status of a read with the last secret");
  },
};

export const LIFE = [ACTING, OWN_DATA, TOKEN, ROTATION];
