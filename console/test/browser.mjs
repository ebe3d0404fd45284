// The browser, and pages that detect faults which users would not see: errors in the log, blocked content, overflow.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { gunzipSync } from "node:zlib";

import { chromium } from "playwright-core";

import { becomes, WAIT_MS } from "./wait.mjs";

const { CHROMIUM, MAINSTAY_URL, MAINSTAY_EMAIL, MAINSTAY_PASSWORD } = process.env;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** The maximum loading time of a page in milliseconds: the API reference runs a large script first. */
export const LOAD_MS = 60_000;
/** The time in milliseconds after which a visual fault counts, because the page is no longer being drawn. */
const DRAWN_MS = 20_000;

export const WIDE = { width: 1280, height: 820 };
export const NARROW = { width: 390, height: 844 };

export function browse() {
  return chromium.launch({
    executablePath: CHROMIUM ?? execFileSync("which", ["chromium"], { encoding: "utf8" }).trim(),
    args: ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"],
  });
}

/** Opens a page that collects faults; `refused` lists the error statuses that the step expects. */
export async function open(browser, { locale = "en-GB", refused = [], origin = MAINSTAY_URL } = {}) {
  const context = await browser.newContext({ viewport: WIDE, colorScheme: "light", locale, timezoneId: "Europe/Berlin", reducedMotion: "reduce" });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  page.setDefaultNavigationTimeout(LOAD_MS);
  page.origin = origin;
  const wrong = [];
  // The first refresh of a visitor without a session is rejected.
  const expected = [401, ...refused].map((status) => `status of ${status} `);
  page.on("console", (message) => {
    const text = message.text();
    if (message.type() === "error" && !expected.some((part) => text.includes(part)) && !page.mayLose) wrong.push(text);
  });
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.check = () => {
    if (wrong.length > 0) throw new Error(`the page logged:\n${wrong.join("\n")}`);
  };
  return page;
}

/** Opens a page of another person in a browser of their own, with the same server. */
export async function guest(page) {
  const context = await page.context().browser().newContext({ viewport: WIDE, locale: "en-GB", reducedMotion: "reduce" });
  const other = await context.newPage();
  other.setDefaultTimeout(WAIT_MS);
  other.setDefaultNavigationTimeout(LOAD_MS);
  other.origin = page.origin;
  return other;
}

/** Compares values that can't change any more; use `becomes` to wait for values that may still change. */
export function same(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what}: ${actual} and not ${expected}`);
}

export async function go(page, path) {
  await page.goto(`${page.origin}/console${path}`);
}

export async function signIn(page, email = MAINSTAY_EMAIL, password = MAINSTAY_PASSWORD, path = "/") {
  await go(page, path);
  await page.fill("[name=email]", email);
  await page.fill("[name=password]", password);
  await page.click("button[type=submit]");
  await page.waitForSelector(".shell h1");
}

/** Asks for an export of data by a button, and downloads it; returns the text of the archive. */
export async function downloaded(page, name) {
  await page.getByRole("button", { name }).click();
  const button = page.getByRole("button", { name: "Download", exact: true });
  await button.waitFor();
  const download = page.waitForEvent("download");
  await button.click();
  return gunzipSync(readFileSync(await (await download).path())).toString("latin1");
}

/** Answers the requests for a list with two pages of one item each. */
export function twoPages(first, second) {
  return (route) => {
    const isSecond = new URL(route.request().url()).searchParams.get("pageToken") === "second";
    return route.fulfill({ json: isSecond ? { data: [second], meta: {} } : { data: [first], meta: { nextPageToken: "second" } } });
  };
}

/** Waits until nothing on the page is loading. */
export async function settled(page) {
  await page.waitForSelector(".shell h1");
  await page.waitForFunction(() => !document.querySelector("[aria-busy=true], .skeleton"));
}

/** Waits until the rows of a long list are drawn where the page is scrolled to. */
export async function drawn(page) {
  await page.waitForFunction(() => {
    const rows = [...document.querySelectorAll("tr[data-index]")];
    if (rows.length === 0 || document.querySelector("[aria-busy=true], .skeleton")) return false;
    const [first, last] = [rows[0], rows.at(-1)];
    const count = Number(first.closest("[aria-rowcount]").getAttribute("aria-rowcount")) - 1;
    const begins = Number(first.dataset.index) === 0 || first.getBoundingClientRect().top <= 0;
    const ends = Number(last.dataset.index) === count - 1 || last.getBoundingClientRect().bottom >= innerHeight;
    return begins && ends;
  }, undefined, { timeout: LOAD_MS });
}

/** Scrolls a long list, like a wheel does. */
export async function scrollBy(page, pixels) {
  await page.evaluate((pixels) => scrollBy(0, pixels), pixels);
  await drawn(page);
}

/** Checks a page for screen readers and narrow screens. */
export async function sound(page, name) {
  await becomes(() => violations(page, {}), "", `what axe finds on ${name}`, { within: DRAWN_MS });
  await fits(page, name);
}

/** Checks the contrast of a page's texts (WCAG 2.2, 1.4.3), once its colors have settled. */
export async function readable(page, name) {
  await becomes(() => violations(page, { runOnly: ["color-contrast"] }), "", `too little contrast on ${name}`, { within: 2 * DRAWN_MS });
}

/** Checks that a page is not wider than the screen. */
export async function fits(page, name) {
  await becomes(() => page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - innerWidth)), 0, `pixels by which ${name} is wider than the screen`, { within: DRAWN_MS });
}

/** Returns the violations that axe finds, a line for each of the first elements of a rule. */
async function violations(page, rules) {
  // Not a script element, because the page's policy would block it.
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(AXE);
  const found = await page.evaluate((rules) => globalThis.axe.run(document, { ...rules, resultTypes: ["violations"] }), rules);
  const lines = found.violations.flatMap(({ id, help, nodes }) => nodes.slice(0, 3).map((node) => `${id}: ${help}\n    ${node.html.slice(0, 200)}\n    ${node.failureSummary?.split("\n")[1] ?? ""}`));
  return lines.join("\n  ");
}
