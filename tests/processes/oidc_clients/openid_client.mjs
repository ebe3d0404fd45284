// Signs a person in with npm's openid-client. Arguments: the packages, the issuer, the id and the secret of the client, and the
// redirect URIs after the sign-in and after the sign-out. Prints the URL for the browser, reads the URL to which it was led, prints
// the URL for the code of a device, and prints what the client has got, also for itself and for the device, with the URL that signs
// the person out.

import { createRequire } from "node:module";
import { createInterface } from "node:readline/promises";
import { pathToFileURL } from "node:url";

const [packages, issuer, id, secret, redirect_uri, post_logout_redirect_uri] = process.argv.slice(2);
const entry = createRequire(`${packages}/`).resolve("openid-client");
const client = await import(pathToFileURL(entry));

// The test has no TLS.
const options = { execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks] };
const config = await client.discovery(new URL(issuer), id, secret, undefined, options);
const pkceCodeVerifier = client.randomPKCECodeVerifier();
const [expectedState, expectedNonce] = [client.randomState(), client.randomNonce()];
const url = client.buildAuthorizationUrl(config, {
  redirect_uri,
  scope: "openid email support.tickets.read",
  state: expectedState,
  nonce: expectedNonce,
  code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
  code_challenge_method: "S256",
});
console.log(url.href);
const input = createInterface({ input: process.stdin });
const { value: back } = await input[Symbol.asyncIterator]().next();
input.close();
const tokens = await client.authorizationCodeGrant(config, new URL(back), { pkceCodeVerifier, expectedState, expectedNonce });
const { sub } = tokens.claims();
const person = await client.fetchUserInfo(config, tokens.access_token, sub);
const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token);
await client.tokenRevocation(config, refreshed.refresh_token);
const itself = await client.clientCredentialsGrant(config, { scope: "support.tickets.read" });
const codes = await client.initiateDeviceAuthorization(config, { scope: "openid support.tickets.read" });
console.log(codes.verification_uri_complete);
const device = await client.pollDeviceAuthorizationGrant(config, codes);
const [access, own, ofDevice] = [refreshed, itself, device].map(({ access_token }) => access_token);
const state = client.randomState();
const signOut = client.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri, state });
console.log(JSON.stringify({ sub, email: person.email, access, itself: own, device: ofDevice, signOut, state }));
