// The page: what is typed goes out, and what comes in is shown, always as text.

import { Connection } from "./connection.js";
import { after, failed, opened } from "./request.js";

const MOST_BYTES = 32_000; // of a message; API Gateway takes 32 KB in a frame
const MOST_SENDS = 5;
const TAKEN_MS = 30_000; // as long as API Gateway waits for what is behind it
const ASK_MS = 30_000; // without news, then twice as long
const ASK_AFTER_LAST_DELTA_MS = 5_000;
const LONGEST_ASK_MS = 5 * 60_000;
const NEAR_THE_END_PX = 80;
const KEPT = "chat"; // in the tab's own storage, so that a reload loses nothing; remove it when the user signs out

const STATES = {
  connecting: "Connecting",
  open: "Connected",
  waiting: "Connection lost. Trying again.",
  hopeless: "Cannot connect. Still trying. If this lasts, sign in again.",
  offline: "You are offline. Messages go out when you are back.",
};
const HOPELESS = 3;
const REASONS = {
  0: "The service did not take this message. Send it again, or try later.",
  400: "The service did not understand this message.",
  403: "You may not do this. Signing in again may help.",
  404: "This answer is not there any more.",
  409: "This message was sent before in another form.",
  413: "This message is too long. Shorten it and send it again.",
  429: "The service is busy. Send the message again in a minute.",
  503: "The service is busy. Send the message again in a minute.",
};
const AGENT_FAILED = "The agent could not answer. Send the message again, or try later.";

const [log, form, prompt, refusal, state, now, announcer] = [
  "log", "form", "prompt", "refusal", "connection", "now", "announcer",
].map((id) => document.getElementById(id));
const kept = restored();
const turns = new Map(); // by request id, in the order in which they were asked
const connection = new Connection({ credentials, onFrame, onState });

/** Say where the service is and who is asking. In production: of your issuer, who keeps tokens, not of a file. */
async function credentials() {
  const response = await fetch("config.json", { cache: "no-store" });
  if (!response.ok) throw new Error(`config.json: ${response.status}`);
  return response.json();
}

function submit(text) {
  const turn = add(opened(crypto.randomUUID(), text));
  if (bytes(turn) > MOST_BYTES) {
    turns.delete(turn.request.requestId);
    turn.view.remove();
    refusal.textContent = "This message is too long to send. Shorten it.";
    return false;
  }
  refusal.textContent = "";
  log.scrollTop = log.scrollHeight;
  save();
  pump();
  return true;
}

function bytes(turn) {
  return new TextEncoder().encode(JSON.stringify(message(turn))).length;
}

/** Write a request as it goes out: each time the same, or the service would take it for another. */
function message({ request: { prompt, requestId } }) {
  return { route: "chat", prompt, session_id: kept.sessionId, request_id: requestId };
}

function isOpen({ request }) {
  return request.outcome === null;
}

/** Send what comes next; not before the last one was taken, or a conversation would be out of order. */
function pump() {
  const turn = [...turns.values()].find((each) => isOpen(each) && !each.request.acknowledged);
  if (!turn || turn.sent || !connection.open) return;
  if (turn.sends === MOST_SENDS) {
    change(turn, failed(turn.request, turn.request.refusals ? 503 : 0));
    return;
  }
  turn.sent = connection.send(message(turn));
  turn.sends += 1;
  watch(turn);
  show(turn);
}

function change(turn, request) {
  const before = turn.request;
  turn.request = request;
  show(turn, before);
  if (before.acknowledged !== request.acknowledged || before.outcome !== request.outcome) save();
  watch(turn);
  pump();
}

function onFrame(frame) {
  if (frame.type === undefined) sendAgain(); // API Gateway's own: it names no request
  const turn = turns.get(frame.request_id);
  if (!turn) {
    if (frame.type === "SYSTEM_RESPONSE" && frame.status === "FAILED") refusal.textContent = String(frame.message);
    return; // or of another tab, or an answer to a ping
  }
  const { refusals } = turn.request;
  if (frame.type !== "CHAT_QUEUED") turn.asked = 0;
  change(turn, after(turn.request, frame));
  if (turn.request.refusals > refusals) sendAgain();
}

/** Send again in a while what the service did not take. */
function sendAgain() {
  for (const turn of turns.values()) {
    if (!turn.sent || !isOpen(turn) || turn.request.acknowledged) continue;
    clearTimeout(turn.timer);
    turn.timer = setTimeout(() => {
      turn.sent = false;
      pump();
    }, 1000 * 2 ** turn.sends * (0.5 + Math.random() / 2));
  }
}

function onState(name, failures) {
  state.dataset.state = name;
  state.textContent = STATES[name === "waiting" && failures >= HOPELESS ? "hopeless" : name];
  now.hidden = name !== "waiting";
  for (const turn of [...turns.values()].filter(isOpen)) {
    turn.sent = false;
    if (name === "open" && turn.request.acknowledged) ask(turn);
    watch(turn);
    show(turn);
  }
  pump();
}

