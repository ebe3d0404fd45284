// The browser, and pages that notice what their user would not see: errors in the log, refused content, overflow.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { chromium } from "playwright-core";

const { CHROMIUM, MAINSTAY_URL, MAINSTAY_EMAIL, MAINSTAY_PASSWORD } = process.env;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WAIT_MS = Number(process.env.WAIT_MS ?? 20_000);

export const WIDE = { width: 1280, height: 820 };
export const NARROW = { width: 390, height: 844 };

export function browse() {
  return chromium.launch({
    executablePath: CHROMIUM ?? execFileSync("which", ["chromium"], { encoding: "utf8" }).trim(),
    args: ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"],
  });
}

/** Opens a page that collects what goes wrong; `refused` lists the statuses that the step expects. */
export async function open(browser, { locale = "en-GB", refused = [], origin = MAINSTAY_URL } = {}) {
  const context = await browser.newContext({ viewport: WIDE, colorScheme: "light", locale, timezoneId: "Europe/Berlin", reducedMotion: "reduce" });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  page.origin = origin;
  const wrong = [];
  // The first refresh of a visitor without a session is refused.
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

/** Checks a page as a screen reader and a narrow screen would have it. */
export async function sound(page, name) {
  // Not a script element: the policy of the page would refuse it.
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const lines = violations.flatMap(({ id, help, nodes }) => nodes.slice(0, 3).map((node) => `${id}: ${help}\n    ${node.html.slice(0, 200)}\n    ${node.failureSummary?.split("\n")[1] ?? ""}`));
  if (lines.length > 0) throw new Error(`axe finds on ${name}:\n  ${lines.join("\n  ")}`);
  const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  if (content > screen) throw new Error(`${name} is ${content} pixels wide on a screen of ${screen}`);
}

/** Returns the texts on a page that stand out too little from what is behind them (WCAG 2.2, 1.4.3). */
export async function unreadable(page) {
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(AXE);
  const rules = { runOnly: ["color-contrast"], resultTypes: ["violations"] };
  const { violations } = await page.evaluate((rules) => globalThis.axe.run(document, rules), rules);
  return violations.flatMap(({ nodes }) => nodes.map((node) => `${node.html.slice(0, 200)}: ${node.failureSummary?.split("\n")[1] ?? ""}`));
}
