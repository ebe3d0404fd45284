// Passkeys on the pages of the sign-in. The pages need no other script, and without this one the button stays hidden.
(() => {
  const button = document.getElementById("passkey");
  const problem = document.getElementById("passkey-problem");
  // A passkey belongs to a domain, never to an address.
  const isDomain = !/^[\d.]+$|^\[/.test(location.hostname);
  if (!button || !isSecureContext || !isDomain) return;
  if (typeof PublicKeyCredential !== "function" || typeof PublicKeyCredential.parseRequestOptionsFromJSON !== "function") return;
  const { place, providerQuery, expired } = button.dataset;
  const isSecondFactor = "secondFactor" in button.dataset;
  const path = isSecondFactor ? "/session/second-factor" : "/session/passkey";
  /** Ends the offer of passkeys in the field of the address: a browser asks for one passkey at a time. */
  const offer = new AbortController();
  let offered;

  async function post(path, body) {
    const content = body && { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    const response = await fetch(path, { method: "POST", credentials: "same-origin", ...content });
    const answer = await response.json();
    if (!response.ok) throw answer.error;
    return answer.data;
  }

  async function options() {
    return (await post(`${path}/options`)).options;
  }

  async function prove(options, conditional) {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(JSON.parse(options));
    const credential = JSON.stringify(await navigator.credentials.get({ publicKey, ...conditional }));
    const rememberDevice = document.querySelector("[name=remember]")?.checked ?? false;
    await post(path, isSecondFactor ? { passkey: credential, rememberDevice } : { credential });
    location.replace(place);
  }

  function fail(error) {
    // The person has declined, or nothing was chosen in time.
    if (error instanceof DOMException) return;
    const provider = error?.metadata?.provider;
    if (error?.code === "PROVIDER_REQUIRED" && provider) return location.assign(`/auth/oidc/${provider}?${providerQuery}`);
    if (error?.code === "INVALID_TOKEN") return location.replace(expired);
    problem.textContent = error?.code === "RATE_LIMIT_EXCEEDED" ? problem.dataset.often : problem.dataset.refused;
  }

  button.addEventListener("click", async () => {
    offer.abort();
    problem.textContent = "";
    button.disabled = true;
    // The last response replaces the cookie of the ceremony.
    await offered?.catch(() => undefined);
    await options().then((options) => prove(options)).catch(fail);
    button.disabled = false;
  });

  async function begin() {
    if (isSecondFactor) {
      button.hidden = (await options()) === null;
      return;
    }
    button.hidden = false;
    if (!(await PublicKeyCredential.isConditionalMediationAvailable?.()) || offer.signal.aborted) return;
    offered = options();
    const begun = await offered;
    if (!offer.signal.aborted) await prove(begun, { signal: offer.signal, mediation: "conditional" }).catch(fail);
  }
  // Without an offer, people choose another way.
  begin().catch(() => undefined);
})();
