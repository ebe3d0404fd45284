/** The console's texts in the reader's language. The English text is the key of its translation. */

import { createContext, useContext, useSyncExternalStore } from "react";

type German = typeof import("./de");

export type Text = keyof German["german"];
export type Language = "en" | "de";
export type Translate = (text: Text, values?: Record<string, string | number>) => string;

const KEY = "mainstay-language";
const listeners = new Set<() => void>();

function initial(): Language {
  const kept = localStorage.getItem(KEY) ?? navigator.language;
  return kept.startsWith("de") ? "de" : "en";
}

/** Loaded for German readers only. */
let german: German | undefined;
let language: Language = "en";

async function become(next: Language): Promise<void> {
  if (next === "de") german ??= await import("./de");
  language = next;
  document.documentElement.lang = next;
}

/** Resolves when texts can be shown; falls back to English if the translations can't be loaded. */
export const ready: Promise<void> = become(initial()).catch(() => undefined);

export async function setLanguage(next: Language): Promise<void> {
  await become(next);
  localStorage.setItem(KEY, next);
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useLanguage(): Language {
  return useSyncExternalStore(subscribe, () => language);
}

export const LanguageContext = createContext<Language>("en");

function translate(language: Language): Translate {
  return (text, values = {}) => {
    const template: string = (language === "de" && german?.german[text]) || text;
    return template.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
  };
}

const TRANSLATE: Record<Language, Translate> = { en: translate("en"), de: translate("de") };

export function useText(): Translate {
  return TRANSLATE[useContext(LanguageContext)];
}

/** Returns the title of a scope; its name if the contract does not declare it. */
export function useScope(): (name: string, declared: readonly { name: string; title: Record<string, string> }[] | undefined) => string {
  const language = useContext(LanguageContext);
  return (name, declared) => declared?.find((one) => one.name === name)?.title[language] || name;
}

/** `TICKET_STATUS_IN_PROGRESS` of an enum becomes `in progress`, `createTime` becomes `create time`. */
function words(name: string): string {
  if (/^[A-Z0-9_]+$/.test(name)) return name.toLowerCase().replaceAll("_", " ");
  return name.replace(/([a-z0-9])([A-Z])/g, "$1 $2").toLowerCase();
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Readable replacements of technical names. */
const PLAIN: Readonly<Record<string, string>> = {
  "Create time": "Created", "Update time": "Updated", "Resolve time": "Resolved", "Publish time": "Published", "Pay time": "Paid",
  "Expire time": "Expires", "Revoke time": "Revoked", "Finish time": "Finished", "Receive time": "Received", "Edit time": "Edited",
  "Refresh time": "Last used", "Deactivate time": "Deactivated", "Failing since time": "Failing since", "Attempt count": "Attempts", "Next attempt time": "Next attempt", "Attachment ids": "Attachments", "Url": "URL", "Id": "ID", "Email": "E-mail address", "Rows created": "Created or changed", "Rows known": "Unchanged", "Rows failed": "Failed or skipped",
  "Session idle seconds": "Longest pause of a session, in seconds", "Session max age seconds": "Longest session without another proof of identity, in seconds",
  "Html": "HTML", "Ip address": "IP address", "User agent": "Browser",
  "Oauth clients": "Applications", "Oauth consents": "Applications with access", "Redirect uris": "Redirect URIs", "Post logout redirect uris": "Redirect URIs after the sign-out", "Oauth client": "Application",
  "Create oauth client": "Register application", "Update oauth client": "Change application", "Delete oauth client": "Delete application",
  "Rotate oauth client secret": "Replace secret", "Delete oauth consent": "Withdraw access",
};

function plainly(name: string): string {
  return PLAIN[name] ?? name;
}

/** Enums of the contract, by the prefix of their values; the rest of a value is its meaning. */
const ENUM = /^[A-Z]+(?:_[A-Z]+)*?_(?:STATUS|STATE|PRIORITY|KIND|ROLE|ORDER|INTERVAL|PROVIDER|LEVEL|SOURCE|GRANT_TYPE)_(?=[A-Z])|^ROLE_/;

/** Returns a readable name for a name of the contract: a field, an enum's value, a service. */
export function useName(): (name: string) => string {
  const inGerman = useContext(LanguageContext) === "de";
  return (name) => {
    const readable = /^[A-Z0-9_]+$/.test(name) ? name.replace(ENUM, "") : name;
    const english = plainly(capital(words(readable).replace(/(?<!gateway) id$/, "")));
    return (inGerman && german?.germanNames[english]) || english;
  };
}
