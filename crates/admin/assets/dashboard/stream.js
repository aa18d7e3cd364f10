// Reads `/events` and `/history.json`, with the token where the process needs one.
//
// EventSource sends no headers, and a token in an address would be in logs. So the stream is read by fetch.

const TOKEN_KEY = "rondel-token";
const TOKEN_FORM = /^[A-Za-z0-9._~+/-]+=*$/;
const RETRY_AFTER = 1000; // In milliseconds.

// Kept until the tab is closed.
let token = kept();
let tokenGiven = null; // Resolves the wait for a token.

function kept() {
  try {
    return sessionStorage.getItem(TOKEN_KEY);
  } catch {
    return null; // The browser keeps nothing for this page.
  }
}

function keep(text) {
  token = text;
  try {
    if (text === null) sessionStorage.removeItem(TOKEN_KEY);
    else sessionStorage.setItem(TOKEN_KEY, text);
  } catch {
    // Then it is asked for again when the page is loaded again.
  }
}

function get(path) {
  return fetch(path, { cache: "no-store", headers: token === null ? {} : { authorization: `Bearer ${token}` } });
}

// Calls `on[kind](data)` for each event until the stream ends. Returns whether it was refused for lack of the token.
async function read(path, on) {
  const response = await get(path);
  if (response.status === 401) return true;
  if (!response.ok) return false;
  on.open();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let parts = []; // Of a line that is not complete.
  let kind = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return false;
    const lines = value.split("\n");
    for (const end of lines.slice(0, -1)) {
      const line = parts.join("") + end;
      parts = [];
      // rondel writes the data of an event as one line.
      if (line.startsWith("event: ")) kind = line.slice(7);
      else if (line.startsWith("data: ")) handle(on[kind], line.slice(6));
    }
    parts.push(lines.at(-1));
  }
}

// An error of the page does not end the stream, and is seen in the console.
function handle(handler, data) {
  try {
    handler?.(data);
  } catch (error) {
    reportError(error);
  }
}

function showToken(note) {
  setText(byId("token-note"), note);
  byId("token").hidden = false;
  byId("main").hidden = true;
  showLinks(false);
  setText(byId("connection"), "Token needed");
  document.title = "rondel: token needed";
  byId("token-text").focus();
  return new Promise((resolve) => (tokenGiven = resolve));
}

function hideToken() {
  byId("token").hidden = true;
  byId("main").hidden = false;
  showLinks(token === null);
}

// A link sends no token.
function showLinks(areUsable) {
  for (const link of document.querySelectorAll("footer nav a.data")) link.hidden = !areUsable;
}

byId("token").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = byId("token-text").value.trim();
  if (!TOKEN_FORM.test(text)) return setText(byId("token-note"), "A token is letters, digits and -._~+/, and = at its end.");
  byId("token-text").value = "";
  keep(text);
  tokenGiven?.();
});

// Reads the stream, again and again, until the page is closed.
async function watch(on) {
  if (token === null && document.body.classList.contains("locked")) await showToken("");
  for (;;) {
    let isRefused = false;
    try {
      isRefused = await read("/events", { ...on, open: () => (hideToken(), on.open()) });
    } catch {
      // The connection was lost, or there was none.
    }
    if (isRefused) {
      const note = token === null ? "" : "This token is not valid, or not any more.";
      keep(null);
      await showToken(note);
    } else {
      on.lost();
      await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER));
    }
  }
}
