// Asks a passkey what the page's form says, and sends its answer with the form. Nothing else is read or sent.
"use strict";

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
const base64url = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

// What the server says in base64url, as the browser takes it.
function asked(options) {
  const found = { ...options, challenge: bytes(options.challenge) };
  if (found.user) found.user = { ...found.user, id: bytes(found.user.id) };
  if (found.allowCredentials) {
    found.allowCredentials = found.allowCredentials.map((one) => ({ ...one, id: bytes(one.id) }));
  }
  return found;
}

// What the browser gives, as JSON in the form of https://www.w3.org/TR/webauthn-3/#dictdef-authenticationresponsejson.
function given(credential) {
  const response = {};
  for (const name of ["clientDataJSON", "authenticatorData", "signature", "attestationObject"]) {
    if (credential.response[name]) response[name] = base64url(credential.response[name]);
  }
  return JSON.stringify({ id: credential.id, rawId: base64url(credential.rawId), type: credential.type, response });
}

const REASONS = {
  NotAllowedError: "Nothing was signed: it was cancelled, or took too long. Try once more.",
  InvalidStateError: "This device has a passkey for this desk already.",
  SecurityError: "This passkey belongs to another address of the desk. Open the desk there.",
};

for (const form of document.querySelectorAll("form[data-passkey]")) {
  const button = form.querySelector("button"), said = form.querySelector("[role=status]");
  if (!window.PublicKeyCredential) {
    said.textContent = "This browser, at this address, knows no passkeys.";
    continue;
  }
  button.disabled = false;
  said.textContent = "";
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    said.textContent = "Confirm on your device …";
    try {
      const publicKey = asked(JSON.parse(form.dataset.passkey));
      const credential = publicKey.user
        ? await navigator.credentials.create({ publicKey })
        : await navigator.credentials.get({ publicKey });
      form.elements.answer.value = given(credential);
      said.textContent = "Taking it in …";
      form.submit();
    } catch (error) {
      said.textContent = REASONS[error.name] || `Nothing was signed: ${error.message}`;
      button.disabled = false;
    }
  });
}
