// The life of a person: the own profile, and what admins do to others. The people are added to a separate server, whose
// mail is read from its outbox.

import { createHmac } from "node:crypto";

import { PASSWORD, register } from "./accounts.mjs";
import { go, same, settled, signIn, sound } from "./browser.mjs";
import { signIn as signInByApi } from "./fixture.mjs";
import { becomes } from "./wait.mjs";

const NEXT_PASSWORD = "a password for the next year";

/** Adds an agent with the password of the server's admin. */
function addPerson(server, name) {
  const email = `${name.toLowerCase()}@example.com`;
  const id = server.sql(`
    INSERT INTO users (id, email, name, role, password_hash, created_at, updated_at)
    SELECT gen_random_uuid(), '${email}', '${name}', 2, password_hash, now(), now() FROM users WHERE email = '${server.email}'
    RETURNING id;`);
  return { id, email };
}

/** The code that an authenticator app shows (RFC 6238), `steps` of 30 s from now. */
function totp(secret, steps) {
  const bits = [...secret].map((letter) => (letter < "A" ? Number(letter) + 24 : letter.charCodeAt(0) - 65).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
  const hash = createHmac("sha1", key).update(counter).digest();
  const number = hash.readUInt32BE(hash.at(-1) & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, "0");
}

const SECOND_FACTOR = {
  name: "a person adds a second factor, signs in with it, and confirms an action",
  options: { signedIn: false, ownServer: true, refused: [422] },
  run: async (page, server) => {
    const { email } = addPerson(server, "Evelyn");
    await signIn(page, email, server.password);
    await go(page, "/security");
    await page.getByRole("button", { name: "Add an authenticator app" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("img", { name: "QR code of the secret" }).waitFor();
    const secret = await dialog.locator(".secret").textContent();
    await sound(page, "the form of an authenticator app");
    await dialog.getByLabel("Code that the app shows").fill("000000");
    await dialog.getByRole("button", { name: "Add" }).click();
    await dialog.getByRole("alert").waitFor();
    await dialog.getByLabel("Code that the app shows").fill(totp(secret, 0));
    await dialog.getByRole("button", { name: "Add" }).click();
    await dialog.getByRole("list", { name: "Recovery codes" }).waitFor();
    const codes = await dialog.getByRole("list", { name: "Recovery codes" }).getByRole("listitem").allTextContents();
    same(codes.length, 10, "recovery codes");
    await sound(page, "the recovery codes");
    await dialog.getByRole("button", { name: "Saved" }).click();
    await page.getByText("Recovery codes left: 10").waitFor();
    await sound(page, "the second factor");

    await page.click(".avatar");
    await dialog.getByRole("button", { name: "Sign out" }).click();
    await page.fill("[name=email]", email);
    await page.fill("[name=password]", server.password);
    await page.click("button[type=submit]");
    const code = page.getByLabel("Code of the authenticator app");
    same(await code.getAttribute("autocomplete"), "one-time-code", "autocomplete");
    same(await code.getAttribute("inputmode"), "numeric", "inputmode");
    await sound(page, "the second step of the sign-in");
    await code.fill("000000");
    await page.click("button[type=submit]");
    await page.getByRole("alert").getByText("The code is wrong").waitFor();
    await code.fill(totp(secret, 1));
    await page.click("button[type=submit]");
    await settled(page);

    // The server requires a recent sign-in; the call goes on after the dialog.
    await go(page, "/security");
    await page.route("**/api/v1/auth/recovery-codes", (route) => route.fulfill({ status: 401, json: { error: { code: "REAUTHENTICATION_REQUIRED", message: "The last sign-in is too long ago." } } }), { times: 1 });
    await page.getByRole("button", { name: "New recovery codes" }).click();
    await page.getByRole("button", { name: "Replace" }).click();
    const confirm = page.getByRole("dialog", { name: "Confirm that it is you" });
    await confirm.getByLabel("Password").fill(server.password);
    await confirm.getByRole("button", { name: "Use a recovery code" }).click();
    await confirm.getByLabel("Recovery code").fill(codes[0]);
    await sound(page, "the dialog of a repeated authentication");
    await confirm.getByRole("button", { name: "Confirm" }).click();
    await page.getByRole("list", { name: "Recovery codes" }).waitFor();
    const next = await page.getByRole("list", { name: "Recovery codes" }).getByRole("listitem").allTextContents();
    same(next.length, 10, "new recovery codes");
    await page.getByRole("button", { name: "Saved" }).click();
    await page.getByText("Recovery codes left: 10").waitFor();
    await page.getByRole("button", { name: "Remove" }).click();
    await dialog.getByRole("button", { name: "Remove" }).click();
    await page.getByRole("button", { name: "Add an authenticator app" }).waitFor();
  },
};

const REMEMBERED = {
  name: "a customer is not asked for the second factor again on a remembered device, until it is forgotten",
  options: { signedIn: false, ownServer: true },
  run: async (page, server) => {
    const email = await register(server, "Ada Lovelace", "Difference Engines");
    await signIn(page, email, PASSWORD, "/security");
    await page.getByRole("button", { name: "Add an authenticator app" }).click();
    const dialog = page.getByRole("dialog");
    const secret = await dialog.locator(".secret").textContent();
    await dialog.getByLabel("Code that the app shows").fill(totp(secret, 0));
    await dialog.getByRole("button", { name: "Add" }).click();
    await dialog.getByRole("button", { name: "Saved" }).click();
    await page.getByText("Recovery codes left: 10").waitFor();
    const known = page.getByText("A sign-in on these devices needs no second factor:");
    same(await known.count(), 0, "remembered devices before the first one");

    const signInAgain = async () => {
      await page.click(".avatar");
      await dialog.getByRole("button", { name: "Sign out" }).click();
      await page.fill("[name=email]", email);
      await page.fill("[name=password]", PASSWORD);
      await page.click("button[type=submit]");
    };
    const code = page.getByLabel("Code of the authenticator app");
    await signInAgain();
    await code.fill(totp(secret, 1));
    await page.getByLabel("Do not ask again on this device for 30 days").check();
    await sound(page, "the choice to remember the device");
    await page.click("button[type=submit]");
    await page.waitForSelector(".shell h1");
    await signInAgain();
    await page.waitForSelector(".shell h1");
    same(await code.count(), 0, "fields for a code on the remembered device");

    await go(page, "/security");
    await known.waitFor();
    await sound(page, "the remembered devices");
    await page.getByRole("button", { name: "Forget" }).click();
    await dialog.getByRole("button", { name: "Forget" }).click();
    await known.waitFor({ state: "detached" });
    await signInAgain();
    await code.waitFor();
  },
};

/** Adds an authenticator to a page, which verifies its user as long as `verifies` says so. */
async function addAuthenticator(page) {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("WebAuthn.enable");
  const options = { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true };
  const { authenticatorId } = await devtools.send("WebAuthn.addVirtualAuthenticator", { options });
  return { verifies: (isUserVerified) => devtools.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified }) };
}

const PASSKEY = {
  name: "a person adds a passkey, and signs in with it alone and after the password",
  options: { signedIn: false, ownServer: true, refused: [422] },
  run: async (page, server) => {
    // A passkey belongs to a domain and a port, which the server knows from its second start on.
    await server.kill();
    await server.restart();
    page.origin = server.origin.replace("127.0.0.1", "localhost");
    const authenticator = await addAuthenticator(page);
    const { email } = addPerson(server, "Hedy");
    await signIn(page, email, server.password);
    await go(page, "/security");
    await page.getByRole("button", { name: "Add a passkey" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name of the passkey").fill("Phone of Hedy");
    await sound(page, "the form of a passkey");
    await dialog.getByRole("button", { name: "Add" }).click();
    await dialog.getByRole("list", { name: "Recovery codes" }).waitFor();
    await dialog.getByRole("button", { name: "Saved" }).click();
    await page.getByRole("listitem").getByText("Phone of Hedy").waitFor();
    await page.getByText("Recovery codes left: 10").waitFor();
    await sound(page, "the passkeys");

    // As the second factor: the authenticator offers nothing before the password.
    await authenticator.verifies(false);
    await page.click(".avatar");
    await dialog.getByRole("button", { name: "Sign out" }).click();
    await page.fill("[name=email]", email);
    await page.fill("[name=password]", server.password);
    await page.click("button[type=submit]");
    await page.getByLabel("Code of the authenticator app").waitFor();
    await authenticator.verifies(true);
    const button = page.getByRole("button", { name: "Sign in with a passkey" });
    await button.waitFor();
    await sound(page, "the second step of the sign-in with a passkey");
    await button.click();
    await settled(page);

    // Alone, by the button, unless the browser was faster and took the passkey that the field of the address offers.
    await page.click(".avatar");
    const ended = page.waitForResponse((response) => response.request().method() === "DELETE" && response.url().endsWith("/session"));
    await dialog.getByRole("button", { name: "Sign out" }).click();
    await ended;
    await button.click({ timeout: 5_000 }).catch(() => undefined);
    await settled(page);
    await go(page, "/security");
    await page.getByRole("listitem").getByText("Phone of Hedy").waitFor();
    await page.getByRole("listitem").getByRole("button", { name: "Remove" }).click();
    await dialog.getByRole("button", { name: "Remove" }).click();
    await page.getByText("A sign-in needs your password only.").waitFor();
  },
};

export const PEOPLE = [
  SECOND_FACTOR,
  REMEMBERED,
  PASSKEY,
  {
    name: "a person changes name, language, password and address",
    options: { signedIn: false, ownServer: true, refused: [422] },
    run: async (page, server) => {
      const { email } = addPerson(server, "Augusta");
      await signIn(page, email, server.password);
      await page.click(".avatar");
      await page.getByRole("dialog", { name: "Account" }).getByRole("link", { name: "Profile" }).click();
      await page.getByRole("heading", { name: "Profile" }).waitFor();
      const dialog = page.getByRole("dialog");
      await page.getByRole("button", { name: "Edit" }).click();
      await dialog.getByRole("textbox", { name: "Name" }).fill("Ada Lovelace");
      await dialog.getByLabel("Language").fill("de");
      await dialog.getByRole("button", { name: "Edit" }).click();
      await page.getByRole("button", { name: "Account of Ada Lovelace" }).waitFor();

      await page.getByRole("button", { name: "Change password" }).click();
      await dialog.getByLabel("Current password").fill("not this one");
      await dialog.locator("[autocomplete=new-password]").fill(NEXT_PASSWORD);
      await sound(page, "the form of a password");
      await dialog.getByRole("button", { name: "Change password" }).click();
      await dialog.getByRole("alert").getByText("The current password is wrong.").waitFor();
      await dialog.getByLabel("Current password").fill(server.password);
      await dialog.getByRole("button", { name: "Change password" }).click();
      await page.getByText("Done: Change password").waitFor();
      same(await outcome(signInByApi(email, server.password, server.origin)), "out", "the password from before");
      // This session goes on.
      await page.reload();
      await settled(page);

      const address = "countess@example.com";
      await page.getByRole("button", { name: "Change address" }).click();
      await dialog.getByLabel("Current password").fill(NEXT_PASSWORD);
      await dialog.getByLabel("E-mail address").fill(address);
      await dialog.getByRole("button", { name: "Change address" }).click();
      await page.getByRole("status").getByText("Open the link in the mail").waitFor();
      const token = await server.token(address, "mec_");
      await page.goto(`${page.origin}/confirm-email?token=${token}`);
      await page.getByRole("button", { name: "Confirm" }).click();
      await page.getByText("Your account has this address now.").waitFor();
      await go(page, "/profile");
      await page.getByText(address).waitFor();
      const undo = await server.token(email, "meu_");
      await page.goto(`${page.origin}/undo-email-change?token=${undo}`);
      await page.getByRole("button", { name: "Undo the change" }).click();
      await page.getByText("Your account has this address back").waitFor();
      await go(page, "/profile");
      await page.waitForSelector(".sign-in");
      same(await outcome(signInByApi(email, NEXT_PASSWORD, server.origin)), "out", "the password before the reset");
    },
  },
  {
    name: "an admin ends a session of a person, and deactivates and reactivates the person",
    options: { ownServer: true },
    run: async (page, server) => {
      const { id, email } = addPerson(server, "Charles");
      const signInOnce = () => outcome(signInByApi(email, server.password, server.origin));
      await signInOnce();
      await signInOnce();
      await go(page, `/people/${id}`);
      const ends = page.getByRole("button", { name: "End", exact: true });
      await becomes(() => ends.count(), 2, "sessions");
      await ends.first().click();
      const dialog = page.getByRole("dialog");
      await dialog.getByRole("button", { name: "End", exact: true }).click();
      await dialog.waitFor({ state: "hidden" });
      await becomes(() => ends.count(), 1, "sessions that are left");

      await page.getByRole("button", { name: "Deactivate" }).click();
      await dialog.getByLabel("Reason").fill("Left the company");
      await sound(page, "the form of a deactivation");
      await dialog.getByRole("button", { name: "Deactivate" }).click();
      await page.locator("dl").getByText("Left the company").waitFor();
      await page.getByText("No session.").waitFor();
      await sound(page, "a deactivated person");
      same(await signInOnce(), "out", "a deactivated person");

      await go(page, "/people");
      await page.getByLabel("State").selectOption({ label: "Deactivated" });
      await page.getByRole("link", { name: "Charles" }).click();
      await page.getByRole("button", { name: "Reactivate" }).click();
      await dialog.getByRole("button", { name: "Reactivate" }).click();
      await page.getByRole("button", { name: "Deactivate" }).waitFor();
      same(await signInOnce(), "in", "a reactivated person");
    },
  },
];

const outcome = (attempt) => attempt.then(() => "in", () => "out");
