// Reads what the service sends: a frame is a JSON object, and a long one comes in parts, in any order.

const MOST_PARTS = 1_000;
const MOST_BEGUN = 16; // the oldest goes: what is lost of it comes again when the answer is asked for

export class Parts {
  #begun = new Map();

  /** Give the frame that a message is or completes; null while parts are missing, or where it is no frame. */
  frame(text) {
    const frame = parsed(text);
    return frame?.type === "PART" ? this.#joined(frame) : frame;
  }

  #joined({ part_id: id, i, n, data }) {
    const sound = Number.isInteger(n) && n > 0 && n <= MOST_PARTS && Number.isInteger(i) && i >= 0 && i < n;
    if (!sound || typeof data !== "string") return null;
    const parts = this.#begun.get(id) ?? new Map();
    this.#begun.set(id, parts.set(i, data));
    if (this.#begun.size > MOST_BEGUN) this.#begun.delete(this.#begun.keys().next().value);
    if (parts.size < n) return null;
    this.#begun.delete(id);
    return parsed(Array.from({ length: n }, (_, place) => parts.get(place)).join(""));
  }
}

function parsed(text) {
  try {
    const found = JSON.parse(text);
    return typeof found === "object" && !Array.isArray(found) ? found : null;
  } catch {
    return null;
  }
}