function ask({ request }) {
  connection.send({ route: "resume", request_id: request.requestId });
}

/** Do something when nothing comes for long: connect anew, or ask. */
function watch(turn) {
  clearTimeout(turn.timer);
  if (!isOpen(turn) || !(turn.sent || turn.request.acknowledged)) return;
  const { acknowledged, streamed } = turn.request;
  const first = streamed ? ASK_AFTER_LAST_DELTA_MS : ASK_MS;
  const wait = acknowledged ? Math.min(LONGEST_ASK_MS, first * 2 ** turn.asked) : TAKEN_MS;
  turn.timer = setTimeout(() => {
    if (!acknowledged) {
      connection.renew();
      return;
    }
    turn.asked += 1;
    ask(turn);
    watch(turn);
  }, wait);
}

function add(request) {
  const turn = { request, sent: false, sends: 0, asked: 0, timer: 0, view: element("div", "turn") };
  turn.view.append(article("You", "question"), article("Agent", "answer"));
  turn.view.querySelector(".question .text").textContent = request.prompt;
  turns.set(request.requestId, turn);
  log.append(turn.view);
  show(turn);
  return turn;
}

function article(who, className) {
  const made = element("article", className);
  made.append(element("h2", "", who), element("p", "text"));
  return made;
}

function show(turn, before = null) {
  const { request, view } = turn;
  const stays = !isNearTheEnd();
  const answer = view.querySelector(".answer");
  answer.dataset.state = request.outcome ?? (request.text ? "streaming" : "waiting");
  answer.setAttribute("aria-busy", String(isOpen(turn))); // read aloud when it is whole, not word by word
  write(answer.querySelector(".text"), request.text);
  const text = isOpen(turn) ? doing(turn) : "";
  part(answer, ".doing", text, () => element("p", "doing"));
  if (isOpen(turn) && before && before.progress !== request.progress) announcer.textContent = request.progress;
  if (request.outcome && before?.outcome === null) {
    announcer.textContent = "";
    if (request.link) answer.append(download(request.link));
  }
  if (request.outcome === "failed") fail(answer, request);
  if (!stays) log.scrollTop = log.scrollHeight;
}

function isNearTheEnd(height = log.clientHeight) {
  return log.scrollHeight - log.scrollTop - height <= NEAR_THE_END_PX;
}

/** Add what is new to a text, and only that. */
function write(place, text) {
  const old = place.textContent;
  if (text === old) return;
  if (old && text.startsWith(old)) place.firstChild.appendData(text.slice(old.length));
  else place.textContent = text;
}

function part(parent, selector, text, make) {
  const found = parent.querySelector(selector) ?? (text ? parent.appendChild(make()) : null);
  if (found && !text) found.remove();
  else if (found && found.textContent !== text) found.textContent = text;
}

function doing({ request }) {
  if (!request.acknowledged) return connection.open ? "Sending" : "Waiting for the connection";
  if (!request.whole) return "Part of the text was lost on the way. The whole answer comes at the end.";
  return request.progress || (request.text ? "" : "Waiting for the agent");
}

function fail(answer, { prompt, requestId, status, detail }) {
  if (answer.querySelector(".failure")) return;
  const again = element("button", "again", "Send again");
  again.type = "button";
  again.addEventListener("click", () => submit(prompt) && focus());
  const more = element("p", "detail", `${detail ? `${detail}. ` : ""}Reference: ${requestId}`);
  answer.append(element("p", "failure", REASONS[status] ?? AGENT_FAILED), more, again);
}

function download(address) {
  const link = element("a", "download", "Download the answer (for 5 minutes)");
  link.href = address;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  return link;
}

function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function focus() {
  prompt.focus();
}

function save() {
  const requests = [...turns.values()].map(({ request }) => request);
  try {
    sessionStorage.setItem(KEPT, JSON.stringify({ ...kept, requests }));
  } catch {
    // full or forbidden: then a reload starts anew
  }
}

function restored() {
  try {
    const found = JSON.parse(sessionStorage.getItem(KEPT));
    if (found) return found;
  } catch {
    // forbidden, or not ours
  }
  return { sessionId: crypto.randomUUID(), requests: [] };
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = prompt.value.trim();
  if (text && submit(text)) prompt.value = "";
  focus();
});
prompt.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});
now.addEventListener("click", () => {
  connection.retry();
  focus();
});
let atTheEnd = true; // as it was before the log became smaller: a phone's keyboard opens, or the message grows
let height = log.clientHeight;
log.addEventListener("scroll", () => {
  atTheEnd = isNearTheEnd(Math.max(height, log.clientHeight)); // it may be smaller already, and is not observed yet
});
new ResizeObserver(() => {
  height = log.clientHeight;
  if (atTheEnd) log.scrollTop = log.scrollHeight;
}).observe(log);
kept.requests.forEach(add);
connection.retry();
