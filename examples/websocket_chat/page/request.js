// What the page knows of one request, and how each frame changes that. Neither the document nor a clock is here.
//
// Deltas are hints: they may be late, double, or missing. The answer is the truth, and the first one counts.

const BUSY = new Set([429, 503]);

/** Give a request that nobody has seen yet. */
export function opened(requestId, prompt) {
  return {
    requestId,
    prompt,
    acknowledged: false,
    refusals: 0, // how often the service was too busy to take it
    attempt: 0,
    next: 0, // the delta that comes next
    whole: true, // no delta is missing
    streamed: false, // the last delta was here
    text: "",
    progress: "",
    link: null,
    outcome: null, // "done" or "failed"
    status: null,
    detail: "",
  };
}

/** Give the request as it is after a frame about it. */
export function after(request, frame) {
  if (request.outcome) return request;
  const taken = { ...request, acknowledged: true };
  switch (frame.type) {
    case "CHAT_QUEUED":
      return frame.progress ? { ...taken, progress: String(frame.progress) } : taken;
    case "PROGRESS":
      return frame.attempt < taken.attempt ? taken : { ...begun(taken, frame), progress: String(frame.progress) };
    case "STREAM_CHUNK":
      return frame.attempt < taken.attempt ? taken : streamed(begun(taken, frame), frame);
    case "CHAT_RESPONSE":
      return answered(taken, frame);
    case "SYSTEM_RESPONSE":
      return refused(request, frame);
    default:
      return request;
  }
}

/** Give the request after it was given up here. */
export function failed(request, status, detail = "") {
  return { ...request, outcome: "failed", status, detail };
}

/** Drop what an older attempt said. */
function begun(request, { attempt }) {
  if (!(attempt > request.attempt)) return request;
  return { ...request, attempt, next: 0, whole: true, streamed: false, text: "" };
}

function streamed(request, { seq, delta, done }) {
  if (seq > request.next) return { ...request, whole: false }; // until it comes again, as to a new connection it does
  if (seq !== request.next) return request;
  return { ...request, next: seq + 1, whole: true, text: request.text + (delta ?? ""), streamed: done === true };
}

function answered(request, frame) {
  if (frame.status === "FAILED" || frame.status_code >= 400) {
    return failed(request, frame.status_code, String(frame.error ?? ""));
  }
  const link = downloadable(frame.location);
  const text = frame.location === undefined ? written(frame) : "The answer is too long to show here.";
  return { ...request, outcome: "done", status: frame.status_code, text, link };
}

function refused(request, { status_code: status, message }) {
  if (BUSY.has(status)) return { ...request, refusals: request.refusals + 1 };
  return failed(request, status, String(message ?? ""));
}

/** Write an answer: its text, or, where an agent answers with something else, all of it. */
function written({ type, request_id, session_id, status_code, ...answer }) {
  return typeof answer.result === "string" ? answer.result : JSON.stringify(answer, null, 2);
}

function downloadable(location) {
  const address = URL.canParse(location) ? new URL(location) : null;
  return address?.protocol === "https:" ? address.href : null;
}
