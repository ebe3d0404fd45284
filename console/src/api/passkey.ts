/** Passkeys (WebAuthn): the browser asks an authenticator, whose response the server reads as JSON text. */

/** Whether the browser has passkeys on this page: they belong to a domain, never to an address. */
export const hasPasskeys = isSecureContext && !/^[\d.]+$|^\[/.test(location.hostname) && typeof PublicKeyCredential === "function" && typeof PublicKeyCredential.parseRequestOptionsFromJSON === "function";

/** Makes a passkey. Throws a `DOMException` if the person declines, or the authenticator has a passkey of the user. */
export async function makePasskey(options: string): Promise<string> {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(JSON.parse(options) as PublicKeyCredentialCreationOptionsJSON);
  return JSON.stringify(await navigator.credentials.create({ publicKey }));
}

/** Proves the user by a passkey. */
export async function proveByPasskey(options: string): Promise<string> {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(JSON.parse(options) as PublicKeyCredentialRequestOptionsJSON);
  return JSON.stringify(await navigator.credentials.get({ publicKey }));
}

/** Whether the person has declined, or nothing was chosen in time. */
export function isDeclined(error: unknown): boolean {
  return error instanceof DOMException && (error.name === "NotAllowedError" || error.name === "AbortError");
}
